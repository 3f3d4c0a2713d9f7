//! The exchange driven by a virtual clock and a scripted peer: no sockets, no sleeping.

use super::background::Background;
use super::exchange::{Action, Ask, Exchange, Input, Machine};
use super::memory::entropy;
use crate::auth::chatgpt::Credential;
use crate::auth::secret::Secret;
use crate::config::{self, Retry, Snapshot};
use crate::error::{Error, Kind, Source};
use crate::http::head::{self, Parsed};
use crate::ledger::stored;
use crate::provider::Profile;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const SSE: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// An exchange and its surroundings: the clock, what the client got, what upstream got.
pub(super) struct Peer {
    pub(super) exchange: Exchange,
    pub(super) now: Instant,
    pub(super) client: Vec<u8>,
    pub(super) upstream: Vec<u8>,
    pub(super) connects: usize,
    /// The ports that connections were asked for to.
    pub(super) origins: Vec<u16>,
    /// When the request came.
    pub(super) began: Instant,
    asked: Vec<Ask>,
    /// What the store was asked.
    pub(super) questions: VecDeque<stored::Ask>,
    /// What is to be done in the background.
    pub(super) spawned: Option<Box<Background>>,
    pub(super) released: usize,
    pub(super) closed: usize,
    pub(super) done: Option<bool>,
}

impl Peer {
    pub(super) fn with(snapshot: Snapshot, head: &str, body: &[u8]) -> Peer {
        Peer::at(Arc::new(snapshot), head, body, Instant::now())
    }

    pub(super) fn at(snapshot: Arc<Snapshot>, head: &str, body: &[u8], now: Instant) -> Peer {
        let Ok(Parsed::Complete { head, .. }) = head::request(head.as_bytes()) else {
            panic!("the test's head is wrong")
        };
        let exchange = Exchange::new(snapshot, head, entropy(), 1_760_000_000, now);
        let mut peer = Peer {
            exchange,
            now,
            client: Vec::new(),
            upstream: Vec::new(),
            connects: 0,
            origins: Vec::new(),
            began: now,
            asked: Vec::new(),
            questions: VecDeque::new(),
            spawned: None,
            released: 0,
            closed: 0,
            done: None,
        };
        if matches!(peer.drive(), Action::ReadClient) {
            peer.exchange.client_bytes(body, now);
            peer.drive();
        }
        peer
    }

    pub(super) fn ask(body: &str) -> Peer {
        Peer::with(
            snapshot(),
            &post("/v1/responses", body.len()),
            body.as_bytes(),
        )
    }

    /// Carries out actions until the shell would have to wait.
    pub(super) fn drive(&mut self) -> Action {
        loop {
            match self.exchange.poll() {
                Action::ToClient => {
                    let bytes = self.exchange.take_output();
                    self.client.extend_from_slice(&bytes);
                    self.exchange.recycle(bytes);
                }
                Action::Connect(origin) => {
                    self.connects += 1;
                    self.origins.push(origin.port);
                    return Action::Wait;
                }
                Action::Login(ask) => self.asked.push(ask),
                Action::Store(ask) => self.questions.push_back(*ask),
                Action::Spawn(work) => self.spawned = Some(work),
                Action::ToUpstream(bytes) => {
                    self.upstream = bytes.to_vec();
                    self.exchange.handle(Input::RequestSent, self.now);
                }
                Action::CloseUpstream => self.closed += 1,
                Action::ReleaseUpstream => self.released += 1,
                Action::Done { keep_alive } => {
                    self.done = Some(keep_alive);
                    return Action::Done { keep_alive };
                }
                action => return action,
            }
        }
    }

    pub(super) fn input(&mut self, input: Input<'_>) {
        self.exchange.handle(input, self.now);
        self.drive();
    }

    pub(super) fn connected(&mut self) {
        self.input(Input::Connected { reused: false });
    }

    pub(super) fn bytes(&mut self, bytes: &str) {
        self.input(Input::UpstreamBytes(bytes.as_bytes()));
    }

