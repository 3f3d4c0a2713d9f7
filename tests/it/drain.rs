//! SIGTERM: streams in flight finish, then the process ends.

use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, delta};
use crate::strait::Strait;
use serde_json::json;

#[test]
fn a_stream_is_ended_properly_when_the_time_is_over() {
    for driver in ["io_uring", "epoll"] {
        let provider = Provider::start(vec![Answer::Silence(vec![delta(json!({"content":"a"}))])]);
        let more = "[models]\n\"*\" = \"mock/*\"\n[timeouts]\ndrain_s = 0.3\n";
        let mut strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        let mut idle = Connection::open(strait.address);
        idle.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(idle.answer().status, 200);
        let mut busy = Connection::open(strait.address);
        busy.send(post_with(
            "/v1/responses",
            "",
            br#"{"model":"m","stream":true,"input":"hi"}"#,
        ));
        busy.wait_for("output_text.delta");
        strait.signal("TERM");
        assert!(idle.is_closed());
        assert_eq!(busy.answer().terminals(), ["response.failed"]);
        assert!(strait.child.wait().unwrap().success());
    }
}

#[test]
fn who_drains_is_not_ready_but_alive() {
    for driver in ["io_uring", "epoll"] {
        let mut strait = Strait::start("openai-compatible", "http://127.0.0.1:1", driver);
        let mut asking = ["/readyz", "/healthz"].map(|path| {
            let mut connection = Connection::open(strait.address);
            connection.send(format!("GET {path} HTTP/1.1\r\n"));
            connection
        });
        // An answer on a third connection: what was sent before it has been read.
        let mut third = Connection::open(strait.address);
        third.send("GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(third.answer().status, 200);
        strait.signal("TERM");
        assert!(third.is_closed());
        let answers = asking.each_mut().map(|connection| {
            connection.send("host: x\r\n\r\n");
            connection.answer()
        });
        assert_eq!(answers.each_ref().map(|answer| answer.status), [503, 200]);
        let message = answers[0].json()["error"]["message"].to_string();
        assert!(message.contains("shutting down"), "{message}");
        for answer in &answers {
            assert!(answer.head.contains("connection: close"), "{}", answer.head);
        }
        assert!(strait.child.wait().unwrap().success());
    }
}
