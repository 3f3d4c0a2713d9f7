//! Every limit and time-out in one place, with its unit and its reason.

use std::time::Duration;

/// Largest request or response head accepted, in bytes. Codex sends about 2 KiB; its turn
/// metadata grows with the workspace.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Most header fields in one head.
pub const HEADERS_MAX: usize = 128;
/// Largest request body, encoded or decoded, in bytes; on a WebSocket, the largest message, and the
/// most that is remembered of a connection. Codex histories carry images.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest ratio of decoded to encoded request body beyond [`BODY_RATIO_FLOOR_BYTES`]: what no
/// honest JSON reaches and a decompression bomb needs.
pub const BODY_RATIO_MAX: usize = 200;
/// Decoded bytes below which the ratio is not looked at.
pub const BODY_RATIO_FLOOR_BYTES: usize = 1024 * 1024;
/// Largest single SSE frame from a provider, in bytes.
pub const FRAME_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest answer, as text collected for the final object, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest error body read from a provider, in bytes; the rest is cut.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest part of a provider's error message that is passed on, in bytes.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 2 * 1024;
/// Most bytes of pipelined requests held back while one is being answered.
pub const PIPELINE_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of output buffers that a worker keeps while nobody uses them.
pub const OUTPUT_KEPT_BYTES: usize = 1024 * 1024;

