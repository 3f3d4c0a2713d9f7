//! A WebSocket driven by a virtual clock and a scripted peer: no sockets, no sleeping.

use super::*;
use crate::config::Place;
use crate::http::head::{Parsed, request};
use crate::http::websocket::autobahn_tests::frame;
use crate::provider::Profile;
use crate::route::memory::{Memory, entropy};
use proptest::prelude::*;
use std::time::Duration;

const HANDSHAKE: &str = "GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n\
    data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n\
    data: [DONE]\n\n";

/// A conversation and its surroundings: the clock, what the client got.
struct Peer {
    conversation: Box<Conversation>,
    now: Instant,
    client: Vec<u8>,
    upstream: Vec<u8>,
    connects: usize,
    closed: usize,
    records: Vec<String>,
    /// Answers what the store is asked.
    store: Memory,
    done: bool,
}

impl Peer {
    fn open() -> Peer {
        let profile = Profile::parse("mock", "key_optional = true").unwrap();
        let snapshot = Snapshot::single(profile, "http://127.0.0.1:9/v1");
        Peer::with(snapshot, Memory::default(), [7; 32])
    }

    /// One whose Strait keeps responses.
    fn keeping(store: Memory) -> Peer {
        let profile = Profile::parse("mock", "key_optional = true").unwrap();
        let mut snapshot = Snapshot::single(profile, "http://127.0.0.1:9/v1");
        snapshot.store.place = Place::Sqlite("unused".into());
        Peer::with(snapshot, store, entropy())
    }

    fn with(snapshot: Snapshot, store: Memory, entropy: [u8; 32]) -> Peer {
        let snapshot = Arc::new(snapshot);
        let Ok(Parsed::Complete { head, .. }) = request(HANDSHAKE.as_bytes()) else {
            panic!("the test's head is wrong")
        };
        let now = Instant::now();
        let mut exchange = Exchange::new(snapshot, head, entropy, 1_760_000_000, now);
        assert!(matches!(exchange.poll(), Action::ToClient));
        assert!(exchange.take_output().starts_with(b"HTTP/1.1 101 "));
        assert!(matches!(exchange.poll(), Action::Done { .. }));
        Peer {
            conversation: exchange.into_conversation().unwrap(),
            now,
            client: Vec::new(),
            upstream: Vec::new(),
            connects: 0,
            closed: 0,
            records: Vec::new(),
            store,
            done: false,
        }
    }

    /// Carries out actions until the shell would have to wait.
    fn drive(&mut self) {
        loop {
            match self.conversation.poll() {
                Action::ToClient => {
                    let bytes = self.conversation.take_output();
                    assert!(!bytes.is_empty());
                    self.client.extend_from_slice(&bytes);
                    self.conversation.recycle(bytes);
                }
                Action::Connect(_) => {
                    self.connects += 1;
                    return;
                }
                Action::ToUpstream(bytes) => {
                    self.upstream = bytes.to_vec();
                    self.conversation.handle(Input::RequestSent, self.now);
                }
                Action::CloseUpstream => self.closed += 1,
                Action::Store(ask) => {
                    let reply = self.store.answer(*ask);
                    self.conversation.handle(Input::Stored(reply), self.now);
                }
                Action::Spawn(_) => panic!("nothing is for the background"),
                Action::Login(_) => panic!("the provider takes no login"),
                Action::ReleaseUpstream => {}
                Action::Record(record) => self.records.push(record.line()),
                Action::Done { keep_alive } => {
                    assert!(!keep_alive);
                    self.done = true;
                    return;
                }
                Action::ReadClient | Action::Wait => return,
                Action::Operate(ask) => panic!("{ask:?}"),
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.conversation.handle(input, self.now);
        self.drive();
    }

    fn bytes(&mut self, bytes: &[u8]) {
        assert_eq!(
            self.conversation.client_bytes(bytes, self.now),
            bytes.len(),
            "all is taken"
        );
        self.drive();
    }

    fn say(&mut self, message: &str) {
        self.bytes(&frame(0x81, message.as_bytes()));
    }

    /// A provider that answers, up to its end if `whole`.
    fn answer(&mut self, whole: bool) {
        self.input(Input::Connected { reused: false });
        self.input(Input::UpstreamBytes(ANSWER.as_bytes()));
        if whole {
            self.input(Input::UpstreamBytes(END.as_bytes()));
        }
    }

    /// The body of the last request to the provider.
    fn sent(&self) -> serde_json::Value {
        let at = self.upstream.windows(4).position(|w| w == b"\r\n\r\n");
        serde_json::from_slice(&self.upstream[at.unwrap() + 4..]).unwrap()
    }

    /// Moves the clock to the next deadline and reports it.
    fn wait(&mut self) -> Duration {
        let before = self.now;
        self.now = self.conversation.deadline().expect("something is awaited");
        self.input(Input::Deadline);
        self.now.duration_since(before)
    }

    fn took(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.client)).into_owned()
    }

