//! Refusals and connection handling: an OpenAI error object, a defined state, nothing upstream.

use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, text};
use crate::strait::Strait;
use std::io::Write;

const ASK: &[u8] = br#"{"model":"m","input":"hi"}"#;

fn whole() -> Answer {
    Answer::Stream(text("hello there"))
}

#[test]
fn refusals_are_error_objects_and_send_nothing_upstream() {
    let provider = Provider::start(vec![]);
    let more = "[models]\nknown = \"mock/known\"\n";
    let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", more);
    let json = "content-type: application/json\r\n";
    let post = |fields: &str, body: &str| {
        format!(
            "POST /v1/responses HTTP/1.1\r\nhost: x\r\n{fields}content-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let cases = [
        (post(json, "{\"model\":"), 400, "invalid_request"),
        (post(json, "[1]"), 400, "invalid_request"),
        (post(json, "{\"input\":\"x\"}"), 400, "missing_required_parameter"),
        (post(json, "{\"model\":7,\"input\":\"x\"}"), 400, "invalid_type"),
        (post(json, "{\"model\":\"nope\",\"input\":\"x\"}"), 404, "model_not_found"),
        (post("content-type: text/plain\r\n", "{}"), 415, "unsupported_media_type"),
        (post(&format!("{json}content-encoding: br\r\n"), "{}"), 415, "unsupported_media_type"),
        (post(&format!("{json}content-encoding: gzip\r\n"), "nonsense"), 400, "invalid_request"),
        (post(&format!("{json}origin: http://rebound.test:8787\r\n"), "{\"model\":\"known\",\"input\":\"x\"}"), 403, "foreign_origin"),
        ("POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999\r\n\r\n".into(), 413, "request_too_large"),
        (post(json, "").replace("/v1/responses", "/v1/nothing"), 404, "unknown_url"),
        ("PUT /v1/responses HTTP/1.1\r\nhost: x\r\n\r\n".into(), 405, "method_not_allowed"),
        ("GET /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n".into(), 426, "websocket_not_served"),
        ("POST /v1/responses HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}".into(), 400, "invalid_request"),
        ("GARBAGE\r\n\r\n".into(), 400, "invalid_request"),
        (format!("GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "y".repeat(70_000)), 431, "headers_too_large"),
    ];
    for (request, status, code) in cases {
        let mut connection = Connection::open(strait.address);
        // A refusal may come before the last byte was written.
        let _ = connection.stream.write_all(request.as_bytes());
        let answer = connection.answer();
        let shown = &request[..request.len().min(90)];
        assert_eq!(answer.status, status, "{shown}: {}", answer.head);
        let error = &answer.json()["error"];
        assert_eq!(error["code"], code, "{shown}");
        for field in ["message", "type"] {
            assert!(
                error[field].as_str().is_some_and(|t| !t.is_empty()),
                "{shown}: {error}"
            );
        }
        if answer.head.contains("connection: close") {
            assert!(connection.is_closed(), "{shown}");
        } else {
            connection.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
            assert_eq!(connection.answer().status, 200, "{shown}");
        }
    }
    assert!(provider.take_seen().is_empty(), "nothing was sent upstream");
}

#[test]
fn bodies_come_in_every_legal_form() {
    let provider = Provider::start((0..5).map(|_| whole()).collect());
    let strait = Strait::start("openai-compatible", &provider.url(), "epoll");
    let mut connection = Connection::open(strait.address);
    let zstd = zstd::encode_all(ASK, 3).unwrap();
    connection.send(post_with(
        "/v1/responses",
        "content-encoding: zstd\r\n",
        &zstd,
    ));
    assert_eq!(connection.answer().status, 200);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(ASK).unwrap();
    connection.send(post_with(
        "/v1/responses",
        "content-encoding: gzip\r\n",
        &gzip.finish().unwrap(),
    ));
    assert_eq!(connection.answer().status, 200);
    let (a, b) = ASK.split_at(5);
    let head = "POST /responses HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    connection.send(format!("{head}transfer-encoding: chunked\r\n\r\n5\r\n"));
    connection.send(a);
    connection.send(format!("\r\n{:x};ext\r\n", b.len()));
    connection.send(b);
    connection.send("\r\n0\r\nTrailer: x\r\n\r\n");
    assert_eq!(connection.answer().status, 200);
    connection.send(format!(
        "{head}expect: 100-continue\r\ncontent-length: {}\r\n\r\n",
        ASK.len()
    ));
    assert_eq!(connection.answer().status, 100);
    connection.send(ASK);
    assert_eq!(connection.answer().status, 200);
    assert_eq!(provider.take_seen().len(), 4);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let provider = Provider::start(vec![
        Answer::Stream(text("first")),
        Answer::Stream(text("second")),
    ]);
    let strait = Strait::start("openai-compatible", &provider.url(), "io_uring");
    let mut connection = Connection::open(strait.address);
    let one = post_with("/v1/responses", "", ASK);
    connection.send(
        [
            &one[..],
            &one[..],
            b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n",
        ]
        .concat(),
    );
    for expected in ["first", "second"] {
        let object = connection.answer().json();
        assert_eq!(object["output"][0]["content"][0]["text"], expected);
    }
    assert_eq!(connection.answer().json()["status"], "ok");
}

#[test]
fn models_come_in_both_shapes() {
    let provider = Provider::start(vec![]);
    let more = "[models]\nfast = \"mock/known\"\n";
    let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", more);
    let mut connection = Connection::open(strait.address);
    connection.send("GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n");
    let plain = connection.answer().json();
    assert_eq!(plain["data"][0]["id"], "fast");
    assert!(plain.get("models").is_none());
    connection.send("GET /v1/models?client_version=0.169.0 HTTP/1.1\r\nhost: x\r\n\r\n");
    let answer = connection.answer();
    assert!(answer.head.contains("etag: \""));
    assert_eq!(answer.json()["models"][0]["slug"], "fast");
}
