//! What holds for any request.

use super::request_tests::{profile, run};
use crate::provider::Profile;
use crate::provider::profile::Replay;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn leaf() -> impl Strategy<Value = Json> {
    let values = [
        json!(null),
        json!(true),
        json!(false),
        json!(-1.5),
        json!(3),
        json!("t\u{0}\"\n"),
        json!(""),
        json!([]),
        json!({}),
        json!("auto"),
        json!([{"type": "text", "text": "a"}]),
        json!([1]),
        json!("c1"),
        json!("rs_1"),
        json!([{"id": "c1", "function": {"name": "f", "arguments": {}}}, {"id": "c2", "custom": {"name": "p"}}]),
        json!([{"type": "reasoning.encrypted", "data": "gwr1.x"}, {"data": "y"}, {"text": "z"}]),
        json!([{"type": "image_url", "image_url": "u"}, {"type": "file", "file": {"file_id": "i"}}, {"type": "refusal", "refusal": "r"}]),
        json!({"type": "function", "function": {"name": "f"}}),
        json!({"type": "disabled", "effort": "low", "enabled": false}),
    ];
    prop::sample::select(values.to_vec())
}

fn message() -> impl Strategy<Value = Json> {
    let roles = [
        "system",
        "developer",
        "user",
        "assistant",
        "assistant",
        "tool",
        "function",
        "x",
    ];
    let keys = [
        "content",
        "content",
        "name",
        "tool_calls",
        "tool_call_id",
        "function_call",
        "reasoning_content",
        "reasoning_details",
        "refusal",
        "audio",
    ];
    let members = prop::collection::vec((prop::sample::select(keys.to_vec()), leaf()), 0..5);
    (prop::sample::select(roles.to_vec()), members).prop_map(|(role, members)| {
        let mut message = json!({"role": role, "content": "c", "tool_call_id": "c1"});
        for (key, value) in members {
            message[key] = value;
        }
        message
    })
}

proptest! {
    #[test]
    fn nothing_from_outside_panics(
        messages in prop::collection::vec(message(), 1..6),
        members in prop::collection::vec((0..32usize, leaf()), 0..6),
        seeing: bool,
        replay: bool,
    ) {
        let names = ["audio", "chat_template_kwargs", "enable_thinking", "function_call", "functions", "include_reasoning",
            "logprobs", "max_completion_tokens", "max_tokens", "metadata", "modalities", "n", "parallel_tool_calls",
            "prompt_cache_key", "reasoning", "reasoning_effort", "response_format", "seed", "service_tier", "stop", "store",
            "stream", "stream_options", "temperature", "thinking", "tool_choice", "tools", "top_logprobs", "top_p", "user",
            "verbosity", "other"];
        let mut request = json!({"model": "m", "messages": messages});
        for (at, value) in members {
            request[names[at]] = value;
        }
        let profile = Profile {
            images_user: seeing,
            replay: if replay { Replay::Required } else { Replay::None },
            ..profile()
        };
        match run(&profile, &request) {
            Ok(translated) => {
                let body: Json = serde_json::from_slice(&translated.body).unwrap();
                prop_assert_eq!(&body["model"], "m-upstream");
                prop_assert!(body["input"].is_array());
                prop_assert!(translated.diagnostics.iter().all(|d| !d.path.is_empty() && d.message.ends_with('.')));
            }
            Err(error) => prop_assert!(error.status() == 400 && error.param.is_some(), "{error}"),
        }
    }

    #[test]
    fn histories_grow_only_at_the_end(turns in prop::collection::vec(message(), 2..8)) {
        // A lone system message is the input; from the second message on nothing moves.
        let input = |count: usize| {
            let request = json!({"model": "m", "messages": turns[..count]});
            let body = run(&profile(), &request).ok()?.body;
            let text = String::from_utf8(body).unwrap();
            let end = text.find("],\"include\"").unwrap();
            Some(text[..end].to_owned())
        };
        for count in 2..turns.len() {
            if let (Some(before), Some(after)) = (input(count), input(count + 1)) {
                prop_assert!(after.starts_with(&before), "{before}\n{after}");
            }
        }
    }
}
