//! How streams and objects begin and end.

use super::tests::*;
use super::*;
use crate::error::Kind as ErrorKind;
use serde_json::{Value as Json, json};

#[test]
fn the_head_is_held_until_there_is_output() {
    let (mut translator, mut out) = (Translator::new(plan(Sink::Sse)), Vec::new());
    let mut feed = |event: Json, out: &mut Vec<u8>| translator.feed(&sse(&[event]), out);
    let silent = [
        json!({"type": "response.created", "response": {}}),
        json!({"type": "response.queued", "response": {}}),
        json!({"type": "response.in_progress", "response": {}}),
        json!({"type": "keepalive", "sequence_number": 3}),
        json!({"type": "codex.rate_limits", "x": 1}),
        added(0, json!({"type": "message", "id": "msg_1"})),
        delta(0, ""),
    ];
    for event in silent {
        assert_eq!(feed(event, &mut out), Ok(Progress::Silent));
        assert!(out.is_empty());
    }
    assert_eq!(feed(delta(0, "a"), &mut out), Ok(Progress::Committed));
    assert_eq!(feed(completed(), &mut out), Ok(Progress::Terminal));
    translator.finish(UpstreamEnd::Clean, &mut out).unwrap();
    translator.keepalive(&mut out);
    assert_eq!(translator.status(), Some("completed"));
    let text = String::from_utf8(out).unwrap();
    assert_eq!(
        deltas(&text),
        [json!({"role": "assistant", "content": "a"}), json!("stop")]
    );
    assert_eq!(text.matches("[DONE]").count(), 1);
}

