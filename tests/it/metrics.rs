//! What is counted: exactly what happened, summed over workers, for whoever may see it.

use crate::client::{Answer as Got, Connection, post_with};
use crate::exposition::Scrape;
use crate::provider::{Answer, Provider, Seen, delta, text};
use crate::strait::Strait;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;

/// A configuration with two workers and one provider; `more` stands behind it, `top` before.
fn config(top: &str, url: &str, more: &str) -> String {
    format!(
        "{top}listen = [\"127.0.0.1:0\"]\nworkers = 2\n[retry]\nattempts = 1\n[providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{url}\"\napi_key = \"sk-test-provider-key\"\n{more}"
    )
}

const MODELS: &str =
    "[models]\nfast = \"mock/served\"\nbad = \"mock/broken\"\n\"*\" = \"mock/*\"\n";

fn answers(seen: &Seen) -> Answer {
    match seen.body["model"].as_str() {
        Some("served") => Answer::Stream(text("hello there world")),
        // Nobody's fault but the client's: no breaker opens.
        Some(other) if other.starts_with("made-up") => Answer::Plain(400, "", "{}".to_owned()),
        _ => Answer::Plain(503, "", "{}".to_owned()),
    }
}

/// Everything that comes back on a connection of its own.
fn raw(address: SocketAddr, body: &Value) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let body = body.to_string();
    let request = post_with("/v1/responses", "connection: close\r\n", body.as_bytes());
    stream.write_all(&request).unwrap();
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    all
}

fn get(address: SocketAddr, path: &str, fields: &str) -> Got {
    let mut connection = Connection::open(address);
    connection.send(format!(
        "GET {path} HTTP/1.1\r\nhost: {address}\r\n{fields}\r\n"
    ));
    connection.answer()
}

fn scrape(address: SocketAddr) -> Scrape {
    let answer = get(address, "/metrics", "");
    assert_eq!(answer.status, 200, "{}", answer.head);
    Scrape::read(std::str::from_utf8(&answer.body).unwrap())
}

#[test]
fn what_happened_is_counted_exactly() {
    const STREAMS: usize = 12;
    const FAILURES: usize = 3;
    for driver in ["io_uring", "epoll"] {
        let provider = Provider::answering(answers);
        let strait = Strait::launch(&config("", &provider.url(), MODELS), driver, &[]);
        let (mut bytes, mut events, mut sent) = (0, 0, 0);
        let mut ask = |model: &str, stream: bool| {
            let body = json!({"model": model, "input": "hi", "stream": stream});
            let got = raw(strait.address, &body);
            bytes += got.len();
            let request = post_with(
                "/v1/responses",
                "connection: close\r\n",
                body.to_string().as_bytes(),
            );
            sent += request.len();
            if stream {
                events += got.matches("\ndata: {").count();
            }
            // Once it is logged it is counted.
            strait.says("outcome=");
            got
        };
        for _ in 0..STREAMS {
            assert!(ask("fast", true).contains("response.completed"));
        }
        assert!(ask("fast", false).contains("there world"));
        for _ in 0..FAILURES {
            assert!(ask("bad", true).starts_with("HTTP/1.1 503 "));
        }
        let scrape = scrape(strait.address);
        let served = [("provider", "mock"), ("model", "served")];
        let requests = |model: &str, status: &str| {
            let labels = [
                ("provider", "mock"),
                ("model", model),
                ("endpoint", "responses"),
                ("status", status),
            ];
            scrape.sum("strait_requests_total", &labels)
        };
        let answered = (STREAMS + 1) as f64;
        assert_eq!(requests("served", "200"), answered);
        assert_eq!(requests("broken", "503"), FAILURES as f64);
        let errors = scrape.sum("strait_errors_total", &[("kind", "overloaded")]);
        assert_eq!(errors, FAILURES as f64);
        assert_eq!(scrape.sum("strait_errors_total", &[]), errors);
        for (outcome, count) in [("answered", answered), ("overloaded", errors)] {
            let labels = [("provider", "mock"), ("outcome", outcome)];
            assert_eq!(scrape.sum("strait_attempts_total", &labels), count);
        }
        for (kind, each) in [
            ("input", 100.0),
            ("cached", 40.0),
            ("output", 20.0),
            ("reasoning", 5.0),
        ] {
            let labels = [served[0], served[1], ("kind", kind)];
            let tokens = scrape.sum("strait_tokens_total", &labels);
            assert_eq!(tokens, each * answered, "{kind}");
        }
        assert_eq!(scrape.sum("strait_events_total", &[]), events as f64);
        let moved = |direction| scrape.sum("strait_bytes_total", &[("direction", direction)]);
        assert_eq!(moved("to_client"), bytes as f64);
        // The scrape's own request is one of them.
        let own = format!("GET /metrics HTTP/1.1\r\nhost: {}\r\n\r\n", strait.address);
        assert_eq!(moved("from_client"), (sent + own.len()) as f64);
        assert!(moved("from_provider") > 0.0);
        let count = |name: &str| scrape.sum(&format!("strait_{name}_seconds_count"), &served);
        assert_eq!(count("first_event"), STREAMS as f64);
        assert_eq!(count("duration"), answered);
        assert!(count("gap") < events as f64);
        assert!(scrape.sum("strait_added_seconds_count", &[]) >= STREAMS as f64);
        for target in ["mock", "mock/served"] {
            assert!(scrape.values("target").contains(target));
        }
        assert_eq!(scrape.sum("strait_streams_active", &[]), 0.0);
        let pool = |state| scrape.sum("strait_pool_connections", &[("state", state)]);
        assert_eq!(pool("active"), 0.0);
        assert!(pool("idle") >= 1.0);
        assert!(scrape.sum("strait_resident_memory_bytes", &[]) > 1e6);
        let build = [("version", env!("CARGO_PKG_VERSION")), ("driver", driver)];
        assert_eq!(scrape.sum("strait_build_info", &build), 1.0);
    }
}

