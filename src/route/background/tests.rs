//! A background response and those who follow it, with a store in memory and a virtual clock.

use super::*;
use crate::route::ask_tests::get;
use crate::route::exchange_tests::{Peer, SSE, post};
use crate::route::keep_tests::{ask, keeping};
use crate::route::memory::Memory;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use std::time::Duration;

const ASK: &str = r#"{"model":"m","stream":true,"background":true,"input":"hi"}"#;

/// A background response and its surroundings.
struct Work {
    machine: Box<Background>,
    now: Instant,
    connects: usize,
    closed: usize,
    questions: VecDeque<Ask>,
    done: bool,
}

impl Work {
    /// Whatever was asked for is queued, and the client answered.
    fn queued(body: &str, store: &mut Memory) -> (Work, Peer) {
        let mut peer = ask(body);
        assert_eq!((peer.questions.len(), peer.connects), (1, 0));
        peer.input(Input::Stored(store.answer(peer.questions[0].clone())));
        peer.questions.pop_front();
        let machine = peer.spawned.take().expect("something for the background");
        let mut work = Work {
            machine,
            now: peer.now,
            connects: 0,
            closed: 0,
            questions: VecDeque::new(),
            done: false,
        };
        work.drive();
        (work, peer)
    }

    fn drive(&mut self) {
        loop {
            match self.machine.poll() {
                Action::Connect(_) => self.connects += 1,
                Action::ToUpstream(_) => self.machine.handle(Input::RequestSent, self.now),
                Action::CloseUpstream => self.closed += 1,
                Action::Store(ask) => self.questions.push_back(*ask),
                Action::ReleaseUpstream => {}
                Action::Done { .. } => {
                    self.done = true;
                    return;
                }
                Action::Wait => return,
                action => panic!("{action:?}"),
            }
        }
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle(input, self.now);
        self.drive();
    }

    fn chunk(&mut self, data: &str) {
        let frame = format!("data: {data}\n\n");
        let chunk = format!("{:x}\r\n{frame}\r\n", frame.len());
        self.input(Input::UpstreamBytes(chunk.as_bytes()));
    }

    fn text(&mut self, text: &str) {
        self.chunk(&json!({"choices":[{"index":0,"delta":{"content":text}}]}).to_string());
    }

    fn begin(&mut self) {
        self.input(Input::Connected { reused: false });
        self.input(Input::UpstreamBytes(SSE.as_bytes()));
    }

    fn end(&mut self) {
        self.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
        self.chunk("[DONE]");
        self.input(Input::UpstreamBytes(b"0\r\n\r\n"));
    }

    /// The store answers what it was asked.
    fn stored(&mut self, store: &mut Memory) {
        while let Some(question) = self.questions.pop_front() {
            self.input(Input::Stored(store.answer(question)));
        }
    }

    /// Time passes to the next deadline.
    fn wait(&mut self) {
        self.now = self.machine.deadline().expect("something is awaited");
        self.input(Input::Deadline);
    }

    /// Until all is kept.
    fn finish(&mut self, store: &mut Memory) {
        for _ in 0..20 {
            self.stored(store);
            if self.done {
                return;
            }
            self.wait();
        }
        panic!("it does not end: {}", self.machine.record());
    }
}

/// A follower asks until the store has no more for now.
fn follow(peer: &mut Peer, store: &mut Memory) {
    peer.stored(store);
    if peer.done.is_none() {
        peer.wait();
        peer.stored(store);
    }
}

fn events(said: &str) -> Vec<Json> {
    let of = |line: &str| serde_json::from_str(line.strip_prefix("data: ")?).ok();
    said.lines().filter_map(of).collect()
}

fn types(events: &[Json]) -> Vec<&str> {
    events.iter().map(|e| e["type"].as_str().unwrap()).collect()
}

