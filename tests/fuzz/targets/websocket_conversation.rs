//! A WebSocket with requests on it, against a model of what was said: the provider is asked for
//! all of it, every request has one end, frames are whole and nothing follows a close frame.

use arbitrary::Arbitrary;
use strait_fuzz::fuzz_target;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use strait::config::Snapshot;
use strait::http::head::{self, Parsed};
use strait::provider::Profile;
use strait::route::conversation::Conversation;
use strait::route::exchange::{Action, Exchange, Input, Machine};

#[derive(Arbitrary, Debug)]
enum Step {
    /// A request: what it names, how many items it brings, and whether it wants an answer.
    Create {
        previous: Option<bool>,
        items: u8,
        generate: bool,
        cut: u8,
    },
    /// Text that is no request.
    Other(String),
    Ping(u8),
    /// Anything.
    Bytes(Vec<u8>),
    /// The provider answers what it was asked.
    Answer {
        items: u8,
        end: End,
    },
    /// Time passes up to the next deadline.
    Wait,
    Drain,
    Close,
    Gone,
}

#[derive(Arbitrary, Debug)]
enum End {
    Completed,
    Failed,
    Cut,
    Status(u8),
    Refused,
}

fuzz_target!(|steps: Vec<Step>| {
    let mut world = World::new();
    for step in steps.iter().take(40) {
        world.step(step);
        if world.done {
            break;
        }
    }
    world.check_output();
});

struct World {
    conversation: Box<Conversation>,
    now: Instant,
    out: Vec<u8>,
    /// The response that can be continued, and all items up to its end.
    last: Option<(String, Vec<Value>)>,
    /// The items of the request under way.
    asked: Vec<Value>,
    /// The body that the provider was sent.
    body: Option<Value>,
    connecting: bool,
    upstream: bool,
    requests: usize,
    names: usize,
    /// Nothing is known any more: raw bytes were sent.
    wild: bool,
    done: bool,
}

