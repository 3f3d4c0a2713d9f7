//! What people read of requests and answers, whole and cut.

use super::*;
use serde_json::json;

fn kinds(turns: &[Turn]) -> Vec<(Kind, &str)> {
    turns.iter().map(|t| (t.kind, t.who.as_str())).collect()
}

const PATCH: &str = "*** Begin Patch\n*** Update File: a\n@@\n-x\n+y\n*** End Patch";

fn items() -> serde_json::Value {
    json!([
        {"type": "message", "role": "user", "content": [
            {"type": "input_text", "text": "hi"},
            {"type": "input_image", "image_url": "data:image/png;base64,AAAAAAAA"}]},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "x"},
        {"type": "function_call", "name": "shell", "call_id": "c1",
            "arguments": "{\"command\":[\"bash\",\"-lc\",\"ls -l\"],\"workdir\":\"/w\"}"},
        {"type": "function_call_output", "call_id": "c1", "output": "total 0"},
        {"type": "custom_tool_call", "name": "apply_patch", "input": PATCH},
        {"role": "assistant", "content": "done"},
        {"type": "web_search_call", "action": {"query": "q"}},
    ])
}

#[test]
fn a_request_is_read_turn_by_turn() {
    let request = json!({"model": "m", "instructions": "be good", "input": items()});
    let turns = of_request(request.to_string().as_bytes()).unwrap();
    let expected = [
        (Kind::Instructions, "instructions"),
        (Kind::User, "user"),
        (Kind::Reasoning, "reasoning"),
        (Kind::Call, "shell"),
        (Kind::Output, "output"),
        (Kind::Call, "apply_patch"),
        (Kind::Assistant, "assistant"),
        (Kind::Call, "web_search_call"),
    ];
    assert_eq!(kinds(&turns), expected);
    assert_eq!(
        turns[1].parts[1],
        Part::Thing("input_image image/png, 6 bytes".to_owned())
    );
    assert_eq!(turns[3].parts[0], Part::Code("$ ls -l".to_owned()));
    assert_eq!(
        turns[3].parts[1],
        Part::Code("{\n  \"workdir\": \"/w\"\n}".to_owned())
    );
    assert_eq!(turns[5].parts, [Part::Diff(PATCH.to_owned())]);
    let short = of_request(br#"{"input":"hi"}"#).unwrap();
    assert_eq!(kinds(&short), [(Kind::User, "user")]);
}

#[test]
fn a_chat_request_reads_the_same() {
    let arguments = json!({"input": PATCH}).to_string();
    let request = json!({"messages": [
        {"role": "system", "content": "be good"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
            {"id": "c1", "function": {"name": "apply_patch", "arguments": arguments}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "ok"},
    ]});
    let turns = of_request(request.to_string().as_bytes()).unwrap();
    let expected = [
        (Kind::Instructions, "system"),
        (Kind::User, "user"),
        (Kind::Reasoning, "reasoning"),
        (Kind::Call, "apply_patch"),
        (Kind::Output, "output"),
    ];
    assert_eq!(kinds(&turns), expected);
    assert_eq!(turns[3].parts, [Part::Diff(PATCH.to_owned())]);
}

fn events() -> Vec<String> {
    let events = [
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "message", "role": "assistant", "content": []}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "hel"}),
        json!({"type": "response.output_text.delta", "output_index": 0, "delta": "lo"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hello"}]}}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": {"type": "function_call", "name": "shell", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "{\"cmd\":\"l"}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 1, "delta": "s\"}"}),
        json!({"type": "response.failed", "response": {"output": [], "error": {"code": "server_error", "message": "broken"}}}),
    ];
    events.map(|e| e.to_string()).into()
}

#[test]
fn a_stream_is_read_as_far_as_it_goes() {
    let sse: String = events()
        .iter()
        .map(|e| format!("event: x\ndata: {e}\n\n"))
        .collect();
    let lines = events().join("\n");
    for body in [sse.as_str(), lines.as_str()] {
        let turns = of_answer(body.as_bytes()).unwrap();
        let expected = [
            (Kind::Assistant, "assistant"),
            (Kind::Call, "shell"),
            (Kind::Other, "error"),
        ];
        assert_eq!(kinds(&turns), expected);
        assert_eq!(turns[0].parts, [Part::Words("hello".to_owned())]);
        assert_eq!(turns[1].parts, [Part::Code("$ ls".to_owned())]);
        // Cut anywhere it does not panic, and never invents anything.
        for end in 0..body.len() {
            for turn in of_answer(&body.as_bytes()[..end]).into_iter().flatten() {
                assert!(
                    turn.kind != Kind::Other || end >= body.trim_end().len(),
                    "{turn:?}"
                );
            }
        }
    }
    let cut = &sse[..sse.find("\"lo\"").unwrap()];
    let turns = of_answer(cut.as_bytes()).unwrap();
    assert_eq!(turns[0].parts, [Part::Words("hel".to_owned())]);
}

#[test]
fn chat_answers_are_read_whole_and_as_streams() {
    let chunk = |delta: serde_json::Value| {
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "delta": delta}]})
        )
    };
    let stream = [
        chunk(json!({"reasoning_content": "hm"})),
        chunk(json!({"content": "he"})),
        chunk(
            json!({"content": "y", "tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{\"a\""}}]}),
        ),
        chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]})),
        "data: [DONE]\n\n".to_owned(),
    ];
    let streamed = of_answer(stream.concat().as_bytes()).unwrap();
    let whole = json!({"choices": [{"message": {"role": "assistant", "reasoning_content": "hm", "content": "hey",
        "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\":1}"}}]}}]});
    assert_eq!(of_answer(whole.to_string().as_bytes()).unwrap(), streamed);
    let expected = [
        (Kind::Reasoning, "reasoning"),
        (Kind::Assistant, "assistant"),
        (Kind::Call, "f"),
    ];
    assert_eq!(kinds(&streamed), expected);
}

#[test]
fn what_is_no_conversation_is_none() {
    for body in ["", "x", "[1]", "\u{0}"] {
        assert_eq!(of_request(body.as_bytes()), None, "{body:?}");
        assert_eq!(of_answer(body.as_bytes()), None, "{body:?}");
    }
    let error = of_answer(br#"{"error":{"message":"no","code":"c"}}"#).unwrap();
    assert_eq!(
        (error[0].who.as_str(), error[0].note.as_str()),
        ("error", "c")
    );
}
