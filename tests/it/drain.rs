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
