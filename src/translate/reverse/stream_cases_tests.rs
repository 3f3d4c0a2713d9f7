//! What the vectors do not hold: events in every shape that providers were seen to send.

use super::tests::{accumulate, chunks, deltas, plan, run, sse, stream, whole};
use super::*;
use crate::error::Kind as ErrorKind;
use crate::translate::reverse::SEALED_FOR;
use crate::translate::seal;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn delta(o: u64, text: &str) -> Json {
    json!({"type": "response.output_text.delta", "output_index": o, "content_index": 0, "delta": text})
}

fn thought(kind: &str, o: u64, part: u64, text: &str) -> Json {
    let (index, kind) = match kind {
        "raw" => ("content_index", "response.reasoning_text.delta"),
        _ => ("summary_index", "response.reasoning_summary_text.delta"),
    };
    json!({"type": kind, "output_index": o, index: part, "delta": text})
}

fn done(o: u64, item: Json) -> Json {
    json!({"type": "response.output_item.done", "output_index": o, "item": item})
}

fn added(o: u64, item: Json) -> Json {
    json!({"type": "response.output_item.added", "output_index": o, "item": item})
}

fn call(arguments: &str) -> Json {
    json!({"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": arguments})
}

fn arguments(o: u64, delta: &str) -> Json {
    json!({"type": "response.function_call_arguments.delta", "output_index": o, "delta": delta})
}

fn completed() -> Json {
    json!({"type": "response.completed", "response": {"status": "completed", "output": []}})
}

/// The deltas of a stream; the object must say the same.
fn said(plan: impl Fn(Sink) -> Plan, events: &[Json]) -> Vec<Json> {
    let text = stream(plan(Sink::Sse), events);
    let object = whole(plan(Sink::Json), &sse(events)).unwrap();
    assert_eq!(object, accumulate(&text));
    deltas(&text)
}

fn message(plan: impl Fn(Sink) -> Plan, events: &[Json]) -> Json {
    said(&plan, events);
    let object = whole(plan(Sink::Json), &sse(events)).unwrap();
    let mut message = object["choices"][0]["message"].clone();
    message["finish"] = object["choices"][0]["finish_reason"].clone();
    message
}

fn tool(delta: Json) -> Json {
    json!({"tool_calls": [delta]})
}

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
                .feed(&sse(&[event.clone()]), &mut out)
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
fn what_is_only_said_at_the_end_is_said() {
    let text = json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "all"});
    let part = json!({"type": "response.content_part.done", "output_index": 0, "content_index": 0, "part": {"type": "output_text", "text": "all"}});
    let item = done(
        0,
        json!({"type": "message", "content": [{"type": "output_text", "text": "all"}]}),
    );
    let last = json!({"type": "response.completed", "response": {"output": [item["item"]]}});
    let expected = [
        json!({"role": "assistant", "content": "all"}),
        json!("stop"),
    ];
    for events in [
        vec![text.clone(), part.clone(), item.clone(), last.clone()],
        vec![part, item.clone(), last.clone()],
        vec![item, last.clone()],
        vec![last.clone()],
        vec![delta(0, "all"), last.clone()],
        vec![added(0, json!({"type": "message"})), last],
        vec![text, completed()],
    ] {
        assert_eq!(said(plan, &events), expected, "{events:?}");
    }
    // Parts that are counted wrongly do not make the text come twice.
    let mut counted = delta(0, "b");
    counted["content_index"] = json!(1);
    let item = done(
        0,
        json!({"type": "message", "content": [{"type": "output_text", "text": "ab"}]}),
    );
    let end = json!({"type": "response.output_text.done", "output_index": 0, "content_index": 2, "text": "ab"});
    let message = message(plan, &[delta(0, "a"), counted, end, item, completed()]);
    assert_eq!(message["content"], "ab");
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
fn calls_are_told_however_they_come() {
    let begun = json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}});
    let first = json!({"role": "assistant", "content": null, "tool_calls": [begun]});
    let rest = |text: &str| tool(json!({"index": 0, "function": {"arguments": text}}));
    let all = json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{\"a\":1}"});
    let expected = [first.clone(), rest("{\"a\":1}"), json!("tool_calls")];
    let (late, early) = (done(0, call("{\"a\":1}")), added(0, call("")));
    for events in [
        vec![early.clone(), all.clone(), late.clone(), completed()],
        vec![early.clone(), late.clone(), completed()],
        vec![arguments(0, "{"), all.clone(), late.clone(), completed()],
        vec![early.clone(), all.clone(), completed()],
        vec![json!({"type": "response.completed", "response": {"output": [call("{\"a\":1}")]}})],
        vec![
            early.clone(),
            json!({"type": "response.completed", "response": {"output": [call("{\"a\":1}")]}}),
        ],
    ] {
        assert_eq!(said(plan, &events), expected, "{events:?}");
    }
    let none = [first, rest("{}"), json!("tool_calls")];
    assert_eq!(
        said(plan, &[early.clone(), done(0, call("")), completed()]),
        none
    );
    assert_eq!(said(plan, &[early.clone(), completed()]), none);
    // Arguments that are an object, and a call without an id.
    let odd = json!({"type": "function_call", "name": "f", "arguments": {"a": "\"x\\"}});
    let message = message(plan, &[done(0, odd), completed()]);
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        "{\"a\":\"\\\"x\\\\\"}"
    );
    assert!(
        message["tool_calls"][0]["id"]
            .as_str()
            .unwrap()
            .starts_with("call_")
    );
}