fn item(role: &str, name: usize) -> Value {
    json!({"type":"message","role":role,"content":format!("item {name}")})
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | 126];
    match payload.len() {
        n @ 0..126 => bytes[1] = 0x80 | n as u8,
        n => bytes.extend_from_slice(&(n as u16).to_be_bytes()),
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

impl World {
    fn new() -> World {
        let profile = Profile::parse("mock", "key_optional = true\nwire = \"responses\"");
        let mut snapshot = Snapshot::single(profile.expect("a profile"), "http://127.0.0.1:9/v1");
        // What is tried again is the unit tests' subject.
        snapshot.retry.attempts = 1;
        let handshake = b"GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let Ok(Parsed::Complete { head, .. }) = head::request(handshake) else {
            panic!("a handshake");
        };
        let now = Instant::now();
        let mut exchange = Exchange::new(Arc::new(snapshot), head, [7; 32], 1_760_000_000, now);
        assert!(matches!(exchange.poll(), Action::ToClient));
        drop(exchange.take_output());
        World {
            conversation: exchange.into_conversation().expect("a conversation"),
            now,
            out: Vec::new(),
            last: None,
            asked: Vec::new(),
            body: None,
            connecting: false,
            upstream: false,
            requests: 0,
            names: 0,
            wild: false,
            done: false,
        }
    }

    fn step(&mut self, step: &Step) {
        let busy = self.connecting || self.upstream;
        match step {
            Step::Create {
                previous,
                items,
                generate,
                cut,
            } => {
                // What waits behind another is the unit tests' subject.
                if busy {
                    return;
                }
                self.create(*previous, usize::from(items % 4), *generate, *cut);
            }
            Step::Other(text) if !busy => {
                self.requests += 1;
                let payload = &text.as_bytes()[..text.len().min(60_000)];
                if std::str::from_utf8(payload).is_ok() {
                    self.bytes(&frame(0x81, payload));
                }
            }
            Step::Other(_) => {}
            Step::Ping(n) => {
                let before = self.out.len();
                let payload = vec![*n; usize::from(*n) % 126];
                self.bytes(&frame(0x89, &payload));
                let pong = [&[0x8a, payload.len() as u8][..], &payload].concat();
                assert!(self.wild || self.out[before..].ends_with(&pong));
            }
            Step::Bytes(bytes) => {
                self.wild = true;
                self.bytes(bytes);
            }
            Step::Answer { items, end } => self.answer(usize::from(items % 4), end),
            Step::Wait => {
                let deadline = self.conversation.deadline().expect("something is awaited");
                self.now = deadline.max(self.now + Duration::from_millis(1));
                self.input(Input::Deadline);
            }
            Step::Drain => {
                self.input(Input::Drain);
                assert!(self.done, "a drain ends it");
            }
            Step::Close => {
                self.bytes(&frame(0x88, &1000u16.to_be_bytes()));
                assert!(self.wild || self.done, "a close frame ends it");
            }
            Step::Gone => {
                self.input(Input::ClientGone);
                assert!(self.done, "nobody is left");
            }
        }
    }

    fn create(&mut self, previous: Option<bool>, items: usize, generate: bool, cut: u8) {
        self.requests += 1;
        let mut input = Vec::new();
        for _ in 0..items {
            self.names += 1;
            input.push(item("user", self.names));
        }
        let mut message = json!({"type":"response.create","model":"m","input":input});
        let mut known = true;
        let mut asked = Vec::new();
        if let Some(right) = previous {
            known = right && self.last.is_some();
            let id = self.last.as_ref().filter(|_| right);
            message["previous_response_id"] = id.map_or(json!("resp_no"), |(id, _)| json!(id));
            asked = id.map_or(Vec::new(), |(_, items)| items.clone());
        }
        if !generate {
            message["generate"] = json!(false);
        }
        asked.extend(input);
        let text = message.to_string();
        let (a, b) = text.as_bytes().split_at(usize::from(cut) % text.len());
        let before = self.out.len();
        self.bytes(&[frame(0x01, a), frame(0x80, b)].concat());
        if self.wild || self.done {
            return;
        }
        let said = String::from_utf8_lossy(&self.out[before..]).into_owned();
        if !known {
            assert!(said.contains("previous_response_not_found"), "{said}");
            return;
        }
        if previous.is_none() {
            self.last = None;
        }
        self.asked = asked;
        if generate {
            assert!(self.connecting, "a provider is asked: {said}");
        } else {
            assert!(!self.connecting && said.contains("response.completed"));
            let at = said.find("resp_").expect("an id");
            let id = said[at..].split('"').next().expect("an end").to_owned();
            self.last = Some((id, self.asked.clone()));
        }
    }

    fn answer(&mut self, items: usize, end: &End) {
        if !std::mem::take(&mut self.connecting) {
            return;
        }
        if matches!(end, End::Refused) {
            return self.input(Input::ConnectFailed("refused"));
        }
        self.upstream = true;
        self.input(Input::Connected { reused: false });
        let body = self.body.take().expect("a request");
        if !self.wild {
            assert_eq!(body["input"], json!(self.asked), "all that was said");
            assert_eq!(body["stream"], true);
            for gone in ["previous_response_id", "generate", "type"] {
                assert!(body.get(gone).is_none(), "{gone}");
            }
        }
        if let End::Status(code) = end {
            let status = 400 + u16::from(*code) % 200;
            let text = format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\n{{}}");
            return self.input(Input::UpstreamBytes(text.as_bytes()));
        }
        self.names += 1;
        let id = format!("resp_{}", self.names);
        let mut text = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n".to_owned();
        let mut event = |value: Value| text.push_str(&format!("data: {value}\n\n"));
        event(json!({"type":"response.created","response":{"id":id}}));
        let mut output = Vec::new();
        for _ in 0..items {
            self.names += 1;
            output.push(item("assistant", self.names));
            event(json!({"type":"response.output_item.done","item":output.last()}));
        }
        match end {
            End::Completed => event(json!({"type":"response.completed","response":{"id":id}})),
            End::Failed => event(json!({"type":"response.failed","response":{"id":id}})),
            _ => {}
        }
        self.input(Input::UpstreamBytes(text.as_bytes()));
        if self.upstream {
            self.input(Input::UpstreamEof);
        }
        if matches!(end, End::Completed) && !self.wild {
            let mut all = std::mem::take(&mut self.asked);
            all.extend(output);
            self.last = Some((id, all));
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let used = self.conversation.client_bytes(bytes, self.now);
        assert_eq!(used, bytes.len());
        self.drive();
    }

    fn input(&mut self, input: Input<'_>) {
        self.conversation.handle(input, self.now);
        self.drive();
    }

    fn drive(&mut self) {
        for _ in 0..10_000 {
            match self.conversation.poll() {
                Action::ToClient => {
                    let out = self.conversation.take_output();
                    assert!(!out.is_empty());
                    self.out.extend_from_slice(&out);
                    self.conversation.recycle(out);
                }
                Action::Connect(_) => {
                    assert!(!self.upstream, "the other connection is closed first");
                    self.connecting = true;
                }
                Action::ToUpstream(bytes) => {
                    let text = std::str::from_utf8(&bytes).expect("text");
                    let (_, body) = text.split_once("\r\n\r\n").expect("a head");
                    self.body = Some(serde_json::from_str(body).expect("JSON"));
                    self.conversation.handle(Input::RequestSent, self.now);
                }
                Action::Login(_) => panic!("the provider takes no login"),
                Action::Operate(_) => panic!("no operator asks"),
                Action::Spawn(_) => panic!("nothing is for the background"),
                Action::Store(_) => panic!("nothing is kept"),
                Action::CloseUpstream | Action::ReleaseUpstream => {
                    self.upstream = false;
                }
                Action::Record(record) => {
                    assert!(!record.line().contains('\n'));
                    self.connecting = false;
                }
                Action::Done { keep_alive } => {
                    assert!(!keep_alive && !self.upstream);
                    self.done = true;
                    return;
                }
                Action::ReadClient | Action::Wait => return,
            }
        }
        panic!("it never waits");
    }

    /// All that the client got: whole frames, one end for each response, and nothing behind a
    /// close frame.
    fn check_output(&self) {
        let (mut rest, mut closed, mut ends, mut open) = (&self.out[..], false, 0, false);
        while let [first, len, tail @ ..] = rest {
            assert!(!closed, "nothing follows on a close frame");
            let (length, tail) = match len {
                126 => (
                    usize::from(u16::from_be_bytes([tail[0], tail[1]])),
                    &tail[2..],
                ),
                127 => panic!("a long frame"),
                n => (usize::from(*n), tail),
            };
            assert!(length < 126 || *len == 126);
            let (payload, tail) = tail.split_at(length);
            rest = tail;
            match first {
                0x81 => {
                    let event: Value = serde_json::from_slice(payload).expect("JSON");
                    let kind = event["type"].as_str().expect("a type");
                    let error = kind == "error" && event["status"].is_u64();
                    let end = ["completed", "incomplete", "failed"]
                        .iter()
                        .any(|e| kind == format!("response.{e}"));
                    match kind {
                        "response.created" => assert!(!std::mem::replace(&mut open, true)),
                        _ if error => assert!(!open, "an error with a status stands alone"),
                        _ if end => assert!(std::mem::take(&mut open), "an end of nothing"),
                        _ => assert!(open, "{kind} outside of a response"),
                    }
                    ends += usize::from(error || end);
                }
                0x89 => assert_eq!(length, 0),
                0x8a => {}
                0x88 => closed = true,
                _ => panic!("{first:#x}"),
            }
        }
        assert!(rest.is_empty(), "a frame is cut");
        if !self.wild {
            assert!(ends <= self.requests);
            if !self.done && !self.connecting && !self.upstream {
                assert_eq!(ends, self.requests, "each request has its end");
            }
        }
    }
}
