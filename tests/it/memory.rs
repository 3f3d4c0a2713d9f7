//! What the process holds: its memory from outside.

use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, delta};
use crate::strait::Strait;
use serde_json::json;

/// Resident memory in KiB.
fn resident(strait: &Strait) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", strait.child.id())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn idle_and_with_streams_that_wait() {
    const STREAMS: usize = 100;
    for driver in ["io_uring", "epoll"] {
        let answers = (0..=STREAMS)
            .map(|_| Answer::Silence(vec![delta(json!({"content":"a"}))]))
            .collect();
        let provider = Provider::start(answers);
        let more = "[models]\n\"*\" = \"mock/*\"\n";
        let strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        let idle = resident(&strait);
        let open = || {
            let mut stream = Connection::open(strait.address);
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
        let streams: Vec<Connection> = (0..STREAMS).map(|_| open()).collect();
        let each = (resident(&strait) - before) / STREAMS as u64;
        println!("{driver}: {idle} KiB idle, {each} KiB a waiting stream");
        assert!(idle < 9728, "{driver}: {idle} KiB idle");
        assert!(each < 14, "{driver}: {each} KiB a waiting stream");
        drop((first, streams));
    }
}
