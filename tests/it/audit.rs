//! The audit of the built binary: what is in its file, after the worst, and what is not.

use crate::client::{Answer, Connection, post_with};
use crate::provider::{self, Provider, delta, finish};
use crate::strait::{Strait, scratch};
use crate::websocket_client::{WebSocket, create};
use rusqlite::Connection as Database;
use serde_json::{Value, json};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

const ALL: &str = "[models]\n\"*\" = \"mock/*\"\n";

fn start(provider: &Provider, more: &str) -> Strait {
    let more = format!("{ALL}{more}");
    Strait::with("openai-compatible", &provider.url(), "io_uring", &more)
}

fn file(strait: &Strait) -> PathBuf {
    strait.dir.join("strait/strait-audit.db")
}

/// The rows of a file, oldest first; none where there is no table yet.
fn rows(file: &PathBuf) -> Vec<Value> {
    let Ok(database) = Database::open(file) else {
        return Vec::new();
    };
    database.busy_timeout(Duration::from_secs(5)).unwrap();
    let Ok(mut statement) = database.prepare("SELECT row FROM exchanges ORDER BY number") else {
        return Vec::new();
    };
    let rows = statement.query_map([], |row| row.get::<_, String>(0));
    rows.unwrap()
        .map(|row| serde_json::from_str(&row.unwrap()).unwrap())
        .collect()
}

/// Waits until there are so many rows.
fn until(file: &PathBuf, count: usize) -> Vec<Value> {
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let rows = rows(file);
        if rows.len() >= count {
            return rows;
        }
        assert!(Instant::now() < end, "{} of {count} rows", rows.len());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn ask(strait: &Strait, input: &str) -> Answer {
    let body = json!({"model": "m", "stream": true, "input": input, "store": false,
        "client_metadata": {"session_id": "s-1", "thread_id": "t-1", "turn_id": "u-1"}});
    let fields =
        "authorization: Bearer the-clients-own-key\r\nuser-agent: codex_exec/0.169.0 (x)\r\n";
    let mut connection = Connection::open(strait.address);
    connection.send(post_with(
        "/v1/responses",
        fields,
        body.to_string().as_bytes(),
    ));
    connection.answer()
}

/// Says what it was asked, in two pieces.
fn echo() -> Provider {
    Provider::answering(|seen| {
        let last = seen.body["messages"].as_array().unwrap().last().unwrap();
        let said = last["content"].as_str().unwrap_or_default().to_owned();
        let (one, two) = said.split_at(said.len() / 2);
        let mut data = vec![
            delta(json!({"content": one})),
            delta(json!({"content": two})),
        ];
        data.extend(finish("stop"));
        provider::Answer::Stream(data)
    })
}

/// All bytes of the file and of its log.
fn bytes(file: &PathBuf) -> Vec<u8> {
    let mut bytes = std::fs::read(file).unwrap();
    let log = file.with_file_name("strait-audit.db-wal");
    bytes.extend(std::fs::read(log).unwrap_or_default());
    bytes
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|w| w == text.as_bytes())
}

#[test]
fn a_row_for_each_exchange_and_no_content() {
    let provider = echo();
    let strait = start(&provider, "");
    assert_eq!(ask(&strait, "about the pelican").status, 200);
    let rows = until(&file(&strait), 1);
    let row = &rows[0];
    for (name, expected) in [
        ("session", json!("s-1")),
        ("thread", json!("t-1")),
        ("turn", json!("u-1")),
        ("agent", json!("codex_exec/0.169.0")),
        ("model", json!("m")),
        ("provider", json!("mock")),
        ("target", json!("m")),
        ("status", json!(200)),
        ("outcome", json!("completed")),
        ("stop", json!("stop")),
        ("streamed", json!(true)),
        // What a row that tells nothing says, too, is not written: it is done, and has no bodies.
        ("class", Value::Null),
        ("has_bodies", Value::Null),
    ] {
        assert_eq!(row[name], expected, "{name}");
    }
    assert_eq!(row["tries"][0]["status"], 200);
    assert!(row["usage"]["output"].as_u64().is_some(), "{row}");
    let first = row["first_event_ms"].as_u64().expect("there was an event");
    // Less than a millisecond is not written, either.
    assert!(first <= row["took_ms"].as_u64().unwrap_or(0));
    let bytes = bytes(&file(&strait));
    assert!(!holds(&bytes, "pelican") && !holds(&bytes, "the-clients-own-key"));
}

