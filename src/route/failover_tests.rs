//! One try after another, with a virtual clock: who is asked, when, and what the client gets.

use super::exchange::{Input, Machine, Note};
use super::exchange_tests::{Peer, SSE, post};
use crate::config::{self, Snapshot};
use crate::ledger::record::Record;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const S: Duration = Duration::from_secs(1);

/// Three providers, `a` with two keys, and what is appended.
fn world(more: &str) -> Arc<Snapshot> {
    let mut text = String::new();
    for (name, port, keys) in [("a", 1, "\"one\", \"two\""), ("b", 2, ""), ("c", 3, "")] {
        text.push_str(&format!(
            "[providers.{name}]\nprofile = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:{port}\"\napi_keys = [{keys}]\n"
        ));
    }
    Arc::new(config::parse("f", &(text + more), &|_| None).unwrap())
}

/// A request of a session for a model, at a time.
fn ask_at(world: &Arc<Snapshot>, model: &str, session: &str, now: Instant) -> Peer {
    let body = format!(r#"{{"model":"{model}","stream":true,"input":"hi"}}"#);
    let fields = format!("session-id: {session}\r\n\r\n");
    let head = post("/v1/responses", body.len());
    let head = head.trim_end_matches("\r\n").to_owned() + "\r\n" + &fields;
    Peer::at(Arc::clone(world), &head, body.as_bytes(), now)
}

fn ask(world: &Arc<Snapshot>, model: &str) -> Peer {
    ask_at(world, model, "s", Instant::now())
}

/// What a try meets.
#[derive(Clone, Copy, Debug)]
enum Meets {
    /// No connection.
    Refused,
    /// An HTTP status, and further fields.
    Status(u16, &'static str),
    /// The end of the connection in the middle of a head.
    HalfHead,
    /// What is no HTTP.
    Garbage,
    /// An error inside a 200, before there is output.
    InBand,
    /// Output, and then a reset.
    Cut,
    /// A whole answer.
    Good,
}

const OVERLOADED: Meets = Meets::Status(503, "");

/// Everything that passes, so that trying again helps.
const PASSING: [Meets; 10] = [
    Meets::Refused,
    Meets::Status(408, ""),
    Meets::Status(409, ""),
    Meets::Status(429, "retry-after: 1\r\n"),
    Meets::Status(500, ""),
    OVERLOADED,
    Meets::Status(529, ""),
    Meets::HalfHead,
    Meets::Garbage,
    Meets::InBand,
];

impl Peer {
    /// The try that is under way, number `n`, meets this.
    fn meets(&mut self, n: usize, what: Meets) {
        if let Meets::Refused = what {
            return self.input(Input::ConnectFailed("refused"));
        }
        self.connected();
        match what {
            Meets::Refused => {}
            Meets::Status(status, fields) => {
                let body = format!("{{\"error\":{{\"message\":\"try {n}.\"}}}}");
                let length = body.len();
                self.bytes(&format!(
                    "HTTP/1.1 {status} X\r\n{fields}content-length: {length}\r\n\r\n{body}"
                ));
            }
            Meets::HalfHead => {
                self.bytes("HTTP/1.1 200 OK\r\ncontent-");
                self.input(Input::UpstreamBroken("connection reset by peer"));
            }
            Meets::Garbage => self.bytes("\u{1}\u{2}\u{3} what? \r\n\r\n"),
            Meets::InBand => {
                self.bytes(SSE);
                self.chunk(r#"{"error":{"message":"no","code":503}}"#);
            }
            Meets::Cut => {
                self.bytes(SSE);
                self.text(&format!("try {n}."));
                self.input(Input::UpstreamBroken("connection reset by peer"));
            }
            Meets::Good => {
                self.bytes(SSE);
                self.text(&format!("try {n}."));
                self.chunk(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#);
                self.chunk("[DONE]");
                self.bytes("0\r\n\r\n");
            }
        }
    }

    /// The tries meet these, one after another, with the waits that there are; which ports were
    /// asked is told.
    fn all_meet(&mut self, script: &[Meets]) -> Vec<u16> {
        let mut asked = Vec::new();
        for (n, what) in script.iter().enumerate() {
            if self.connects == n {
                self.wait();
            }
            assert_eq!(self.connects, n + 1, "{script:?}: {}", self.said());
            asked.push(self.origins[n]);
            self.meets(n, *what);
        }
        asked
    }

    fn waits(&mut self) -> Duration {
        let begun = self.now;
        self.wait();
        self.now.duration_since(begun)
    }

    fn noted(&mut self) -> Box<Record> {
        match self.exchange.record() {
            Note::Exchange(record) => record,
            other => panic!("{other:?}"),
        }
    }

    fn is_good(&self) -> bool {
        self.said().starts_with("HTTP/1.1 200 ") && self.said().contains("response.completed")
    }
}

const B: &str = "b/m";

#[test]
fn what_passes_is_tried_again_with_a_jittered_backoff() {
    for what in PASSING {
        let mut peer = ask(&world(""), B);
        peer.meets(0, what);
        assert_eq!((peer.done, peer.connects), (None, 1), "{what:?}");
        let first = peer.waits();
        peer.meets(1, what);
        let second = peer.waits();
        peer.meets(2, Meets::Good);
        assert!(peer.is_good(), "{what:?}: {}", peer.said());
        let (low, high) = match what {
            Meets::Status(429, _) => (1000..=1100, 1000..=1100),
            _ => (125..=250, 250..=500),
        };
        assert!(low.contains(&first.as_millis()), "{what:?}: {first:?}");
        assert!(high.contains(&second.as_millis()), "{what:?}: {second:?}");
        let record = peer.noted();
        assert_eq!((record.tries.len(), record.status), (3, 200));
        let errors: Vec<bool> = record.tries.iter().map(|t| t.error.is_empty()).collect();
        assert_eq!(errors, [false, false, true], "{:?}", record.tries);
    }
}

#[test]
fn it_ends_after_so_many_tries_and_the_jitter_differs() {
    let world = world("");
    let mut waits = Vec::new();
    for _ in 0..4 {
        let mut peer = ask_at(&world, "c/m", "s", Instant::now());
        peer.meets(0, Meets::Status(429, ""));
        waits.push(peer.waits());
        peer.meets(1, Meets::Status(429, ""));
        peer.wait();
        peer.meets(2, Meets::Status(429, ""));
        assert!(peer.said().starts_with("HTTP/1.1 429 "), "{}", peer.said());
        assert!(peer.said().contains("try 2."), "the last one is told");
    }
    waits.dedup();
    assert!(waits.len() > 1, "{waits:?}");
}

#[test]
fn what_the_request_is_to_blame_for_is_never_tried_again() {
    for status in [400, 405, 413, 422] {
        let world = world("[models]\nm = [\"a/x\", \"b/y\"]\n");
        let mut peer = ask(&world, "m");
        peer.meets(0, Meets::Status(status, ""));
        assert_eq!((peer.done, peer.connects), (Some(true), 1), "{status}");
        let health = &world.providers["a"].health;
        assert!(health.conditions().iter().all(|c| c.in_a_row == 0));
    }
}

#[test]
fn retry_after_is_honoured_where_it_fits() {
    let again = Meets::Status(503, "retry-after: 3\r\n");
    let mut peer = ask(&world(""), B);
    peer.meets(0, again);
    let waited = peer.waits();
    assert!(waited >= S * 3 && waited <= S * 4, "{waited:?}");
    // Too long: the next target at once, and where there is none the client is told.
    let late = Meets::Status(429, "retry-after: 30\r\n");
    let world = world("[models]\nm = [\"b/x\", \"c/y\"]\n");
    let mut peer = ask(&world, "m");
    assert_eq!(peer.all_meet(&[late, late]), [2, 3]);
    assert!(peer.said().starts_with("HTTP/1.1 429 "), "{}", peer.said());
    assert!(peer.said().contains("retry-after: 30\r\n"));
    assert_eq!(peer.done, Some(true));
}

#[test]
fn of_several_that_are_too_busy_the_soonest_is_told() {
    let mut peer = ask(&world("[models]\nm = [\"b/x\", \"c/y\"]\n"), "m");
    peer.all_meet(&[
        Meets::Status(429, "retry-after: 20\r\n"),
        Meets::Status(429, "retry-after: 40\r\n"),
    ]);
    assert!(
        peer.said().contains("retry-after: 20\r\n"),
        "{}",
        peer.said()
    );
}

#[test]
fn one_deadline_holds_for_all() {
    let world = world("[models]\nm = [\"b/x\", \"c/y\", \"a/z\"]\n[retry]\ndeadline_s = 12\n");
    let mut peer = ask(&world, "m");
    // Ten seconds for a connection that does not come: not with the same target again.
    peer.wait();
    assert_eq!((peer.done, peer.origins.as_slice()), (None, &[2, 3][..]));
    peer.wait();
    assert_eq!((peer.done, peer.connects), (Some(true), 2));
    assert!(peer.said().starts_with("HTTP/1.1 502 "), "{}", peer.said());
}

#[test]
fn a_key_that_is_refused_or_out_of_money_is_replaced_and_left_alone() {
    for status in [401, 402, 403] {
        let world = world("[models]\nm = [\"a/x\", \"b/y\"]\n");
        let refused = Meets::Status(status, "");
        let mut peer = ask(&world, "m");
        let shown = |peer: &mut Peer| {
            peer.connected();
            let sent = String::from_utf8_lossy(&peer.upstream).into_owned();
            ["one", "two"].map(|key| sent.contains(&format!("Bearer {key}\r\n")))
        };
        let first = shown(&mut peer);
        peer.meets(0, refused);
        let second = shown(&mut peer);
        assert_eq!(first.map(|shown| !shown), second, "the other key");
        peer.meets(1, Meets::Good);
        assert!(peer.is_good(), "{status}: {}", peer.said());
        let record = peer.noted();
        let keys: Vec<u16> = record.tries.iter().map(|t| t.key).collect();
        assert!(keys == [1, 2] || keys == [2, 1], "{keys:?}");
        // The same session stays with the key that works while the other one rests.
        let mut again = ask_at(&world, "m", "s", peer.now + S);
        assert_eq!(shown(&mut again), second);
        // And where both are refused, the next target.
        again.meets(0, refused);
        assert_eq!(again.connects, 2);
        again.meets(1, Meets::Good);
        assert_eq!(again.noted().tries[1].provider, "b");
        let mut next = ask_at(&world, "m", "s", peer.now + S);
        next.meets(0, Meets::Good);
        let record = next.noted();
        assert_eq!(record.tries[0].provider, "b");
        assert_eq!(record.tries[0].passed[0].why, "key_resting");
        // It comes back to its first key when that has rested.
        let mut back = ask_at(&world, "m", "s", peer.now + S * 61);
        assert_eq!(shown(&mut back), first);
    }
}

#[test]
fn a_key_that_is_too_fast_is_left_alone_as_long_as_the_provider_says() {
    let world = world("");
    let busy = Meets::Status(429, "retry-after: 20\r\n");
    let mut peer = ask(&world, "a/x");
    peer.all_meet(&[busy, Meets::Good]);
    assert!(peer.is_good());
    let own = peer.noted().tries[0].key;
    let key_at = |model: &str, seconds| {
        let mut peer = ask_at(&world, model, "s", peer.now + S * seconds);
        peer.meets(0, Meets::Good);
        peer.noted().tries[0].key
    };
    assert_ne!(key_at("a/x", 19), own);
    assert_eq!(
        key_at("a/other", 19),
        own,
        "another model has its own limit"
    );
    assert_eq!(key_at("a/x", 21), own, "the conversation comes back");
}

#[test]
fn a_model_that_a_target_does_not_have_is_asked_of_the_next() {
    let mut peer = ask(&world("[models]\nm = [\"b/x\", \"c/y\"]\n"), "m");
    assert_eq!(
        peer.all_meet(&[Meets::Status(404, ""), Meets::Good]),
        [2, 3]
    );
    assert!(peer.is_good(), "{}", peer.said());
}

#[test]
fn after_the_first_byte_nothing_is_tried_again() {
    let mut peer = ask(&world("[models]\nm = [\"b/x\", \"c/y\"]\n"), "m");
    peer.meets(0, Meets::Cut);
    assert_eq!((peer.connects, peer.terminals()), (1, 1));
    assert!(peer.said().contains("event: response.failed\n"));
    assert!(peer.done.is_some());
}

#[test]
fn a_client_that_leaves_ends_the_wait() {
    let mut peer = ask(&world(""), B);
    peer.meets(0, OVERLOADED);
    assert_eq!(peer.done, None);
    peer.input(Input::ClientGone);
    assert_eq!((peer.done, peer.connects), (Some(false), 1));
    assert_eq!(peer.noted().outcome, "client_gone");
    let mut peer = ask(&world(""), B);
    peer.meets(0, OVERLOADED);
    peer.input(Input::Drain);
    assert!(peer.said().starts_with("HTTP/1.1 503 "), "{}", peer.said());
}

#[test]
fn a_breaker_opens_is_passed_over_and_is_probed() {
    let world = world("[models]\nm = [\"b/x\", \"c/y\"]\n");
    let begun = Instant::now();
    let mut peer = ask_at(&world, "m", "s", begun);
    assert_eq!(
        peer.all_meet(&[OVERLOADED, OVERLOADED, OVERLOADED, Meets::Good]),
        [2, 2, 2, 3]
    );
    let mut peer = ask_at(&world, "m", "s", begun);
    // The fifth failure in a row: no third try.
    assert_eq!(
        peer.all_meet(&[OVERLOADED, OVERLOADED, Meets::Good]),
        [2, 2, 3]
    );
    let opened = peer.now;
    let mut peer = ask_at(&world, "m", "s", opened);
    assert_eq!(peer.all_meet(&[Meets::Good]), [3]);
    let record = peer.noted();
    assert_eq!(record.tries[0].passed[0].why, "breaker_open");
    assert_eq!(record.tries[0].passed[0].provider, "b");
    // Its time is over: one request probes, the others pass by.
    let later = opened + world.breaker.open;
    let mut probe = ask_at(&world, "m", "s", later);
    let mut other = ask_at(&world, "m", "s", later);
    assert_eq!(other.all_meet(&[Meets::Good]), [3]);
    assert_eq!(probe.all_meet(&[OVERLOADED, Meets::Good]), [2, 3]);
    let later = later + world.breaker.open;
    let mut leaves = ask_at(&world, "m", "s", later);
    leaves.connected();
    leaves.input(Input::ClientGone);
    let mut probe = ask_at(&world, "m", "s", later);
    assert_eq!(
        probe.all_meet(&[Meets::Good]),
        [2],
        "the probe was given back"
    );
    let mut peer = ask_at(&world, "m", "s", later);
    assert_eq!(peer.all_meet(&[Meets::Good]), [2]);
}

#[test]
fn where_all_are_out_the_one_that_opened_first_is_asked_once() {
    let world = world("[models]\nm = [\"b/x\", \"c/y\"]\n");
    let mut now = Instant::now();
    for model in ["c/y", "c/y", "b/x", "b/x"] {
        let mut peer = ask_at(&world, model, "s", now);
        while peer.done.is_none() {
            peer.meets(0, Meets::Refused);
            if peer.done.is_none() {
                peer.wait();
            }
        }
        now = peer.now + Duration::from_millis(1);
    }
    let mut peer = ask_at(&world, "m", "s", now);
    assert_eq!(peer.all_meet(&[Meets::Refused]), [3]);
    assert_eq!(peer.done, Some(true));
    assert!(peer.said().starts_with("HTTP/1.1 502 "), "{}", peer.said());
    // Alone or not: a request is never refused that might have been served.
    let mut peer = ask_at(&world, "b/x", "s", now);
    assert_eq!(peer.all_meet(&[Meets::Good]), [2]);
    assert!(peer.is_good());
}

#[test]
fn weights_share_the_conversations_and_each_stays_where_it_is() {
    let split = "m = { split = [{ to = \"b/x\", weight = 3 }, { to = \"c/y\" }] }";
    let world = world(&format!("[models]\n{split}\n"));
    let mut shares: BTreeMap<u16, usize> = BTreeMap::new();
    let now = Instant::now();
    for n in 0..400 {
        let session = format!("session-{n}");
        let mut first = ask_at(&world, "m", &session, now);
        let home = first.all_meet(&[Meets::Good]);
        let mut second = ask_at(&world, "m", &session, now);
        assert_eq!(second.all_meet(&[Meets::Good]), home);
        *shares.entry(home[0]).or_default() += 1;
    }
    assert!((270..330).contains(&shares[&2]), "{shares:?}");
    // The others are what a failure falls back on.
    let mut peer = ask_at(&world, "m", "session-1", now);
    let asked = peer.all_meet(&[OVERLOADED, OVERLOADED, OVERLOADED, Meets::Good]);
    assert_ne!(asked[0], asked[3]);
}

#[test]
fn without_a_session_the_beginning_of_the_conversation_counts() {
    let split = "m = { split = [{ to = \"b/x\" }, { to = \"c/y\" }] }";
    let world = world(&format!("[models]\n{split}\n"));
    let home = |body: &str| {
        let head = post("/v1/responses", body.len());
        let mut peer = Peer::at(Arc::clone(&world), &head, body.as_bytes(), Instant::now());
        peer.all_meet(&[Meets::Good])[0]
    };
    let mut homes = Vec::new();
    for n in 0..32 {
        let turn = format!(r#"{{"role":"user","content":"question {n}"}}"#);
        let short = home(&format!(
            r#"{{"model":"m","stream":true,"input":[{turn}]}}"#
        ));
        let more = r#"{"role":"assistant","content":"x"},{"role":"user","content":"y"}"#;
        let long = home(&format!(
            r#"{{"model":"m","stream":true,"input":[{turn},{more}]}}"#
        ));
        assert_eq!(short, long);
        homes.push(short);
        let key = home(&format!(
            r#"{{"model":"m","stream":true,"prompt_cache_key":"one","input":[{turn}]}}"#
        ));
        assert_eq!(
            key,
            home(r#"{"model":"m","stream":true,"prompt_cache_key":"one","input":"z"}"#)
        );
    }
    assert!(homes.contains(&2) && homes.contains(&3));
}

fn meets() -> impl Strategy<Value = Meets> {
    let mut all = PASSING.to_vec();
    all.extend([
        Meets::Status(400, ""),
        Meets::Status(401, ""),
        Meets::Status(402, ""),
        Meets::Status(404, ""),
        Meets::Status(429, ""),
        Meets::Status(429, "retry-after: 0\r\n"),
        Meets::Status(429, "retry-after: 99\r\n"),
        Meets::Cut,
        Meets::Good,
    ]);
    prop::sample::select(all)
}

proptest! {
    #[test]
    fn whatever_fails_the_client_gets_one_answer_of_one_try(
        script in prop::collection::vec(meets(), 1..40),
        chain in prop::sample::select(vec!["all", "shared", "a/x"]),
    ) {
        let world = world(
            "[models]\nall = [\"a/x\", \"b/y\", \"c/z\"]\nshared = { split = [{ to = \"a/x\" }, { to = \"b/y\" }] }\n",
        );
        let mut peer = ask(&world, chain);
        let mut tries = 0;
        while peer.done.is_none() {
            if peer.connects > tries {
                peer.meets(tries, script[tries % script.len()]);
                tries += 1;
            } else {
                peer.wait();
            }
            prop_assert!(tries <= 64);
        }
        let said = peer.said();
        prop_assert_eq!(said.matches("HTTP/1.1 ").count(), 1, "{}", said);
        let streamed = said.starts_with("HTTP/1.1 200 ");
        prop_assert_eq!(peer.terminals(), usize::from(streamed), "{}", said);
        let last = format!("try {}.", tries - 1);
        let others = said.replace(&last, "").contains("try ");
        prop_assert!(!others || !streamed, "{}", said);
        prop_assert!(peer.now.duration_since(peer.began) < world.retry.deadline + S);
        let record = peer.noted();
        prop_assert_eq!(record.tries.len(), tries);
        let wrong = record.tries[..tries - 1].iter().any(|t| t.error.is_empty());
        prop_assert!(!wrong, "{:?}", record.tries);
        // Nothing is left half open by a probe that nobody ends.
        let mut after = ask_at(&world, chain, "s", peer.now + S * 100);
        after.meets(0, Meets::Good);
        prop_assert!(after.is_good(), "{}", after.said());
    }
}