#[test]
fn a_stream_under_way_is_seen() {
    for driver in ["io_uring", "epoll"] {
        let silence = || Answer::Silence(vec![delta(json!({"content": "a"}))]);
        let provider = Provider::answering(move |_: &Seen| silence());
        let strait = Strait::launch(&config("", &provider.url(), MODELS), driver, &[]);
        let mut open = Vec::new();
        for _ in 0..5 {
            let mut stream = Connection::open(strait.address);
            let ask = br#"{"model":"fast","stream":true,"input":"hi"}"#;
            stream.send(post_with("/v1/responses", "", ask));
            stream.wait_for("output_text.delta");
            open.push(stream);
        }
        let seen = scrape(strait.address);
        assert_eq!(seen.sum("strait_streams_active", &[]), 5.0);
        let active = [("state", "active")];
        assert_eq!(seen.sum("strait_pool_connections", &active), 5.0);
        assert!(seen.sum("strait_events_total", &[]) >= 5.0);
        drop(open);
        for _ in 0..5 {
            strait.says("outcome=client_gone");
        }
        let seen = scrape(strait.address);
        assert_eq!(seen.sum("strait_streams_active", &[]), 0.0);
        let gone = [("kind", "client_gone")];
        assert_eq!(seen.sum("strait_errors_total", &gone), 5.0);
        if driver == "io_uring" {
            // At least one accept is pending in each ring.
            assert!(seen.sum("strait_ring_operations", &[]) >= 2.0);
        }
    }
}

#[test]
fn a_client_cannot_make_series() {
    let provider = Provider::answering(answers);
    let strait = Strait::launch(&config("", &provider.url(), MODELS), "io_uring", &[]);
    let mut connection = Connection::open(strait.address);
    let mut ask = |model: &str| {
        let body = json!({"model": model, "input": "hi"}).to_string();
        connection.send(post_with("/v1/responses", "", body.as_bytes()));
        assert_eq!(connection.answer().status, 400);
    };
    ask("made-up\"\n}");
    strait.says("outcome=");
    let before = scrape(strait.address).len();
    for n in 0..1000 {
        ask(&format!("made-up-{n}"));
    }
    for _ in 0..1000 {
        strait.says("made-up-");
    }
    let scrape = scrape(strait.address);
    assert_eq!(scrape.len(), before + 1, "the first scrape is a series");
    assert_eq!(scrape.values("model"), ["", "other"].into());
    let other = [("model", "other"), ("status", "400")];
    assert_eq!(scrape.sum("strait_requests_total", &other), 1001.0);
}

#[test]
fn the_numbers_are_for_operators() {
    let provider = Provider::start(vec![]);
    let strait = |top: &str, more: &str| {
        let text = config(top, &provider.url(), more);
        Strait::launch(&text, "epoll", &[])
    };
    let status = |strait: &Strait, fields: &str| get(strait.address, "/metrics", fields).status;
    let open = strait("", "");
    assert_eq!(status(&open, ""), 200);
    assert_eq!(status(&open, "origin: http://evil.example\r\n"), 403);
    let mut rebound = Connection::open(open.address);
    rebound.send("GET /metrics HTTP/1.1\r\nhost: evil.example\r\n\r\n");
    assert_eq!(rebound.answer().status, 421);
    let keys = "[[keys]]\nname = \"ops\"\nkey = \"sesame\"\nadmin = true\n[[keys]]\nname = \"fleet\"\nkey = \"barley\"\n";
    let keyed = strait("", keys);
    assert_eq!(status(&keyed, ""), 401);
    assert_eq!(status(&keyed, "authorization: Bearer wrong\r\n"), 401);
    assert_eq!(status(&keyed, "authorization: Bearer barley\r\n"), 403);
    assert_eq!(status(&keyed, "authorization: Bearer sesame\r\n"), 200);
    let public = strait("", &format!("{keys}[metrics]\npublic = true\n"));
    assert_eq!(status(&public, ""), 200);
    let off = strait("", "[metrics]\nenabled = false\n");
    assert_eq!(status(&off, ""), 404);
}

#[test]
fn a_scraper_gets_the_format_it_asks_for() {
    let provider = Provider::start(vec![]);
    let strait = Strait::launch(&config("", &provider.url(), ""), "epoll", &[]);
    for (accept, kind, end) in [
        ("", "text/plain; version=0.0.4", "} 1\n"),
        (
            "accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;q=0.3\r\n",
            "application/openmetrics-text; version=1.0.0",
            "# EOF\n",
        ),
    ] {
        let answer = get(strait.address, "/metrics", accept);
        assert!(answer.head.contains(kind), "{}", answer.head);
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.ends_with(end), "{text}");
        Scrape::read(&text);
    }
}
