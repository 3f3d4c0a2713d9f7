//! What the process holds: its memory from outside.

use crate::certificates::{Authority, open as secure, section};
use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, delta};
use crate::strait::{Strait, scratch};
use serde_json::json;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

/// Resident memory in KiB.
fn resident(strait: &Strait) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", strait.child.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

const STREAMS: usize = 100;

/// What an idle process holds, and each of many streams that wait, in KiB.
fn held<S: Read + Write>(
    driver: &str,
    more: &str,
    connect: impl Fn(SocketAddr) -> Connection<S>,
) -> (u64, u64) {
    let answers = (0..=STREAMS)
        .map(|_| Answer::Silence(vec![delta(json!({"content":"a"}))]))
        .collect();
    let provider = Provider::start(answers);
    let more = format!("[models]\n\"*\" = \"mock/*\"\n{more}");
    let strait = Strait::with("openai-compatible", &provider.url(), driver, &more);
    // What only the start needed is given back when everybody knows that it serves.
    std::thread::sleep(Duration::from_millis(300));
    let idle = resident(&strait);
    let open = || {
        let mut stream = connect(strait.address);
        stream.send(post_with(
            "/v1/responses",
            "",
            br#"{"model":"m","stream":true,"input":"hi"}"#,
        ));
        stream.wait_for("output_text.delta");
        stream
    };
    // The first one also brings the pages of the program that serve it.
    let first = open();
    let before = resident(&strait);
    let streams: Vec<_> = (0..STREAMS).map(|_| open()).collect();
    let each = (resident(&strait) - before) / STREAMS as u64;
    drop((first, streams));
    (idle, each)
}

#[test]
fn idle_and_with_streams_that_wait() {
    let authority = Authority::new();
    let dir = scratch("memory");
    authority.issue(1).write(&dir);
    let config = authority.client();
    for driver in ["io_uring", "epoll"] {
        let (idle, each) = held(driver, "", Connection::open);
        println!("{driver}: {idle} KiB idle, {each} KiB a waiting stream");
        assert!(idle < 6656, "{driver}: {idle} KiB idle");
        assert!(each < 11, "{driver}: {each} KiB a waiting stream");
        let (idle, each) = held(driver, &section(&dir), |address| secure(&config, address));
        println!("{driver}, TLS: {idle} KiB idle, {each} KiB a waiting stream");
        assert!(each < 19, "{driver}, TLS: {each} KiB a waiting stream");
    }
}
