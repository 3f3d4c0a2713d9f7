//! What holds for any events.

use super::tests::*;
use super::*;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

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