    pub(super) fn chunk(&mut self, data: &str) {
        let frame = format!("data: {data}\n\n");
        self.bytes(&format!("{:x}\r\n{frame}\r\n", frame.len()));
    }

    pub(super) fn text(&mut self, text: &str) {
        self.chunk(&format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}]}}"#
        ));
    }

    /// Moves the clock to the next deadline and reports it.
    pub(super) fn wait(&mut self) {
        self.now = self.exchange.deadline().expect("something is awaited");
        self.input(Input::Deadline);
    }

    pub(super) fn said(&self) -> String {
        String::from_utf8_lossy(&self.client).into_owned()
    }

    pub(super) fn terminals(&self) -> usize {
        let said = self.said();
        ["completed", "incomplete", "failed"]
            .iter()
            .map(|t| said.matches(&format!("event: response.{t}\n")).count())
            .sum()
    }
}

pub(super) fn snapshot() -> Snapshot {
    let profile = Profile::parse("mock", "key_optional = true").expect("a legal profile");
    Snapshot {
        // What a failure comes to is seen at the first.
        retry: Retry {
            attempts: 1,
            ..Retry::default()
        },
        ..Snapshot::single(profile, "http://127.0.0.1:9/v1")
    }
}

pub(super) fn post(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

pub(super) const ASK: &str = r#"{"model":"m","stream":true,"input":"hi"}"#;

#[test]
fn a_stream_from_head_to_pool() {
    let mut peer = Peer::ask(ASK);
    assert_eq!(peer.connects, 1);
    peer.connected();
    assert!(
        String::from_utf8_lossy(&peer.upstream)
            .starts_with("POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:9\r\n")
    );
    peer.bytes(SSE);
    assert!(
        peer.client.is_empty(),
        "the head is held until there is output"
    );
    peer.text("Hel");
    assert!(
        peer.said()
            .starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n")
    );
    peer.text("lo");
    peer.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
    peer.chunk("[DONE]");
    assert_eq!(peer.done, None, "the end of the upstream body is awaited");
    peer.bytes("0\r\n\r\n");
    assert_eq!((peer.done, peer.released, peer.closed), (Some(true), 1, 0));
    assert_eq!(peer.terminals(), 1);
    assert!(peer.said().ends_with("0\r\n\r\n"));
    let record = peer.exchange.record().to_string();
    assert!(record.contains("outcome=completed"), "{record}");
}

#[test]
fn an_error_before_output_is_a_status() {
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.bytes("HTTP/1.1 429 Too Many\r\nretry-after: 1.5\r\ncontent-length: 33\r\n\r\n{\"error\":{\"message\":\"slow down\"}}\n");
    assert!(peer.said().starts_with("HTTP/1.1 429 "), "{}", peer.said());
    assert!(
        peer.said().contains("retry-after: 2\r\n"),
        "{}",
        peer.said()
    );
    assert!(peer.said().contains("x-strait-error-source: upstream\r\n"));
    assert_eq!(peer.done, Some(true));
}

#[test]
fn a_page_in_the_place_of_an_answer_is_a_502() {
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.bytes("HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 18\r\n\r\n<html>Welcome</html");
    assert!(peer.said().starts_with("HTTP/1.1 502 "), "{}", peer.said());
    assert!(!peer.said().contains("html>"), "{}", peer.said());
    // The same where nothing says what it is.
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.bytes("HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n<html>Welcome</html>");
    assert!(peer.said().starts_with("HTTP/1.1 502 "), "{}", peer.said());
    assert!(!peer.said().contains("html>"), "{}", peer.said());
}

#[test]
fn silence_after_output_keeps_alive_then_fails() {
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.bytes(SSE);
    peer.text("a");
    let begun = peer.now;
    let mut beats = 0;
    while peer.done.is_none() {
        peer.wait();
        beats += 1;
        assert!(beats < 100);
    }
    assert_eq!(peer.terminals(), 1);
    assert!(peer.said().matches("event: response.in_progress\n").count() > 10);
    assert_eq!(peer.now.duration_since(begun), snapshot().timeouts.silence);
    assert_eq!((peer.released, peer.closed), (0, 1));
}

#[test]
fn no_answer_in_time_is_a_504_and_the_head_is_held_only_so_long() {
    let mut peer = Peer::ask(&ASK.replace("true", "false"));
    peer.connected();
    peer.wait();
    assert!(peer.said().starts_with("HTTP/1.1 504 "), "{}", peer.said());
    let mut peer = Peer::ask(ASK);
    peer.connected();
    let begun = peer.now;
    peer.wait();
    assert_eq!(peer.now.duration_since(begun), snapshot().timeouts.hold);
    assert!(peer.said().contains("event: response.created\n"));
    peer.bytes("HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(peer.terminals(), 1);
}

#[test]
fn a_client_that_leaves_cancels_in_every_phase() {
    for phase in 0..4 {
        let mut peer = Peer::ask(ASK);
        if phase > 0 {
            peer.connected();
        }
        if phase > 1 {
            peer.bytes(SSE);
        }
        if phase > 2 {
            peer.text("a");
        }
        peer.input(Input::ClientGone);
        assert_eq!(peer.done, Some(false), "phase {phase}");
        assert_eq!(peer.closed, usize::from(phase > 0), "phase {phase}");
    }
}

#[test]
fn a_stale_connection_is_replaced_once() {
    let mut peer = Peer::ask(ASK);
    peer.input(Input::Connected { reused: true });
    peer.input(Input::UpstreamEof);
    assert_eq!((peer.connects, peer.closed), (2, 1));
    peer.input(Input::Connected { reused: true });
    assert!(!peer.upstream.is_empty());
    peer.input(Input::UpstreamEof);
    assert!(peer.said().starts_with("HTTP/1.1 502 "), "{}", peer.said());
}

#[test]
fn every_cut_of_an_answer_ends_in_one_terminal_event() {
    let frames = [
        r#"{"choices":[{"index":0,"delta":{"reasoning_content":"r"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{}"}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#,
        "[DONE]",
    ];
    let mut whole = SSE.to_owned();
    for frame in frames {
        let frame = format!("data: {frame}\n\n");
        whole.push_str(&format!("{:x}\r\n{frame}\r\n", frame.len()));
    }
    for cut in 0..whole.len() {
        let mut peer = Peer::ask(ASK);
        peer.connected();
        peer.bytes(&whole[..cut]);
        peer.input(Input::UpstreamBroken("connection reset by peer"));
        assert!(peer.done.is_some(), "cut at {cut}");
        let streamed = peer.said().starts_with("HTTP/1.1 200");
        assert_eq!(
            peer.terminals(),
            usize::from(streamed),
            "cut at {cut}: {}",
            peer.said()
        );
        assert!(
            streamed || peer.said().starts_with("HTTP/1.1 502"),
            "cut at {cut}"
        );
    }
}

#[test]
fn draining_ends_a_stream_properly() {
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.bytes(SSE);
    peer.text("a");
    peer.input(Input::Drain);
    assert_eq!(
        (peer.terminals(), peer.done, peer.closed),
        (1, Some(false), 1)
    );
    assert!(peer.said().ends_with("0\r\n\r\n"));
}

#[test]
fn refusals_need_no_body_and_leave_a_defined_connection() {
    let cases = [
        ("GET /v1/nothing HTTP/1.1\r\nhost: x\r\n\r\n", 404, true),
        (
            "GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\n\r\n",
            405,
            true,
        ),
        (
            "GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
            426,
            true,
        ),
        (
            "POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n",
            415,
            false,
        ),
        (
            "POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n",
            413,
            false,
        ),
        ("POST /v1/responses HTTP/1.1\r\nhost: x\r\n\r\n", 400, true),
    ];
    for (head, status, keep_alive) in cases {
        let peer = Peer::with(snapshot(), head, b"");
        assert!(
            peer.said().starts_with(&format!("HTTP/1.1 {status} ")),
            "{head}: {}",
            peer.said()
        );
        assert_eq!((peer.done, peer.connects), (Some(keep_alive), 0), "{head}");
    }
}

#[test]
fn an_expected_continue_is_said_only_when_the_body_is_wanted() {
    let head =
        post("/v1/responses", ASK.len()).replace("\r\n\r\n", "\r\nexpect: 100-continue\r\n\r\n");
    let peer = Peer::with(snapshot(), &head, ASK.as_bytes());
    assert_eq!(peer.said(), "HTTP/1.1 100 Continue\r\n\r\n");
    let peer = Peer::with(snapshot(), &head.replace("/v1/responses", "/nothing"), b"");
    assert!(peer.said().starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_deadline_that_fires_early_changes_nothing() {
    let mut peer = Peer::ask(ASK);
    peer.connected();
    peer.now += Duration::from_millis(5);
    peer.input(Input::Deadline);
    assert!(peer.client.is_empty() && peer.done.is_none());
}

fn with_login() -> Peer {
    let home = |name: &str| (name == "HOME").then(|| "/nowhere".to_owned());
    let snapshot = config::parse("f", "[providers.codex]", &home).unwrap();
    let body = r#"{"model":"gpt-5.5","stream":true,"input":"hi"}"#;
    Peer::with(
        snapshot,
        &post("/v1/responses", body.len()),
        body.as_bytes(),
    )
}

fn credential(token: &str) -> Input<'static> {
    Input::Credential(Ok(Credential {
        access_token: Secret::new(token),
        account_id: None,
    }))
}

#[test]
fn a_login_is_shown_and_once_more_where_it_is_refused() {
    let mut peer = with_login();
    assert_eq!((peer.asked.len(), peer.connects), (1, 0));
    assert!(peer.asked[0].refused.is_none());
    peer.input(credential("one"));
    peer.connected();
    let sent = |peer: &Peer| String::from_utf8(peer.upstream.clone()).unwrap();
    let first = sent(&peer);
    let refusal = "HTTP/1.1 401 X\r\ncontent-length: 2\r\n\r\n{}";
    peer.bytes(refusal);
    assert_eq!((peer.asked.len(), peer.closed, peer.done), (2, 1, None));
    let refused = peer.asked[1].refused.as_ref().unwrap();
    assert_eq!(refused.expose(), "one");
    peer.input(credential("two"));
    peer.connected();
    assert_eq!(sent(&peer), first.replace("Bearer one", "Bearer two"));
    peer.bytes(refusal);
    assert_eq!((peer.asked.len(), peer.done), (2, Some(true)));
    assert!(peer.said().starts_with("HTTP/1.1 400 ") && peer.said().contains("codex login"));
    assert!(peer.exchange.record().to_string().contains("attempts=2"));
}

#[test]
fn a_login_that_does_not_come_is_not_waited_for_for_ever() {
    let mut peer = with_login();
    peer.wait();
    assert!(peer.said().starts_with("HTTP/1.1 504 "), "{}", peer.said());
    assert_eq!(peer.done, Some(true));
    // It comes all the same.
    peer.input(credential("late"));
    assert_eq!(peer.connects, 0);

    let mut peer = with_login();
    let error = Error::new(Source::Gateway, Kind::ProviderAuth, "None.");
    peer.input(Input::Credential(Err(error)));
    assert!(peer.said().starts_with("HTTP/1.1 400 "), "{}", peer.said());

    let mut peer = with_login();
    peer.input(Input::ClientGone);
    assert_eq!((peer.done, peer.said().as_str()), (Some(false), ""));

    let mut peer = with_login();
    peer.input(Input::Drain);
    assert!(peer.said().starts_with("HTTP/1.1 503 "), "{}", peer.said());
}