fn resumed(id: &str, after: Option<u64>, store: &mut Memory) -> Peer {
    let after = after.map_or(String::new(), |n| format!("&starting_after={n}"));
    let head = format!("GET /v1/responses/{id}?stream=true{after} HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut peer = Peer::with(
        keeping(crate::route::exchange_tests::snapshot()),
        &head,
        b"",
    );
    peer.stored(store);
    peer
}

#[test]
fn it_is_answered_at_once_and_worked_on_behind() {
    let mut store = Memory::default();
    let body = ASK.replace("\"stream\":true", "\"stream\":false");
    let (mut work, peer) = Work::queued(&body, &mut store);
    let (status, queued) = peer.answered();
    assert_eq!((status, peer.done), (200, Some(true)));
    assert_eq!(
        (&queued["status"], &queued["background"]),
        (&json!("queued"), &json!(true))
    );
    assert_eq!(
        (&queued["store"], &queued["output"]),
        (&json!(true), &json!([]))
    );
    let id = queued["id"].as_str().unwrap();
    let path = format!("/v1/responses/{id}");
    work.stored(&mut store);
    assert_eq!(get(&mut store, "GET", &path).1["status"], "in_progress");
    work.begin();
    work.text("hello");
    work.end();
    work.finish(&mut store);
    let (_, whole) = get(&mut store, "GET", &path);
    assert_eq!(
        (&whole["status"], &whole["id"]),
        (&json!("completed"), &json!(id))
    );
    assert_eq!(whole["output"][0]["content"][0]["text"], "hello");
    for (name, value) in queued.as_object().unwrap() {
        let changes = ["status", "completed_at", "output", "usage"].contains(&name.as_str());
        assert!(changes || whole[name] == *value, "{name}");
    }
    // It was not asked for as a stream.
    assert_eq!(resumed(id, None, &mut store).answered().0, 400);
    let record = work.machine.record().to_string();
    assert!(record.contains("background=yes"), "{record}");
    let mut next = ask(&body.replace(
        "\"background\":true",
        &format!("\"previous_response_id\":{id:?}"),
    ));
    next.stored(&mut store);
    assert_eq!(next.connects, 1, "it can be continued");
}

#[test]
fn a_stream_is_followed_and_resumed_behind_every_event() {
    let mut store = Memory::default();
    let (mut work, mut peer) = Work::queued(ASK, &mut store);
    work.stored(&mut store);
    let id = store.only().key.id.clone();
    work.begin();
    for text in ["a", "b", "c"] {
        work.text(text);
        work.wait();
        work.stored(&mut store);
        follow(&mut peer, &mut store);
    }
    assert!(peer.said().contains("\"delta\":\"c\""), "{}", peer.said());
    work.end();
    work.finish(&mut store);
    follow(&mut peer, &mut store);
    assert_eq!((peer.done, peer.terminals()), (Some(true), 1));
    let whole = events(&peer.said());
    let begin = [
        "response.created",
        "response.queued",
        "response.in_progress",
    ];
    assert_eq!(types(&whole)[..3], begin);
    for (n, event) in whole.iter().enumerate() {
        assert_eq!(event["sequence_number"], n, "{event}");
        if let Some(response) = event.get("response") {
            assert_eq!(
                (&response["id"], &response["background"]),
                (&json!(id), &json!(true))
            );
        }
    }
    assert_eq!(whole[0]["response"]["status"], "queued");
    for cut in 0..whole.len() {
        let mut peer = resumed(&id, Some(cut as u64), &mut store);
        follow(&mut peer, &mut store);
        let rest = events(&peer.said());
        let missing = &whole[cut + 1..];
        match missing.is_empty() {
            // Behind the last event there is nothing but what it said.
            true => assert_eq!(types(&rest), ["response.completed"]),
            false => assert_eq!(rest, missing, "behind {cut}"),
        }
        assert_eq!((peer.done, peer.terminals()), (Some(true), 1));
        assert!(peer.said().ends_with("data: [DONE]\n\n\r\n0\r\n\r\n"));
    }
    let peer = resumed(&id, None, &mut store);
    assert_eq!(events(&peer.said()), whole);
}

