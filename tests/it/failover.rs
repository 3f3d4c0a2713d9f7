//! Providers that fail in every way, and who answers instead; over real sockets.

use crate::client::{Answer as Got, Connection, post_with, respond};
use crate::codex::Codex;
use crate::provider::{Answer, Provider, delta, text};
use crate::strait::{Strait, scratch};
use crate::websocket_client::{WebSocket, create, text_of};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// Quick waits, and silence that is noticed soon.
const QUICK: &str = "[timeouts]\nfirst_byte_s = 0.3\n[retry]\nbackoff_s = 0.01\n";

/// How a server breaks that is no provider of ours.
#[derive(Clone, Copy, Debug)]
enum Broken {
    /// Closes its side without a word.
    HalfClosed,
    /// Resets in the middle of a head.
    MidHead,
    /// Says what is no HTTP.
    Garbage,
}

/// A server that breaks for every request; its URL.
fn broken(how: Broken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut buffer = [0; 64 * 1024];
                // These requests come in one piece.
                let _ = stream.read(&mut buffer);
                match how {
                    Broken::HalfClosed => {}
                    Broken::MidHead => {
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-ty");
                        let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                        return;
                    }
                    Broken::Garbage => drop(stream.write_all(b"\x16\x03\x01 what?\r\n\r\n")),
                }
                let _ = stream.shutdown(Shutdown::Write);
                while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
            });
        }
    });
    url
}

/// The URL of a server that is down.
fn down() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/v1", listener.local_addr().unwrap())
}

/// A Strait whose model `m` is the first provider's, else the second's.
fn two(first: &str, second: &Provider, driver: &str, more: &str) -> Strait {
    with_models(
        "m = [\"mock/x\", \"second/y\"]",
        first,
        second,
        driver,
        more,
    )
}

fn with_models(models: &str, first: &str, second: &Provider, driver: &str, more: &str) -> Strait {
    let url = second.url();
    let more = format!(
        "[providers.second]\nprofile = \"openai-compatible\"\nbase_url = \"{url}\"\n[models]\n{models}\n{more}"
    );
    Strait::with("openai-compatible", first, driver, &more)
}

fn says(word: &'static str) -> Provider {
    Provider::answering(move |_| Answer::Stream(text(word)))
}

fn request() -> Value {
    json!({"model": "m", "stream": true, "input": "hi"})
}

fn of_session(strait: &Strait, session: &str) -> Got {
    let mut connection = Connection::open(strait.address);
    let field = format!("session-id: {session}\r\n");
    let body = request().to_string();
    connection.send(post_with("/v1/responses", &field, body.as_bytes()));
    connection.answer()
}

fn is_good(got: &Got, word: &str) {
    assert_eq!((got.status, text_of(&got.events()).as_str()), (200, word));
    assert_eq!(got.terminals(), ["response.completed"]);
}

fn is_answered(strait: &Strait, word: &str) {
    is_good(&respond(strait.address, &request()), word);
}

fn status(status: u16, fields: &'static str) -> Answer {
    let body = json!({"error": {"message": "not now"}}).to_string();
    Answer::Plain(status, fields, body)
}

#[test]
fn whatever_befalls_the_first_target_the_second_answers() {
    for driver in DRIVERS {
        let servers = [
            down(),
            broken(Broken::HalfClosed),
            broken(Broken::MidHead),
            broken(Broken::Garbage),
        ];
        for url in servers {
            let second = says("second");
            let strait = two(&url, &second, driver, QUICK);
            is_answered(&strait, "second");
            assert_eq!(second.take_seen().len(), 1);
        }
        let in_band = || json!({"error": {"message": "no", "code": 503}}).to_string();
        let answers: [(usize, Box<dyn Fn() -> Answer + Send + Sync>); 7] = [
            (3, Box::new(|| Answer::Mute)),
            (3, Box::new(|| Answer::Reset(Vec::new()))),
            (3, Box::new(|| status(500, ""))),
            (3, Box::new(move || Answer::Stream(vec![in_band()]))),
            (1, Box::new(|| status(429, "retry-after: 60\r\n"))),
            (1, Box::new(|| status(401, ""))),
            (1, Box::new(|| status(404, ""))),
        ];
        for (tries, answer) in answers {
            let first = Provider::answering(move |_| answer());
            let second = says("second");
            let strait = two(&first.url(), &second, driver, QUICK);
            is_answered(&strait, "second");
            let asked = (first.take_seen().len(), second.take_seen().len());
            assert_eq!(asked, (tries, 1));
        }
    }
}

