//! Text, reasoning and what belongs to them.

use super::tests::*;
use super::*;
use crate::translate::reverse::SEALED_FOR;
use crate::translate::seal;
use serde_json::{Value as Json, json};

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