#[test]
fn whoever_cancels_ends_the_provider_too() {
    let mut store = Memory::default();
    let (mut work, mut peer) = Work::queued(ASK, &mut store);
    work.stored(&mut store);
    let path = format!("/v1/responses/{}", store.only().key.id);
    work.begin();
    work.text("a");
    for _ in 0..2 {
        let (status, object) = get(&mut store, "POST", &format!("{path}/cancel"));
        assert_eq!((status, &object["status"]), (200, &json!("cancelled")));
    }
    let begun = work.now;
    work.finish(&mut store);
    assert!(work.now - begun <= limits::BACKGROUND_SIGN_EVERY);
    assert_eq!(work.closed, 1);
    assert!(
        work.machine
            .record()
            .to_string()
            .contains("background=unwanted")
    );
    assert_eq!(get(&mut store, "GET", &path).1["status"], "cancelled");
    // Whoever follows is told.
    follow(&mut peer, &mut store);
    assert_eq!((peer.done, peer.terminals()), (Some(true), 1));
    let said = events(&peer.said());
    assert_eq!(said.last().unwrap()["response"]["status"], "cancelled");
    // One that is deleted is not worked on either, however it waits.
    let mut store = Memory::default();
    let (mut work, mut peer) = Work::queued(ASK, &mut store);
    work.stored(&mut store);
    let path = format!("/v1/responses/{}", store.only().key.id);
    assert_eq!(get(&mut store, "DELETE", &path).0, 200);
    work.finish(&mut store);
    follow(&mut peer, &mut store);
    assert_eq!(
        (store.len(), peer.done, peer.terminals()),
        (0, Some(true), 1)
    );
}