#[test]
fn a_row_says_where_it_came_from() {
    let provider = echo();
    let dir = scratch("audit-clients");
    let path = dir.join("s");
    let config = |trusted: &str| {
        format!(
            "listen = [\"127.0.0.1:0\", \"unix:{}\"]\nworkers = 1\ntrusted_proxies = {trusted}\n\
             [providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\napi_key = \"x\"\n{ALL}",
            path.display(),
            provider.url()
        )
    };
    let body = |more: &Value| {
        let mut body = json!({"model": "m", "input": "hi"});
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    let strait = Strait::serve(dir.clone(), &config("[\"127.0.0.0/8\"]"), |_| {});
    let ask = |fields: &str, more: &Value| {
        let mut connection = Connection::open(strait.address);
        connection.send(post_with("/v1/responses", fields, body(more).as_bytes()));
        assert_eq!(connection.answer().status, 200);
    };
    let store = json!({"store": false});
    ask("", &store);
    // The left one is what somebody says of themselves.
    let said = "x-forwarded-for: 198.51.100.1, 192.0.2.7\r\n";
    ask(said, &store);
    strait.says("client=192.0.2.7 ");
    // In the background there are two exchanges, both of the same client's.
    let both = json!({"background": true});
    ask("forwarded: for=\"[2001:db8::8]:80\"\r\n", &both);
    let fields = "x-forwarded-for: 192.0.2.9\r\n";
    let mut socket = WebSocket::with(Connection::open(strait.address), fields);
    for _ in 0..2 {
        socket.ask(&create(json!("hi"), None));
    }
    // Who comes by the file of a socket is not of those that are believed.
    let mut connection = Connection::over(UnixStream::connect(&path).unwrap());
    connection.send(post_with("/v1/responses", fields, body(&store).as_bytes()));
    assert_eq!(connection.answer().status, 200);
    let rows = until(&file(&strait), 7);
    let mut clients: Vec<&str> = rows.iter().map(|r| r["client"].as_str().unwrap()).collect();
    clients.sort_unstable();
    let forwarded = [
        "192.0.2.7",
        "192.0.2.9",
        "192.0.2.9",
        "2001:db8::8",
        "2001:db8::8",
    ];
    assert_eq!(
        clients,
        [&["127.0.0.1"], &forwarded[..], &["unix"]].concat()
    );
    let mut connection = Connection::open(strait.address);
    connection.send("GET /admin/api/v1/audit?q=192.0.2.7 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    let found = connection.answer().json();
    let mut found = found["data"].as_array().unwrap().iter();
    assert!(found.any(|row| row["client"] == "192.0.2.7"));
    // A reload believes nobody.
    std::fs::write(dir.join("strait.toml"), config("[]")).unwrap();
    strait.signal("HUP");
    strait.says("configuration reloaded");
    ask(said, &store);
    strait.says("client=127.0.0.1 ");
}

#[test]
fn a_secret_in_the_prompt_is_in_no_row() {
    let provider = echo();
    let strait = start(&provider, "[audit]\nbodies = true\n");
    let key = "sk-proj-Ab3dEf6hIj9lMn0pQr";
    let prompt = format!("my key is {key}, yours sk-test-provider-key, mine the-clients-own-key");
    assert_eq!(ask(&strait, &prompt).status, 200);
    until(&file(&strait), 1);
    let database = Database::open(file(&strait)).unwrap();
    let read = "SELECT bodies FROM exchanges";
    let packed: Vec<u8> = database.query_row(read, [], |row| row.get(0)).unwrap();
    // A byte that says how it is packed.
    let bodies = match packed[0] {
        1 => zstd::stream::decode_all(&packed[1..]).unwrap(),
        _ => packed[1..].to_vec(),
    };
    let bodies: Value = serde_json::from_slice(&bodies).unwrap();
    for side in ["request", "sent", "received", "answer"] {
        let said = &bodies[side];
        assert!(said["head"].as_str().unwrap().len() > 10, "{side}");
        assert!(
            said["body"].as_str().unwrap().contains("[redacted]"),
            "{side}: {said}"
        );
    }
    let all = bodies.to_string();
    for secret in [key, "sk-test-provider-key", "the-clients-own-key"] {
        assert!(!all.contains(secret), "{all}");
        // Nor the pieces in which a stream says it.
        assert!(!all.contains(&secret[secret.len() / 2..]), "{all}");
    }
    assert!(all.contains("my key is"), "{all}");
    drop(database);
    assert!(!holds(&bytes(&file(&strait)), key));
}

#[test]
fn what_is_older_than_a_second_survives_a_kill() {
    let provider = echo();
    for round in 0..4_u64 {
        let mut strait = start(&provider, "");
        let file = file(&strait);
        let begun = Instant::now();
        let mut ended = Vec::new();
        while begun.elapsed() < Duration::from_millis(1200 + 150 * round) {
            assert_eq!(ask(&strait, "hi").status, 200);
            ended.push(Instant::now());
            // Beside other tests the writer of a build for tests has little of a CPU.
            std::thread::sleep(Duration::from_millis(5));
        }
        strait.child.kill().unwrap();
        let killed = Instant::now();
        strait.child.wait().unwrap();
        let old = ended
            .iter()
            .filter(|at| killed.duration_since(**at) > Duration::from_secs(1))
            .count();
        let kept = rows(&file).len();
        assert!(
            old > 0 && kept >= old,
            "{kept} of {old}, of {}",
            ended.len()
        );
    }
}

#[test]
fn a_blocked_database_stops_no_stream_and_loses_only_what_it_says() {
    for (when_full, waits) in [("drop", false), ("wait", true)] {
        let provider = echo();
        let more = format!("[audit]\nqueue = 2\nwhen_full = \"{when_full}\"\n");
        let strait = start(&provider, &more);
        ask(&strait, "first");
        until(&file(&strait), 1);
        let lock = Database::open(file(&strait)).unwrap();
        lock.execute_batch("BEGIN IMMEDIATE").unwrap();
        // Two find room, and where none may be lost a third one waits for it.
        for _ in 0..2 {
            assert_eq!(ask(&strait, "room").status, 200);
        }
        if waits {
            std::thread::scope(|scope| {
                let third = scope.spawn(|| ask(&strait, "third").status);
                std::thread::sleep(Duration::from_millis(300));
                assert!(!third.is_finished(), "it did not wait");
                assert_eq!(provider.take_seen().len(), 3, "it went on");
                lock.execute_batch("COMMIT").unwrap();
                assert_eq!(third.join().unwrap(), 200);
            });
            assert_eq!(until(&file(&strait), 4).len(), 4);
        } else {
            for _ in 0..3 {
                assert_eq!(ask(&strait, "none").status, 200);
            }
            lock.execute_batch("COMMIT").unwrap();
            strait.says("audit: 3 rows dropped");
            assert_eq!(until(&file(&strait), 3).len(), 3);
        }
    }
}

#[test]
fn who_is_turned_away_for_a_key_is_in_it_and_nobody_where_it_is_off() {
    let provider = echo();
    let keys = "keys = [{ name = \"team\", key = \"the-real-key-of-the-team\" }]\n";
    let strait = Strait::start_with_top(keys, &provider.url(), "io_uring");
    assert_eq!(ask(&strait, "hi").status, 401);
    let rows = until(&file(&strait), 1);
    assert_eq!(
        (&rows[0]["status"], &rows[0]["class"]),
        (&json!(401), &json!("failed"))
    );
    assert_eq!(rows[0]["code"], "invalid_api_key");
    let off = start(&provider, "[audit]\nenabled = false\n");
    assert_eq!(ask(&off, "hi").status, 200);
    assert!(!file(&off).exists());
}
