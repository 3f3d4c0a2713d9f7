//! The request translator: every row of SPEC 2.1.

use super::request_tests::*;
use super::{FORMAT_RAW, SEALED_FOR};
use crate::auth::secret::SealKey;
use crate::provider::Profile;
use crate::provider::profile::Replay;
use crate::translate::seal::{Sealed, seal};
use serde_json::{Value as Json, json};

#[test]
fn functions_are_tools_of_an_older_client() {
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    let asked = json!({"functions": [function], "function_call": {"name": "f"}});
    let translated = run(&profile(), &request(asked)).unwrap();
    assert!(translated.legacy_functions && translated.diagnostics.is_empty());
    let body: Json = serde_json::from_slice(&translated.body).unwrap();
    assert_eq!(
        body["tools"][0],
        json!({"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": false})
    );
    assert_eq!(
        body["tool_choice"],
        json!({"type": "function", "name": "f"})
    );
    assert_eq!(body["parallel_tool_calls"], false);
    let both = json!({"functions": [function], "tools": [{"type": "function", "function": {"name": "g"}}]});
    assert!(!run(&profile(), &request(both)).unwrap().legacy_functions);
    let messages = json!([
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": null, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "r"},
    ]);
    let items = input(messages);
    assert_eq!(
        items[1],
        json!({"type": "function_call", "call_id": "call_legacy_1", "name": "f", "arguments": "{}"})
    );
    assert_eq!(
        items[2],
        json!({"type": "function_call_output", "call_id": "call_legacy_1", "output": "r"})
    );
    let orphan = json!([{"role": "user", "content": "q"}, {"role": "function", "name": "f", "content": "r"}]);
    assert_eq!(
        notes(json!({ "messages": orphan })),
        ["item.dropped messages[1]"]
    );
}

#[test]
fn system_messages() {
    let asked = json!({"messages": [
        {"role": "system", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "developer", "content": "c"},
        {"role": "user", "content": "q"},
        {"role": "system", "content": "d"},
    ]});
    let body = body(asked);
    assert_eq!(body["instructions"], "a\nb");
    let developer = |text: &str| json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]});
    assert_eq!(
        (&body["input"][0], &body["input"][2]),
        (&developer("c"), &developer("d"))
    );
    // Alone, it is the input: an empty one is refused.
    assert_eq!(
        input(json!([{"role": "system", "content": "s"}])),
        json!([developer("s")])
    );
}

#[test]
fn user_parts() {
    let parts = json!([
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
        {"type": "image_url", "image_url": {"url": "data:z", "detail": "low"}},
        {"type": "file", "file": {"file_data": "d", "filename": "f.pdf"}},
        {"type": "file", "file": {"file_id": "i"}},
    ]);
    let user = json!([{"role": "user", "content": parts}]);
    let expected = json!([
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "https://x/y.png", "detail": "auto"},
        {"type": "input_image", "image_url": "data:z", "detail": "low"},
        {"type": "input_file", "file_data": "d", "filename": "f.pdf"},
        {"type": "input_file", "file_id": "i"},
    ]);
    assert_eq!(input(user)[0]["content"], expected);
    let part = |part: Json| json!({"messages": [{"role": "user", "content": [part]}]});
    let audio = refused(part(json!({"type": "input_audio", "input_audio": {}})));
    assert_eq!((audio.0, &*audio.2), (400, "messages[0].content[0]"));
    assert_eq!(
        refused(part(json!({"type": "image_url"}))).2,
        "messages[0].content[0].image_url.url"
    );
    assert_eq!(
        notes(part(json!({"type": "video_url"}))),
        ["content.dropped messages[0].content[0]"]
    );
    let blind = Profile {
        images_user: false,
        ..profile()
    };
    let image = json!({"type": "image_url", "image_url": {"url": "u"}});
    let (body, notes) = with(&blind, part(image));
    assert_eq!(body["input"][0]["content"][0]["type"], "input_text");
    assert_eq!(notes, ["content.degraded messages[0].content[0]"]);
    assert_eq!(
        self::notes(json!({"messages": [{"role": "user", "content": "q", "name": "n"}]})),
        ["field.dropped messages[0].name"]
    );
}