#[test]
fn a_commit_says_who_speaks_and_comments_keep_it_alive() {
    let (mut translator, mut out) = (Translator::new(plan(Sink::Sse)), Vec::new());
    translator.keepalive(&mut out);
    assert!(out.is_empty());
    translator.commit(&mut out);
    translator.commit(&mut out);
    translator.keepalive(&mut out);
    translator.feed(&sse(&[delta(0, "a")]), &mut out).unwrap();
    let failed = json!({"type": "response.failed", "response": {"error": {"code": "server_error", "message": "no"}}});
    let end = translator.feed(&sse(&[failed]), &mut out);
    assert_eq!(end, Ok(Progress::Terminal));
    let text = String::from_utf8(out).unwrap();
    assert!(text.contains("\n\n: keepalive\n\n"), "{text}");
    let chunks = chunks(&text);
    assert_eq!(
        chunks[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": ""})
    );
    assert_eq!(chunks[1]["choices"][0]["delta"], json!({"content": "a"}));
    let error =
        json!({"message": "no", "type": "server_error", "param": null, "code": "server_error"});
    assert_eq!(chunks[2], json!({ "error": error }));
    assert!(text.ends_with("data: [DONE]\n\n"));
    // An object is never begun.
    let (mut translator, mut out) = (Translator::new(plan(Sink::Json)), Vec::new());
    translator.commit(&mut out);
    translator.keepalive(&mut out);
    assert!(out.is_empty());
    assert!(translator.finish(UpstreamEnd::Clean, &mut out).is_err());
}

#[test]
fn errors_before_output_are_classified() {
    let cases = [
        (
            json!({"type": "error", "code": "rate_limit_exceeded", "message": "x", "param": null}),
            429,
            "rate_limit_exceeded",
        ),
        (
            json!({"type": "error", "error": {"type": "invalid_request_error", "code": "unknown_parameter", "message": "x", "param": "foo"}}),
            400,
            "unknown_parameter",
        ),
        (
            json!({"type": "error", "status": 404, "error": {"message": "x"}}),
            404,
            "model_not_found",
        ),
        (json!({"type": "error"}), 502, "server_error"),
        (
            json!({"error": {"message": "Insufficient Balance"}}),
            429,
            "insufficient_quota",
        ),
        (
            json!({"type": "response.failed", "response": {"error": {"code": "context_length_exceeded", "message": "x"}}}),
            400,
            "context_length_exceeded",
        ),
        (
            json!({"type": "response.failed", "response": {"error": {"code": "insufficient_quota", "message": "x"}}}),
            429,
            "insufficient_quota",
        ),
        (
            json!({"type": "response.failed", "response": {"error": {"code": "invalid_prompt", "message": "x"}}}),
            400,
            "invalid_prompt",
        ),
        (
            json!({"type": "response.failed", "response": {"error": {"code": "image_too_small"}}}),
            400,
            "image_too_small",
        ),
        (
            json!({"type": "response.failed", "response": {"error": {"code": "slow_down", "message": "x"}}}),
            503,
            "server_error",
        ),
        (
            json!({"type": "response.failed", "response": {"error": null}}),
            502,
            "server_error",
        ),
        (
            json!({"type": "response.done", "response": {"status": "failed", "error": {"code": "server_error", "message": "x"}}}),
            502,
            "server_error",
        ),
        (
            json!({"type": "response.cancelled", "response": {}}),
            502,
            "server_error",
        ),
    ];
    for (event, status, code) in cases {
        for sink in [Sink::Sse, Sink::Json] {
            let (mut translator, mut out) = (Translator::new(plan(sink)), Vec::new());
            let error = translator
                .feed(&sse(std::slice::from_ref(&event)), &mut out)
                .unwrap_err();
            assert_eq!(
                (error.status(), error.api_code()),
                (status, code),
                "{event}"
            );
            assert!(out.is_empty() && !error.message.is_empty());
            assert_eq!(translator.status(), Some("failed"));
        }
    }
}

#[test]
fn an_end_that_is_none_is_an_error() {
    for bytes in [&b"data: [DONE]\n\n"[..], b"", b"data: 7\n\n", b": x\n\n"] {
        let (mut translator, mut out) = (Translator::new(plan(Sink::Sse)), Vec::new());
        let fed = translator.feed(bytes, &mut out).map(|_| ());
        let error = fed.and_then(|()| translator.finish(UpstreamEnd::Clean, &mut out));
        assert_eq!(error.unwrap_err().api_code(), "stream_truncated");
    }
    let mut bytes = sse(&[delta(0, "a")]);
    bytes.extend_from_slice(b"data: [DONE]\n\n");
    let text = run(plan(Sink::Sse), &[&bytes], UpstreamEnd::Clean);
    assert_eq!(chunks(&text)[1]["error"]["code"], "stream_truncated");
    assert!(!text.contains("\"stop\""));
    // The last blank line may be missing.
    let mut bytes = sse(&[delta(0, "a"), completed()]);
    bytes.truncate(bytes.len() - 2);
    let text = run(plan(Sink::Sse), &[&bytes], UpstreamEnd::Clean);
    assert_eq!(deltas(&text)[1], "stop");
}

#[test]
fn an_empty_answer_is_an_answer() {
    let expected = [json!({"role": "assistant", "content": ""}), json!("stop")];
    assert_eq!(said(plan, &[completed()]), expected);
    let no_usage = json!({"type": "response.completed", "response": {"usage": {}}});
    let text = stream(plan(Sink::Sse), &[no_usage]);
    assert_eq!(chunks(&text).len(), 2);
}

#[test]
fn usage_comes_only_where_it_is_wanted() {
    let usage = json!({"input_tokens": 3, "output_tokens": 4, "total_tokens": 9});
    let last = json!({"type": "response.completed", "response": {"usage": usage}});
    let text = stream(plan(Sink::Sse), &[delta(0, "a"), last.clone()]);
    assert_eq!(chunks(&text)[2]["usage"]["total_tokens"], 7);
    let quiet = Plan {
        include_usage: false,
        ..plan(Sink::Sse)
    };
    let text = stream(quiet, &[delta(0, "a"), last.clone()]);
    assert!(!text.contains("usage"), "{text}");
    let quiet = Plan {
        include_usage: false,
        ..plan(Sink::Json)
    };
    let object = whole(quiet, &sse(&[last])).unwrap();
    assert_eq!(object["usage"]["prompt_tokens"], 3);
}

#[test]
fn ends_are_told_apart() {
    for (reason, finish) in [
        (json!({"reason": "max_output_tokens"}), "length"),
        (json!({"reason": "max_messages"}), "length"),
        (json!({"reason": "content_filter"}), "content_filter"),
        (Json::Null, "length"),
    ] {
        let response = json!({"status": "incomplete", "incomplete_details": reason});
        for kind in ["response.incomplete", "response.done"] {
            let last = json!({"type": kind, "response": response});
            assert_eq!(said(plan, &[delta(0, "a"), last])[1], finish);
        }
    }
    let last = json!({"type": "response.done", "response": {"status": "completed"}});
    assert_eq!(said(plan, &[delta(0, "a"), last])[1], "stop");
}

#[test]
fn objects_that_are_none_are_errors() {
    for (body, status) in [
        ("{", 502),
        ("[]", 502),
        ("{}", 502),
        (r#"{"status":"queued","output":[]}"#, 502),
        (
            r#"{"status":"failed","error":{"code":"rate_limit_exceeded","message":"x"}}"#,
            429,
        ),
        (r#"{"status":"cancelled","output":[]}"#, 502),
        (r#"{"error":{"message":"maximum context length"}}"#, 400),
    ] {
        let (mut translator, mut out) = (Translator::new(plan(Sink::Json)), Vec::new());
        let error = translator
            .feed_object(body.as_bytes(), &mut out)
            .unwrap_err();
        assert_eq!(error.status(), status, "{body}");
        assert!(out.is_empty());
    }
    let (mut translator, mut out) = (Translator::new(plan(Sink::Json)), Vec::new());
    let body = br#"{"output":[]}"#;
    assert_eq!(
        translator.feed_object(body, &mut out),
        Ok(Progress::Terminal)
    );
}

#[test]
fn frames_without_end_are_refused() {
    let (mut translator, mut out) = (Translator::new(plan(Sink::Sse)), Vec::new());
    let piece = vec![b'x'; limits::FRAME_BYTES_MAX / 4 + 1];
    let result = (0..5).try_for_each(|_| translator.feed(&piece, &mut out).map(|_| ()));
    assert_eq!(result.unwrap_err().kind, ErrorKind::UpstreamBroken);
}