#[test]
fn a_call_that_is_cut_stays_cut() {
    let mut item = call("{\"a\":");
    item["status"] = json!("incomplete");
    let cut = json!({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}});
    let events = [
        added(0, call("")),
        arguments(0, "{\"a\":"),
        done(0, item),
        cut.clone(),
    ];
    let message = message(plan, &events);
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":");
    assert_eq!(message["finish"], "length");
    let events = [added(0, call("")), cut];
    let chunks = said(plan, &events);
    assert_eq!(chunks.len(), 2);
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
fn parallel_calls_keep_their_places_and_ids_may_change() {
    let mut second = call("");
    second["call_id"] = json!("c2");
    let mut events = vec![
        delta(0, "x"),
        added(1, call("")),
        added(3, second.clone()),
        arguments(3, "{\"b\""),
        arguments(1, "{}"),
        arguments(3, ":1}"),
        done(1, call("{}")),
        done(3, second),
        completed(),
    ];
    for (n, event) in events.iter_mut().enumerate() {
        event["item_id"] = json!(format!("item_{n}"));
        event["item"]["id"] = json!(format!("item_{n}"));
    }
    let message = message(plan, &events);
    let said: Vec<_> = (0..2)
        .map(|k| &message["tool_calls"][k])
        .map(|c| {
            (
                c["id"].as_str().unwrap(),
                c["function"]["arguments"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [("c1", "{}"), ("c2", "{\"b\":1}")]);
}

#[test]
fn custom_calls_are_what_the_client_declared() {
    let item = |input: &str| json!({"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": input});
    let piece = |d: &str| json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": d});
    let declared = |sink| Plan {
        custom_tools: vec!["patch".into()],
        ..plan(sink)
    };
    let streamed = [
        added(0, item("")),
        piece("a\n"),
        piece("\"é\\"),
        done(0, item("a\n\"é\\")),
        completed(),
    ];
    let at_once = [done(0, item("a\n\"é\\")), completed()];
    for events in [&streamed[..], &at_once] {
        let custom = message(declared, events);
        let expected =
            json!({"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "a\n\"é\\"}});
        assert_eq!(custom["tool_calls"][0], expected);
        let function = message(plan, events);
        let arguments = function["tool_calls"][0]["function"]["arguments"]
            .as_str()
            .unwrap();
        let arguments: Json = serde_json::from_str(arguments).unwrap();
        assert_eq!(arguments, json!({"input": "a\n\"é\\"}));
    }
    for events in [
        vec![done(0, item("")), completed()],
        vec![added(0, item("")), completed()],
    ] {
        let function = message(plan, &events);
        assert_eq!(
            function["tool_calls"][0]["function"]["arguments"],
            "{\"input\":\"\"}"
        );
        assert_eq!(
            message(declared, &events)["tool_calls"][0]["custom"]["input"],
            ""
        );
    }
}

#[test]
fn older_clients_get_one_function_call() {
    let legacy = |sink| Plan {
        legacy_functions: true,
        ..plan(sink)
    };
    let mut second = call("{\"b\":2}");
    second["call_id"] = json!("c2");
    let events = [
        added(0, call("")),
        arguments(0, "{}"),
        done(0, call("{}")),
        done(1, second),
        completed(),
    ];
    let begun = json!({"name": "f", "arguments": ""});
    let expected = [
        json!({"role": "assistant", "content": null, "function_call": begun}),
        json!({"function_call": {"arguments": "{}"}}),
        json!("function_call"),
    ];
    assert_eq!(said(legacy, &events), expected);
}

#[test]
fn messages_are_set_apart() {
    let events = [delta(0, "a"), delta(2, "b"), delta(2, "c"), completed()];
    assert_eq!(message(plan, &events)["content"], "a\n\nbc");
    let events = [
        delta(0, "a"),
        done(1, call("{}")),
        delta(2, "b"),
        completed(),
    ];
    assert_eq!(message(plan, &events)["content"], "a\n\nb");
    // Reasoning in between is separation enough (vector 61).
    let events = [
        delta(0, "a"),
        thought("raw", 1, 0, "t"),
        delta(2, "b"),
        completed(),
    ];
    assert_eq!(message(plan, &events)["content"], "ab");
    // Parts of one message are one text.
    let mut part = delta(0, "b");
    part["content_index"] = json!(1);
    assert_eq!(
        message(plan, &[delta(0, "a"), part, completed()])["content"],
        "ab"
    );
}

#[test]
fn reasoning_has_one_source_and_paragraphs() {
    let reasoning = |events: &[Json]| message(plan, events)["reasoning_content"].clone();
    let parts = [
        thought("summary", 0, 0, "a"),
        thought("summary", 0, 0, "b"),
        thought("summary", 0, 1, "c"),
        completed(),
    ];
    assert_eq!(reasoning(&parts), "ab\n\nc");
    let items = [
        thought("raw", 0, 0, "a"),
        thought("raw", 0, 1, "b"),
        thought("raw", 1, 0, "c"),
        completed(),
    ];
    assert_eq!(reasoning(&items), "ab\n\nc");
    let both = [
        thought("raw", 0, 0, "raw"),
        thought("summary", 0, 0, "sum"),
        completed(),
    ];
    assert_eq!(reasoning(&both), "raw");
    let open = json!({"type": "response.reasoning.delta", "output_index": 0, "delta": "open"});
    assert_eq!(reasoning(&[open, completed()]), "open");
    let item = json!({"type": "reasoning", "summary": [{"text": "s1"}, {"text": "s2"}]});
    assert_eq!(reasoning(&[done(0, item), completed()]), "s1\n\ns2");
    let item = json!({"type": "reasoning", "summary": [{"text": "s"}], "content": [{"type": "reasoning_text", "text": "r"}]});
    assert_eq!(reasoning(&[done(0, item), completed()]), "r");
    let part = json!({"type": "response.reasoning_summary_part.done", "output_index": 0, "summary_index": 0, "part": {"text": "p"}});
    assert_eq!(reasoning(&[part, completed()]), "p");
}

#[test]
fn refusals_are_told() {
    let piece = json!({"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "no"});
    let item = done(
        0,
        json!({"type": "message", "content": [{"type": "refusal", "refusal": "no"}]}),
    );
    for events in [
        vec![piece, item.clone(), completed()],
        vec![item, completed()],
    ] {
        let message = message(plan, &events);
        assert_eq!(
            (&message["refusal"], &message["content"]),
            (&json!("no"), &Json::Null)
        );
    }
}

#[test]
fn log_probabilities_get_their_bytes() {
    let mut event = delta(0, "é!");
    event["logprobs"] = json!([
        {"token": "é", "logprob": -0.5, "top_logprobs": [{"token": "e", "logprob": -1.5}]},
        {"token": "!", "logprob": -0.1, "bytes": [33], "top_logprobs": []},
    ]);
    let events = [event, delta(0, "x"), completed()];
    said(plan, &events);
    let object = whole(plan(Sink::Json), &sse(&events)).unwrap();
    let expected = json!([
        {"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [{"token": "e", "logprob": -1.5, "bytes": [101]}]},
        {"token": "!", "logprob": -0.1, "bytes": [33], "top_logprobs": []},
    ]);
    assert_eq!(
        object["choices"][0]["logprobs"],
        json!({"content": expected, "refusal": null})
    );
    // With a stop sequence, tokens go with the text that they begin in.
    let stop = |sink| Plan {
        stop: vec!["!".into()],
        ..plan(sink)
    };
    said(stop, &events);
    let object = whole(stop(Sink::Json), &sse(&events)).unwrap();
    assert_eq!(
        object["choices"][0]["logprobs"]["content"],
        json!([expected[0]])
    );
}

#[test]
fn annotations_come_once_with_offsets_into_the_whole_text() {
    let cite = |at: u64| json!({"type": "url_citation", "start_index": at, "end_index": at + 1, "url": "u", "title": "t"});
    let file = json!({"type": "file_citation", "file_id": "f", "index": 0});
    let event = json!({"type": "response.output_text.annotation.added", "output_index": 1, "content_index": 0, "annotation_index": 0, "annotation": cite(0)});
    let text = |o: u64, list: Json| {
        done(
            o,
            json!({"type": "message", "content": [{"type": "output_text", "text": "bé", "annotations": list}]}),
        )
    };
    let events = [
        delta(0, "aé"),
        delta(1, "bé"),
        event,
        text(1, json!([cite(0), cite(1), file])),
        text(2, json!([cite(0)])),
        completed(),
    ];
    let message = message(plan, &events);
    let nested = |at: u64| json!({"type": "url_citation", "url_citation": {"start_index": at, "end_index": at + 1, "url": "u", "title": "t"}});
    assert_eq!(message["content"], "aé\n\nbé\n\nbé");
    assert_eq!(
        message["annotations"],
        json!([nested(4), nested(5), nested(8)])
    );
    let text = stream(plan(Sink::Sse), &events);
    let last = &deltas(&text)[3];
    assert_eq!(last["annotations"], message["annotations"]);
}

#[test]
fn stop_sequences_end_the_answer() {
    let stop = |sink| Plan {
        stop: vec!["STOP".into(), "\n\n".into()],
        ..plan(sink)
    };
    let events = [
        delta(0, "a ST"),
        delta(0, "OP b"),
        delta(0, "c"),
        completed(),
    ];
    assert_eq!(
        said(stop, &events),
        [json!({"role": "assistant", "content": "a "}), json!("stop")]
    );
    let (mut translator, mut out) = (Translator::new(stop(Sink::Sse)), Vec::new());
    let progress = translator.feed(&sse(&events[..2]), &mut out);
    assert_eq!(progress, Ok(Progress::Terminal));
    assert_eq!(translator.status(), Some("completed"));
    // What was held back is text after all; the line between messages is not the model's.
    let events = [delta(0, "a ST"), delta(1, "b\n"), completed()];
    assert_eq!(message(stop, &events)["content"], "a ST\n\nb\n");
    let events = [
        delta(0, "a ST"),
        done(1, call("{}")),
        delta(2, "bSTOP"),
        completed(),
    ];
    let said = message(stop, &events);
    assert_eq!(
        (&said["content"], &said["finish"]),
        (&json!("a ST\n\nb"), &json!("tool_calls"))
    );
    // Nothing at all before it.
    let last = json!({"type": "response.completed", "response": {"usage": {"input_tokens": 1, "output_tokens": 2},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": "STOP"}, {"type": "output_text", "text": "x"}]}]}});
    let expected = [json!({"role": "assistant", "content": ""}), json!("stop")];
    let body = serde_json::to_vec(&last["response"]).unwrap();
    assert_eq!(
        super::tests::deltas(&stream(stop(Sink::Sse), &[last])),
        expected
    );
    let (mut translator, mut out) = (Translator::new(stop(Sink::Json)), Vec::new());
    translator.feed_object(&body, &mut out).unwrap();
    let object: Json = serde_json::from_slice(&out).unwrap();
    assert_eq!(object["usage"]["total_tokens"], 3);
    // An error tells what was held first.
    let text = run(
        stop(Sink::Sse),
        &[&sse(&[delta(0, "aS"), delta(0, "T")])],
        UpstreamEnd::Clean,
    );
    assert_eq!(chunks(&text)[1]["choices"][0]["delta"]["content"], "ST");
}

#[test]
fn encrypted_reasoning_travels_with_the_client() {
    let item = |blob: &str| json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": blob});
    let last = json!({"type": "response.completed", "response": {"output": [item("again")]}});
    let events = [
        thought("summary", 0, 0, "s"),
        done(0, item("blob")),
        done(1, item("two")),
        delta(2, "a"),
        last,
    ];
    let raw = message(plan, &events);
    let entry = |n: u64, blob: &str| json!({"type": "reasoning.encrypted", "data": blob, "id": "rs_1", "format": "openai-responses-v1", "index": n});
    assert_eq!(
        raw["reasoning_details"],
        json!([entry(0, "blob"), entry(1, "two")])
    );
    let key = SealKey::new([7; 32]);
    let sealing = |sink| Plan {
        seal: Some((key.clone(), "p".into())),
        ..plan(sink)
    };
    let sealed = message(sealing, &events);
    let details = &sealed["reasoning_details"];
    assert_ne!(details[0]["data"], details[1]["data"]);
    let opened = seal::unseal(&key, details[0]["data"].as_str().unwrap()).unwrap();
    assert_eq!(opened.profile, format!("p{SEALED_FOR}"));
    assert_eq!(opened.escaped_text, b"blob");
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

/// Any event of any kind, about a few items, with members missing or of the wrong type.
fn event() -> impl Strategy<Value = Json> {
    let kinds = [
        "response.created",
        "response.output_item.added",
        "response.output_item.done",
        "response.content_part.added",
        "response.content_part.done",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_text.annotation.added",
        "response.refusal.delta",
        "response.refusal.done",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.reasoning_summary_part.done",
        "response.reasoning_summary_text.delta",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
    ];
    let kind = prop::sample::select(kinds.to_vec());
    let text = prop::sample::select(vec!["", "a", "STOP", "ST", "OP", "\"\\\n", "é\u{1F600}"]);
    let item = prop::sample::select(vec![
        "message",
        "reasoning",
        "function_call",
        "custom_tool_call",
        "web_search_call",
    ]);
    (kind, 0..4u64, 0..3u64, text, item, 0..12usize).prop_map(|(kind, o, part, text, item, lost)| {
        let content = json!([{"type": "output_text", "text": text, "annotations": [{"type": "url_citation", "start_index": part}]},
            {"type": "refusal", "refusal": text}, {"type": "reasoning_text", "text": text}]);
        let mut event = json!({"type": kind, "output_index": o, "content_index": part, "summary_index": part,
            "delta": text, "text": text, "refusal": text, "arguments": text, "input": text,
            "part": content[part as usize], "annotation": content[0]["annotations"][0],
            "logprobs": [{"token": text, "logprob": -1, "top_logprobs": [{}]}],
            "item": {"type": item, "id": "i", "call_id": "c", "name": "f", "arguments": text, "input": text,
                "content": content, "summary": [{"text": text}], "encrypted_content": text}});
        let members = event.as_object_mut().unwrap();
        let names: Vec<String> = members.keys().cloned().collect();
        if let Some(name) = names.get(lost + 1) {
            match part {
                0 => members.remove(name),
                1 => members.insert(name.clone(), json!(7)),
                _ => members.insert(name.clone(), Json::Null),
            };
        }
        event
    })
}

proptest! {
    #[test]
    fn any_events_give_one_answer(
        events in prop::collection::vec(event(), 0..24),
        options in (any::<bool>(), any::<bool>(), any::<bool>()),
        cut in any::<prop::sample::Index>(),
    ) {
        let (stop, legacy, custom) = options;
        let plan = |sink| Plan {
            stop: if stop { vec!["STOP".into()] } else { Vec::new() },
            legacy_functions: legacy,
            custom_tools: if custom { vec!["f".into()] } else { Vec::new() },
            ..plan(sink)
        };
        let mut events = events;
        events.push(completed());
        let bytes = sse(&events);
        let text = run(plan(Sink::Sse), &[&bytes], UpstreamEnd::Clean);
        let object = whole(plan(Sink::Json), &bytes).unwrap();
        prop_assert_eq!(&object, &accumulate(&text));
        let (a, b) = bytes.split_at(cut.index(bytes.len() + 1));
        prop_assert_eq!(run(plan(Sink::Sse), &[a, b], UpstreamEnd::Clean), text);
        // As one object, too.
        let items: Vec<Json> = events.iter().map(|e| e["item"].clone()).collect();
        let body = serde_json::to_vec(&json!({"status": "completed", "output": items})).unwrap();
        let (mut translator, mut out) = (Translator::new(plan(Sink::Sse)), Vec::new());
        translator.feed_object(&body, &mut out).unwrap();
        let (mut translator, mut whole) = (Translator::new(plan(Sink::Json)), Vec::new());
        translator.feed_object(&body, &mut whole).unwrap();
        let whole: Json = serde_json::from_slice(&whole).unwrap();
        prop_assert_eq!(whole, accumulate(std::str::from_utf8(&out).unwrap()));
    }
}