    fn close_code(&self) -> u16 {
        let at = self.client.windows(2).rposition(|w| w[0] == 0x88);
        let at = at.expect("a close frame");
        u16::from_be_bytes([self.client[at + 2], self.client[at + 3]])
    }
}

const ASK: &str = r#"{"type":"response.create","model":"m","input":"hi"}"#;

#[test]
fn a_silent_client_is_pinged_and_then_given_up() {
    let mut peer = Peer::open();
    peer.drive();
    for _ in 0..5 {
        assert_eq!(peer.wait(), limits::PING_EVERY);
        assert_eq!(peer.client, b"\x89\x00");
        peer.client.clear();
        peer.now += Duration::from_secs(1);
        peer.bytes(&frame(0x8a, b""));
    }
    peer.wait();
    assert_eq!(peer.wait(), limits::PING_EVERY);
    assert!(peer.done && peer.close_code() == 1001);
    let record = peer.conversation.record().to_string();
    assert!(record.contains("outcome=silent"), "{record}");
}

#[test]
fn a_connection_without_requests_is_closed_at_last() {
    let mut peer = Peer::open();
    peer.say(ASK);
    peer.answer(true);
    let begin = peer.now;
    let mut pings = 0;
    while !peer.done {
        peer.wait();
        peer.bytes(&frame(0x8a, b""));
        pings += 1;
        assert!(pings < 1000);
    }
    assert_eq!(peer.now.duration_since(begin), limits::WEBSOCKET_IDLE);
    assert_eq!(peer.close_code(), 1001);
}

#[test]
fn a_client_that_leaves_or_closes_cancels_in_every_phase() {
    for leave in 0..3 {
        for phase in 0..3 {
            let mut peer = Peer::open();
            peer.say(ASK);
            if phase > 0 {
                peer.input(Input::Connected { reused: false });
            }
            if phase > 1 {
                peer.input(Input::UpstreamBytes(ANSWER.as_bytes()));
            }
            peer.client.clear();
            match leave {
                0 => peer.input(Input::ClientGone),
                1 => peer.bytes(&frame(0x88, &1000u16.to_be_bytes())),
                _ => peer.bytes(&frame(0x83, b"")),
            }
            assert!(peer.done, "{leave} {phase}");
            assert_eq!(peer.closed, usize::from(phase > 0), "{leave} {phase}");
            let expected: &[u8] = match leave {
                0 => b"",
                1 => b"\x88\x02\x03\xe8",
                _ => b"\x88\x1c\x03\xeaan opcode that is reserved",
            };
            assert!(peer.client == expected, "{:?}", peer.took());
            let cancelled = peer.records.concat();
            assert!(cancelled.contains("outcome=client_gone"), "{cancelled}");
            let outcome = ["client_gone", "closed", "protocol"][leave];
            let record = peer.conversation.record().to_string();
            assert!(record.contains(&format!("outcome={outcome} ")), "{record}");
        }
    }
}

#[test]
fn a_drain_ends_what_rests_at_once_and_the_rest_properly() {
    let mut peer = Peer::open();
    assert!(peer.conversation.rests());
    peer.input(Input::Drain);
    assert!(peer.done && peer.close_code() == 1001);

    let mut peer = Peer::open();
    peer.say(ASK);
    peer.answer(false);
    assert!(!peer.conversation.rests());
    peer.say(ASK);
    peer.input(Input::Drain);
    assert!(peer.done && peer.close_code() == 1001);
    let said = peer.took();
    assert_eq!(said.matches("\"type\":\"response.failed\"").count(), 1);
    assert_eq!(peer.connects, 1, "what waited is not begun");
}

#[test]
fn a_request_that_waits_is_begun_when_the_other_is_over() {
    let mut peer = Peer::open();
    peer.say(ASK);
    peer.answer(false);
    peer.say(ASK);
    assert_eq!(peer.connects, 1);
    peer.input(Input::UpstreamBytes(END.as_bytes()));
    assert_eq!((peer.connects, peer.records.len()), (2, 1));
    peer.answer(true);
    assert_eq!(peer.records.len(), 2);
    assert!(peer.records[1].starts_with("WEBSOCKET /v1/responses status=200 outcome=completed"));
    let said = peer.took();
    assert_eq!(said.matches("\"type\":\"response.completed\"").count(), 2);
    assert!(!said.contains("[DONE]") && !said.contains("event: "));
}