/// Time to connect to a provider, TLS included.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the request's last byte to the first byte of the answer: providers queue.
pub const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest silence of a provider inside an answer.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(240);
/// Silence after which a committed stream repeats `response.in_progress`. Codex gives up after
/// 300 s without a data-bearing event; middle boxes after 30 to 100 s.
pub const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);
/// How long the response head is held for the first output event before it is sent anyway.
pub const HOLD_MAX: Duration = Duration::from_secs(60);
/// Grace after `finish_reason` for usage and the end of the stream.
pub const FINISH_GRACE: Duration = Duration::from_secs(5);
/// Time for a client's TLS handshake, from its connection on.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often it is looked whether the files of certificates have changed.
pub const CERTIFICATES_EVERY: Duration = Duration::from_secs(10);
/// Time for a client to send its whole head, and then each further piece of its body.
pub const CLIENT_READ_TIMEOUT: Duration = Duration::from_secs(30);
/// Time an idle keep-alive connection of a client is kept.
pub const CLIENT_IDLE: Duration = Duration::from_secs(75);
/// Time a WebSocket is kept without a request on it. Codex keeps one for a whole session, and
/// opens another when it finds it closed.
pub const WEBSOCKET_IDLE: Duration = Duration::from_secs(3600);
/// Silence of a client on a WebSocket without a response under way, after which it is sent a ping,
/// and then given up.
pub const PING_EVERY: Duration = Duration::from_secs(30);
/// Most tries with one target for a request, the first included. Few: Codex tries again by itself,
/// up to thirty times.
pub const RETRY_ATTEMPTS: u32 = 3;
/// Wait before the second try; doubled for each further one.
pub const RETRY_BACKOFF: Duration = Duration::from_millis(250);
/// Longest wait before another try, also where the provider names the time.
pub const RETRY_BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A try that took longer to fail is not made again with the same target.
pub const RETRY_QUICK: Duration = Duration::from_secs(5);
/// From the request to the last moment in which another try begins: as long as the head is held.
pub const RETRY_DEADLINE: Duration = HOLD_MAX;
/// Most tries for one request, over all targets and keys: nothing goes round for ever.
pub const RETRY_TRIES_MAX: u32 = 64;
/// Share of a wait that the provider names by which it is lengthened at random, so that those who
/// wait do not come back together.
pub const RETRY_SPREAD: f64 = 0.1;
/// How long a key is left alone that was refused, or has no money left. A person has to mend it;
/// it is tried again now and then, and whenever there is no other.
pub const KEY_REFUSED_REST: Duration = Duration::from_secs(60);
/// Longest that a key is left alone because of `retry-after`: providers' clocks and plans change.
pub const KEY_REST_MAX: Duration = Duration::from_secs(60);
/// Failures in a row that open a breaker.
pub const BREAKER_FAILURES: u32 = 5;
/// Share of failures in the window that opens it.
pub const BREAKER_RATE: f64 = 0.5;
/// Tries in the window below which the share says nothing.
pub const BREAKER_TRIES_MIN: u32 = 20;
/// The window.
pub const BREAKER_WINDOW: Duration = Duration::from_secs(30);
/// How long a breaker is open before a probe.
pub const BREAKER_OPEN: Duration = Duration::from_secs(15);
/// Most models of a provider whose health is watched: clients may make up names.
pub const HEALTH_MODELS_MAX: usize = 256;
/// Most keys of a provider that are left alone at once, counted once a model.
pub const HEALTH_KEYS_MAX: usize = 1024;
/// Most keys of one provider.
pub const PROVIDER_KEYS_MAX: usize = 64;
/// Time an idle upstream connection is kept: less than the usual 60 to 75 s of servers.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(50);
/// Most idle connections kept per origin and worker.
pub const UPSTREAM_IDLE_MAX: usize = 128;
/// Most pairs of provider and model that a worker counts apart; what is beyond is counted together.
pub const METRICS_TARGETS_MAX: usize = 256;
/// Most exchanges that wait to be sent to a collector of traces; what is beyond is lost and counted.
pub const TRACES_QUEUE_MAX: usize = 2048;
/// Most exchanges in one request to a collector.
pub const TRACES_BATCH_MAX: usize = 256;
/// How long the first exchange of a batch waits for others.
pub const TRACES_EVERY: Duration = Duration::from_secs(1);
/// For a collector to be reached, and again to answer.
pub const TRACES_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for a login's credential, refresh included: longer than its parts below together.
pub const LOGIN_TIMEOUT: Duration = Duration::from_secs(75);
/// How long another process may hold the lock of a login that has to be refreshed.
pub const LOGIN_LOCK_MAX: Duration = Duration::from_secs(30);
/// From a refresh's request to the whole of its answer; connecting has its own limit.
pub const LOGIN_REFRESH_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a refresh that failed is not tried again.
pub const LOGIN_RETRY_AFTER: Duration = Duration::from_secs(10);
/// How long another process gets to write the tokens for which it spent our refresh token.
pub const LOGIN_OTHERS_WRITE: Duration = Duration::from_secs(2);
/// Largest file of a login, in bytes; the usual has five thousand.
pub const LOGIN_FILE_BYTES_MAX: u64 = 256 * 1024;
/// How long a resolved name is used, and a failed one remembered.
pub const RESOLVE_TTL: Duration = Duration::from_secs(60);
/// How long a failed look-up is remembered.
pub const RESOLVE_FAILED_TTL: Duration = Duration::from_secs(2);
/// Time that streams in flight get when Strait is told to stop.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Time that `strait health` waits to connect, and for the answer.
pub const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);
/// Context window, in tokens, that Codex is told for a model whose profile names none. Too small
/// only compacts early; too large loses the session.
pub const CONTEXT_WINDOW_UNKNOWN: u64 = 128_000;
/// Longest time in which a client takes none of the bytes it is sent.
pub const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a connection that is being closed is still read from, so that the client sees the
/// last answer and not a reset.
pub const LINGER: Duration = Duration::from_secs(1);
/// Most bytes read from such a connection.
pub const LINGER_BYTES: usize = 64 * 1024;
/// Largest body that operators send: a form with a key.
pub const OPERATOR_BODY_BYTES_MAX: usize = 16 * 1024;
/// Most questions that wait for the operator's thread.
pub const OPERATOR_QUEUE_MAX: usize = 64;
/// How long an operator waits for an answer: a search through a large audit takes its time.
pub const OPERATOR_WAIT: Duration = Duration::from_secs(15);
/// How long an operator who does nothing stays signed in.
pub const ADMIN_IDLE: Duration = Duration::from_secs(2 * 3600);
/// How long an operator stays signed in at most.
pub const ADMIN_SESSION: Duration = Duration::from_secs(12 * 3600);
/// How long a response is kept, unless `strait.toml` says otherwise: as long as OpenAI does.
pub const STORE_AGE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Most bytes of responses kept, unless `strait.toml` says otherwise.
pub const STORE_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Most questions that wait for the store.
pub const STORE_QUEUE_MAX: usize = 4096;
/// Most bytes in questions that wait for the store: some of the largest requests there can be.
pub const STORE_QUEUE_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Most bytes of one kept object when it is unpacked: a request and an answer of the largest size,
/// in the history of another.
pub const STORE_OBJECT_BYTES_MAX: usize = 256 * 1024 * 1024;
/// How long the events of a background response can be replayed after its end (SPEC 6.3).
pub const STORE_EVENTS_KEPT: Duration = Duration::from_secs(600);
/// Most events in one answer of the store.
pub const STORE_EVENTS_MAX: usize = 256;
/// Bytes of events after which an answer of the store ends, with one event at least.
pub const STORE_EVENTS_BYTES: usize = 1024 * 1024;
/// How often what is too old, or too much, is looked for.
pub const STORE_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Time for the database to be reached, and for one statement.
pub const STORE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an answer waits for the store: longer than the store's own time-outs.
pub const STORE_WAIT: Duration = Duration::from_secs(8);
/// The same while Strait stops.
pub const STORE_LAST_WAIT: Duration = Duration::from_secs(1);
/// How often a background response gives a sign, and learns whether it is still wanted.
pub const BACKGROUND_SIGN_EVERY: Duration = Duration::from_secs(2);
/// How often its events are kept, many at a time.
pub const BACKGROUND_BATCH_EVERY: Duration = Duration::from_millis(100);
/// Most bytes of its events that wait for the store.
pub const BACKGROUND_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often the store is asked for more events by a client that follows.
pub const FOLLOW_EVERY: Duration = Duration::from_millis(100);
/// Longest id of a response; OpenAI's have 53 characters.
pub const RESPONSE_ID_BYTES_MAX: usize = 128;
/// A background response whose worker has given no sign for this long has failed: the process is
/// gone.
pub const BACKGROUND_SILENCE: Duration = Duration::from_secs(30);
/// Most responses in the background at once, in a process: each holds its request, of up to
/// [`BODY_BYTES_MAX`], and a connection to its provider.
pub const BACKGROUND_MAX: usize = 1024;
/// Most rows in a page of the audit.
pub const AUDIT_PAGE_MAX: usize = 500;
/// When a client is told to come again whose key has as many streams as it may.
pub const KEY_STREAMS_RETRY: Duration = Duration::from_secs(5);
/// How often the store is asked for changes of client keys, and told what they have spent.
pub const KEYS_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a store that could not be asked for them is left alone.
pub const KEYS_RETRY_AFTER: Duration = Duration::from_secs(5);
/// Most rows that wait for the audit's database, unless `strait.toml` says otherwise.
pub const AUDIT_QUEUE_MAX: usize = 10_000;
/// Most bytes in rows that wait for the audit's database: bodies, where they are kept.
pub const AUDIT_QUEUE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a row of the audit is kept, unless `strait.toml` says otherwise.
pub const AUDIT_AGE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// Most bytes of the audit, unless `strait.toml` says otherwise.
pub const AUDIT_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// How long sums over exchanges are kept: a year can be compared with the one before.
pub const AUDIT_USAGE_AGE_MAX: Duration = Duration::from_secs(800 * 86_400);
/// Most bytes kept of each body, where they are, unless `strait.toml` says otherwise.
pub const AUDIT_BODY_MAX: usize = 256 * 1024;
/// Most bytes of a name in a row: ids, models, paths.
pub const AUDIT_NAME_BYTES_MAX: usize = 256;
/// Most bytes of a sentence in a row: what went wrong, what was changed.
pub const AUDIT_TEXT_BYTES_MAX: usize = 2048;
/// Most different words of an exchange that can be searched for.
pub const AUDIT_WORDS_MAX: usize = 4096;
/// How long rows wait for others, to be written together. What is older than a second survives
/// the end of the process.
pub const AUDIT_REST: Duration = Duration::from_millis(400);
/// How often what is too old, or too much, is looked for.
pub const AUDIT_SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How long a database that is in trouble is left alone.
pub const AUDIT_PAUSE: Duration = Duration::from_millis(500);
/// How often a request that waits for room among the rows looks whether there is some.
pub const AUDIT_ROOM_EVERY: Duration = Duration::from_millis(20);