#[test]
fn a_store_in_trouble_is_asked_again_and_loses_no_event() {
    let mut store = Memory::default();
    let (mut work, _peer) = Work::queued(ASK, &mut store);
    let id = store.only().key.id.clone();
    work.begin();
    work.text("a");
    // Every second answer is trouble, or none at all.
    for n in 0..60 {
        if work.done {
            break;
        }
        match work.questions.pop_front() {
            Some(_) if n % 2 == 0 && n % 3 == 0 => {
                work.input(Input::Stored(Reply::Failed("x".to_owned())))
            }
            Some(question) if n % 2 == 0 => {
                // It was done, but the answer comes too late.
                let reply = store.answer(question);
                work.wait();
                work.input(Input::Stored(reply));
            }
            Some(question) => work.input(Input::Stored(store.answer(question))),
            None => work.wait(),
        }
        if n == 5 {
            work.text("b");
            work.end();
        }
    }
    assert!(work.done, "{}", work.machine.record());
    let said = events(&resumed(&id, None, &mut store).said());
    let numbers: Vec<u64> = said
        .iter()
        .map(|e| e["sequence_number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..said.len() as u64).collect::<Vec<_>>());
    assert_eq!(store.only().status, Status::Completed);
}

#[test]
fn without_the_store_it_gives_up_as_all_others_think_it_has() {
    let mut store = Memory::default();
    let (mut work, _peer) = Work::queued(ASK, &mut store);
    work.stored(&mut store);
    work.begin();
    work.text("a");
    let begun = work.now;
    while !work.done {
        match work.questions.pop_front() {
            Some(_) => work.input(Input::Stored(Reply::Failed("gone".to_owned()))),
            None => work.wait(),
        }
    }
    let took = work.now - begun;
    assert!(took >= limits::BACKGROUND_SILENCE && took < 2 * limits::BACKGROUND_SILENCE);
    assert_eq!(work.closed, 1);
    assert!(
        work.machine
            .record()
            .to_string()
            .contains("background=failed")
    );
}

#[test]
fn a_sign_is_given_while_the_provider_is_silent() {
    let mut store = Memory::default();
    let (mut work, _peer) = Work::queued(ASK, &mut store);
    work.stored(&mut store);
    work.begin();
    let begun = work.now;
    let mut signs = 0;
    while work.now - begun < Duration::from_secs(20) {
        work.wait();
        signs += work.questions.len();
        work.stored(&mut store);
    }
    assert!((8..=24).contains(&signs), "{signs}");
}

#[test]
fn what_fails_or_is_drained_has_failed_for_everybody() {
    let refusal =
        "HTTP/1.1 429 X\r\ncontent-length: 34\r\n\r\n{\"error\":{\"message\":\"slow down\"}}\n\n";
    for (drain, code) in [(true, "server_error"), (false, "rate_limit_exceeded")] {
        let mut store = Memory::default();
        let (mut work, mut peer) = Work::queued(ASK, &mut store);
        work.stored(&mut store);
        work.input(Input::Connected { reused: false });
        match drain {
            true => work.input(Input::Drain),
            false => work.input(Input::UpstreamBytes(refusal.as_bytes())),
        }
        work.finish(&mut store);
        assert_eq!(store.only().status, Status::Failed);
        let path = format!("/v1/responses/{}", store.only().key.id);
        let (_, object) = get(&mut store, "GET", &path);
        assert_eq!(
            (&object["status"], &object["error"]["code"]),
            (&json!("failed"), &json!(code))
        );
        follow(&mut peer, &mut store);
        let said = events(&peer.said());
        assert_eq!(types(&said)[2..], ["error", "response.failed"]);
        assert_eq!(said.last().unwrap()["response"], object);
    }
}

#[test]
fn a_client_that_leaves_at_once_has_asked_all_the_same() {
    for body in [
        ASK.to_owned(),
        ASK.replace("\"stream\":true", "\"stream\":false"),
    ] {
        let mut peer = ask(&body);
        peer.input(Input::ClientGone);
        assert_eq!(peer.done, None);
        let mut store = Memory::default();
        peer.stored(&mut store);
        assert_eq!((peer.done, peer.spawned.is_some()), (Some(false), true));
        assert_eq!((store.len(), peer.said().as_str()), (1, ""));
    }
}

#[test]
fn a_follower_is_left_properly_when_strait_stops() {
    let mut store = Memory::default();
    let (_work, mut peer) = Work::queued(ASK, &mut store);
    peer.stored(&mut store);
    peer.input(Input::Drain);
    let begun = peer.now;
    while peer.done.is_none() {
        match peer.questions.is_empty() {
            true => peer.wait(),
            false => peer.stored(&mut store),
        }
    }
    assert_eq!(peer.now - begun, limits::STORE_LAST_WAIT);
    assert_eq!(
        (peer.done, peer.terminals()),
        (Some(false), 0),
        "it can be resumed elsewhere"
    );
    assert!(peer.said().ends_with("0\r\n\r\n"));
}

#[test]
fn what_cannot_be_for_the_background_is_told_at_once() {
    for (body, param) in [
        (
            ASK.replace("\"input\"", "\"store\":false,\"input\""),
            "store",
        ),
        (ASK.replace("\"hi\"", "7"), "input"),
        (ASK.replace("\"input\"", "\"tools\":7,\"input\""), "tools"),
    ] {
        let peer = ask(&body);
        let (status, answer) = peer.answered();
        assert_eq!((status, &answer["error"]["param"]), (400, &json!(param)));
        assert!(peer.questions.is_empty());
    }
    let mut peer = ask(ASK);
    peer.input(Input::Stored(Reply::Failed("x".to_owned())));
    assert_eq!((peer.answered().0, peer.spawned.is_none()), (503, true));
    // Without a store nobody can.
    let peer = Peer::with(
        crate::route::exchange_tests::snapshot(),
        &post("/v1/responses", ASK.len()),
        ASK.as_bytes(),
    );
    assert_eq!(peer.answered().1["error"]["param"], "background");
}