#[test]
fn assistants_and_their_calls() {
    let calls = json!([
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
        {"id": "c2", "type": "custom", "custom": {"name": "p", "input": "x\n"}},
        {"id": "c3", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"id": "c4", "type": "function", "function": {"name": "g", "arguments": {"a": "\""}}},
    ]);
    let image = json!({"type": "image_url", "image_url": {"url": "u"}});
    let messages = json!([
        {"role": "assistant", "content": "t", "refusal": "r", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "c2", "content": "done"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "tool", "tool_call_id": "c3", "content": [{"type": "text", "text": "a"}, image]},
        {"role": "tool", "tool_call_id": "c4", "content": null},
        {"role": "assistant", "content": ""},
        {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "refusal", "refusal": "b"}]},
    ]);
    let text = |text: &str| json!({"type": "output_text", "text": text, "annotations": []});
    let refusal = |text: &str| json!({"type": "refusal", "refusal": text});
    let picture = json!([{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "u", "detail": "auto"}]);
    assert_eq!(
        input(messages),
        json!([
            {"type": "message", "role": "assistant", "content": [text("t"), refusal("r")]},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{\"a\": 1}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "x\n"},
            {"type": "function_call", "call_id": "c3", "name": "g", "arguments": "{}"},
            {"type": "function_call", "call_id": "c4", "name": "g", "arguments": "{\"a\":\"\\\"\"}"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": "done"},
            {"type": "function_call_output", "call_id": "c1", "output": "a\nb"},
            {"type": "function_call_output", "call_id": "c3", "output": picture},
            {"type": "function_call_output", "call_id": "c4", "output": ""},
            {"type": "message", "role": "assistant", "content": [text("a"), refusal("b")]},
        ])
    );
    let long = "x".repeat(65);
    let call =
        json!([{"id": long, "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let items = input(
        json!([{"role": "assistant", "tool_calls": call}, {"role": "tool", "tool_call_id": long, "content": "r"}]),
    );
    assert_eq!(items[0]["call_id"], items[1]["call_id"]);
    assert!(items[0]["call_id"].as_str().unwrap().len() <= 64);
    for (message, param) in [
        (
            json!({"role": "tool", "content": "r"}),
            "messages[0].tool_call_id",
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}),
            "messages[0].tool_calls[0].id",
        ),
        (
            json!({"role": "assistant", "tool_calls": [{"id": "c"}]}),
            "messages[0].tool_calls[0].function",
        ),
        (
            json!({"role": "assistant", "tool_calls": 7}),
            "messages[0].tool_calls",
        ),
        (json!({"role": "x"}), "messages[0].role"),
        (json!({"content": "x"}), "messages[0].role"),
        (json!({"role": "user"}), "messages[0].content"),
        (json!(7), "messages[0]"),
    ] {
        assert_eq!(refused(json!({"messages": [message]})).2, param);
    }
}

#[test]
fn reasoning_goes_back_to_whom_it_came_from() {
    let sealed = |profile: &str| {
        let sealed = Sealed {
            profile: profile.to_owned(),
            escaped_text: b"blob".to_vec(),
            extra: Vec::new(),
        };
        seal(&SealKey::new(KEY), [1; 12], &sealed)
    };
    let assistant = |data: &str, format: &str| {
        let detail = json!({"type": "reasoning.encrypted", "data": data, "id": "rs_1", "format": format, "index": 0});
        json!({"messages": [{"role": "assistant", "content": "t", "reasoning_content": "r", "reasoning_details": [detail]}]})
    };
    let own = sealed(&format!("p{SEALED_FOR}"));
    let item =
        json!({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "blob"});
    assert_eq!(body(assistant(&own, "gwr1"))["input"][0], item);
    assert_eq!(body(assistant("blob", FORMAT_RAW))["input"][0], item);
    let dropped = [
        "item.dropped messages[0].reasoning_details[0]",
        "content.dropped messages[0].reasoning_content",
    ];
    let (other, text) = (sealed(&format!("q{SEALED_FOR}")), sealed("p"));
    for (data, format) in [
        (&*other, "gwr1"),
        (&text, "gwr1"),
        ("gwr1.AAAA", "gwr1"),
        ("blob", "other-v1"),
        ("", FORMAT_RAW),
    ] {
        let (body, notes) = with(&profile(), assistant(data, format));
        assert_eq!(notes, dropped);
        assert_eq!(body["input"][0]["type"], "message");
    }
    let plain =
        json!({"messages": [{"role": "assistant", "content": "t", "reasoning_content": "r"}]});
    assert_eq!(
        notes(plain.clone()),
        ["content.dropped messages[0].reasoning_content"]
    );
    let taking = Profile {
        replay: Replay::Optional,
        ..profile()
    };
    let (body, notes) = with(&taking, plain);
    let item = json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}]});
    assert_eq!((&body["input"][0], notes.len()), (&item, 0));
    // Ids of other shapes are refused upstream.
    let detail = json!({"type": "reasoning.encrypted", "data": "blob", "id": "reasoning_1"});
    let items =
        input(json!([{"role": "assistant", "content": "t", "reasoning_details": [detail]}]));
    assert_eq!(
        items[0],
        json!({"type": "reasoning", "summary": [], "encrypted_content": "blob"})
    );
}

#[test]
fn requests_that_are_none_are_refused() {
    for (request, param) in [
        (json!([]), ""),
        (
            json!({"messages": [{"role": "user", "content": "q"}]}),
            "model",
        ),
        (json!({"model": "m"}), "messages"),
        (json!({"model": "m", "messages": []}), "messages"),
        (json!({"model": "m", "messages": "q"}), "messages"),
    ] {
        let error = run(&profile(), &request).unwrap_err();
        assert_eq!(
            (error.status(), error.param.as_deref().unwrap_or("")),
            (400, param)
        );
    }
    for name in [
        "stream",
        "tools",
        "metadata",
        "logprobs",
        "response_format",
        "stream_options",
    ] {
        assert_eq!(refused(json!({ name: "x" })).2, name);
    }
}