#[test]
fn no_two_responses_share_an_id() {
    let mut peer = Peer::open();
    let mut ids = std::collections::HashSet::new();
    for n in 0..6 {
        match n % 2 {
            0 => peer.say(&ASK.replace("\"hi\"", "\"hi\",\"generate\":false")),
            _ => {
                peer.say(ASK);
                peer.answer(true);
            }
        }
        let said = peer.took();
        let at = said.find("resp_").expect("an id");
        assert!(ids.insert(said[at..at + 53].to_owned()), "{n}");
    }
    assert_eq!(peer.connects, 3);
}

proptest! {
    /// Whatever a client sends, and however it comes: nothing panics, no request is lost, and the
    /// answers are those of the messages one by one.
    #[test]
    fn the_segmentation_of_what_a_client_sends_does_not_matter(
        script in prop::collection::vec(0usize..7, 0..8),
        steps in prop::collection::vec(1usize..300, 1..6),
    ) {
        let messages: Vec<Vec<u8>> = script.iter().map(|n| match n {
            0 => frame(0x81, ASK.replace("\"hi\"", "\"hi\",\"generate\":false").as_bytes()),
            1 => frame(0x81, b"{\"type\":\"other\"}"),
            2 => frame(0x81, b"no json"),
            3 => frame(0x89, b"ping"),
            4 => [frame(0x01, b"[1"), frame(0x89, b""), frame(0x80, b"]")].concat(),
            5 => frame(0x81, ASK.replace("\"m\"", "7").as_bytes()),
            _ => frame(0x8a, b""),
        }).collect();
        let mut one_by_one = Peer::open();
        for message in &messages {
            one_by_one.bytes(message);
        }
        let mut pieces = Peer::open();
        let (bytes, mut steps) = (messages.concat(), steps.iter().cycle());
        // A piece holds one message's end at most: no client sends the next before the answer.
        let ends: Vec<usize> = messages.iter().scan(0, |at, m| { *at += m.len(); Some(*at) }).collect();
        let mut at = 0;
        while at < bytes.len() {
            let next = ends.iter().find(|e| **e > at).copied().unwrap_or(bytes.len());
            let end = (at + steps.next().unwrap()).min(next);
            pieces.bytes(&bytes[at..end]);
            at = end;
        }
        prop_assert_eq!(pieces.took(), one_by_one.took());
        prop_assert_eq!(pieces.records.len(), one_by_one.records.len());
    }
}

#[test]
fn another_connection_continues_what_is_kept() {
    let mut peer = Peer::keeping(Memory::default());
    peer.say(ASK);
    peer.answer(true);
    let first = peer.store.only();
    let (id, said) = (first.key.id.clone(), peer.took());
    assert!(said.contains(&id) && said.contains("\"store\":true"));
    assert!(
        peer.records[0].contains(" stored=yes"),
        "{:?}",
        peer.records
    );

    let mut peer = Peer::keeping(peer.store);
    let next = |id: &str, more: &str| {
        let previous = format!("\"input\":\"more\",\"previous_response_id\":{id:?}{more}");
        ASK.replace("\"input\":\"hi\"", &previous)
    };
    peer.say(&next(&id, ",\"store\":false"));
    peer.answer(true);
    let sent = peer.sent();
    assert_eq!(sent["messages"].as_array().unwrap().len(), 3, "{sent}");
    // What came from the store is remembered like what was said here.
    let said = peer.took();
    assert!(
        said.contains(&format!("\"previous_response_id\":\"{id}\"")),
        "{said}"
    );
    let at = said.find("resp_").unwrap();
    let second = said[at..at + 53].to_owned();
    assert_ne!(second, id);
    peer.say(&next(&second, ",\"store\":false"));
    peer.answer(true);
    assert_eq!(peer.sent()["messages"].as_array().unwrap().len(), 5);
    assert_eq!(peer.store.len(), 1);
    peer.took();
    peer.say(&next("resp_unknown", ""));
    assert!(peer.took().contains("previous_response_not_found"));
    peer.say(&ASK.replace("\"model\"", "\"background\":true,\"model\""));
    assert!(peer.took().contains("\"param\":\"background\""));
}