#[test]
fn trouble_that_passes_is_not_noticed() {
    for driver in DRIVERS {
        let first = Provider::start(vec![
            status(503, ""),
            status(429, "retry-after: 1\r\n"),
            Answer::Stream(text("at last")),
        ]);
        let second = says("second");
        let strait = two(&first.url(), &second, driver, "[retry]\n");
        let begun = Instant::now();
        is_answered(&strait, "at last");
        assert!(begun.elapsed() > Duration::from_secs(1), "retry-after");
        assert_eq!((first.take_seen().len(), second.take_seen().len()), (3, 0));
    }
}

#[test]
fn a_failure_after_output_is_told_and_nobody_else_is_asked() {
    for driver in DRIVERS {
        let first = Provider::answering(|_| Answer::Reset(vec![delta(json!({"content": "half"}))]));
        let second = says("second");
        let strait = two(&first.url(), &second, driver, QUICK);
        let got = respond(strait.address, &request());
        assert_eq!(got.terminals(), ["response.failed"]);
        assert_eq!((first.take_seen().len(), second.take_seen().len()), (1, 0));
    }
}

#[test]
fn a_breaker_keeps_from_asking_until_a_probe_succeeds() {
    for driver in DRIVERS {
        let first = Provider::start(vec![
            status(503, ""),
            status(503, ""),
            status(503, ""),
            Answer::Stream(text("first")),
            Answer::Stream(text("first")),
        ]);
        let second = says("second");
        let more = "[retry]\nattempts = 1\n[breaker]\nfailures = 2\nopen_s = 0.5\n";
        let strait = two(&first.url(), &second, driver, more);
        let ask = || text_of(&respond(strait.address, &request()).events());
        let (begun, mut others) = (Instant::now(), 0);
        assert_eq!([ask(), ask()], ["second", "second"]);
        while ask() == "second" {
            others += 1;
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        // Of all these requests one probed in vain, and the last one well.
        assert_eq!(first.take_seen().len(), 4, "{others} passed by");
        assert!(begun.elapsed() > Duration::from_secs(1));
        assert_eq!(ask(), "first", "it is closed");
    }
}

#[test]
fn a_session_stays_with_its_target_and_the_shares_are_kept() {
    let [first, second] = ["first", "second"].map(says);
    let models =
        "m = { split = [{ to = \"mock/x\", weight = 3 }, { to = \"second/y\", weight = 1 }] }";
    let one = with_models(models, &first.url(), &second, "io_uring", "");
    let other = with_models(models, &first.url(), &second, "epoll", "");
    for n in 0..80 {
        let session = format!("0199-{n}");
        let home = text_of(&of_session(&one, &session).events());
        is_good(&of_session(&other, &session), &home);
    }
    // Three quarters of 160.
    let asked = first.take_seen().len();
    assert!((96..=144).contains(&asked), "{asked}");
}

#[test]
fn what_is_passed_through_fails_over_as_well() {
    let busy = |created: &str| {
        let failed = json!({"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "busy"}}});
        Answer::Raw(format!("{created}data: {failed}\n\n").into_bytes())
    };
    let created = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\"}}\n\n";
    let first = Provider::answering(move |_| busy(created));
    let second = Provider::answering(move |_| {
        let done =
            json!({"type": "response.completed", "response": {"id": "resp_1", "output": []}});
        Answer::Raw(format!("{created}data: {done}\n\n").into_bytes())
    });
    let more = "[providers.mock.override]\nwire = \"responses\"\n[providers.second.override]\nwire = \"responses\"\n[retry]\nbackoff_max_s = 0\n";
    let strait = two(&first.url(), &second, "io_uring", more);
    let got = respond(strait.address, &request());
    assert_eq!(got.terminals(), ["response.completed"]);
    assert_eq!((first.take_seen().len(), second.take_seen().len()), (1, 1));

    let wrong = json!({"error": {"message": "no", "code": 503}}).to_string();
    let first = Provider::answering(move |_| Answer::Stream(vec![wrong.clone()]));
    let second = says("second");
    let strait = two(&first.url(), &second, "io_uring", QUICK);
    let body =
        json!({"model": "m", "stream": true, "messages": [{"role": "user", "content": "hi"}]});
    let mut connection = Connection::open(strait.address);
    connection.send(post_with(
        "/v1/chat/completions",
        "",
        body.to_string().as_bytes(),
    ));
    let said = String::from_utf8(connection.answer().body).unwrap();
    assert!(said.contains("second") && !said.contains("error"), "{said}");
    assert_eq!((first.take_seen().len(), second.take_seen().len()), (3, 1));
}

#[test]
fn a_breaker_stays_open_over_a_reload() {
    let first = Provider::answering(|_| status(503, ""));
    let second = says("second");
    let more = "[retry]\nattempts = 1\n[breaker]\nfailures = 1\nopen_s = 3600\n";
    let strait = two(&first.url(), &second, "io_uring", more);
    is_answered(&strait, "second");
    strait.signal("HUP");
    assert_eq!(strait.says("configuration "), "configuration reloaded");
    is_answered(&strait, "second");
    assert_eq!((first.take_seen().len(), second.take_seen().len()), (1, 2));
}

#[test]
fn a_key_that_is_refused_is_left_alone_and_none_crosses_over() {
    let first = Provider::answering(|seen| {
        let keys =
            ["sk-good", "sk-bad"].map(|key| seen.head.contains(&format!("Bearer {key}\r\n")));
        match keys {
            [true, false] => Answer::Stream(text("good")),
            [false, true] => status(401, ""),
            _ => status(400, ""),
        }
    });
    let second = Provider::answering(|seen| match seen.head.contains("sk-") {
        true => status(400, ""),
        false => Answer::Stream(text("second")),
    });
    let more = format!(
        "[providers.keyed]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\napi_keys = [\"sk-bad\", \"sk-good\"]\n",
        first.url()
    );
    let models = "m = [\"keyed/x\", \"second/y\"]";
    let strait = with_models(models, &down(), &second, "io_uring", &more);
    for n in 0..12 {
        is_good(&of_session(&strait, &n.to_string()), "good");
    }
    let seen = first.take_seen();
    let bad = seen.iter().filter(|s| s.head.contains("sk-bad")).count();
    assert_eq!((seen.len(), bad), (13, 1));
}

#[test]
fn websockets_and_the_background_fail_over_as_well() {
    for driver in DRIVERS {
        let second = says("second");
        let store = scratch("failover").join("strait.db");
        let more = format!("{QUICK}[store]\nurl = \"sqlite:{}\"\n", store.display());
        let strait = two(&down(), &second, driver, &more);
        let mut socket = WebSocket::open(strait.address);
        let events = socket.ask(&create(json!("hi"), None));
        assert_eq!(text_of(&events), "second");
        let mut body = request();
        body["background"] = json!(true);
        is_good(&respond(strait.address, &body), "second");
        assert_eq!(second.take_seen().len(), 2);
    }
}

#[test]
fn codex_does_not_notice_that_the_first_target_is_down() {
    for driver in DRIVERS {
        let second = says("Hello from the second");
        let strait = two(&down(), &second, driver, "[retry]\n");
        let Some(codex) = Codex::new(&strait, "m", "") else {
            return;
        };
        let run = codex.exec(&["hi"]);
        let said = (run.code, run.text());
        assert_eq!(said, (0, "Hello from the second".into()), "{run:#?}");
        assert!(run.errors().is_empty(), "{run:#?}");
    }
}
