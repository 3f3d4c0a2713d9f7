//! The request translator: every row of SPEC 2 and 2.1, and properties of any request.

use super::request::{Context, Translated, translate};
use super::{FORMAT_RAW, SEALED_FOR};
use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::json::Tape;
use crate::provider::Profile;
use crate::provider::profile::Replay;
use crate::translate::seal::{Sealed, seal};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

const KEY: [u8; 32] = [7; 32];

fn profile() -> Profile {
    Profile {
        name: "p".into(),
        ..Profile::default()
    }
}

fn run(profile: &Profile, request: &Json) -> Result<Translated, Error> {
    let src = serde_json::to_vec(request).unwrap();
    let mut tape = Tape::new();
    let cx = Context {
        profile,
        model: "m-upstream",
        seal_key: &SealKey::new(KEY),
    };
    translate(tape.parse(&src).unwrap(), cx)
}

/// A request with the given members.
fn request(members: Json) -> Json {
    let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "q"}]});
    for (key, value) in members.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// The body, and the diagnostics as `code path`.
fn with(profile: &Profile, members: Json) -> (Json, Vec<String>) {
    let translated = run(profile, &request(members)).unwrap();
    let notes = translated.diagnostics.iter();
    let notes = notes.map(|d| format!("{} {}", d.code, d.path)).collect();
    (serde_json::from_slice(&translated.body).unwrap(), notes)
}

/// The body, when there is nothing to say about it.
fn body(members: Json) -> Json {
    let (body, notes) = with(&profile(), members);
    assert_eq!(notes, [""; 0], "{body}");
    body
}

fn notes(members: Json) -> Vec<String> {
    with(&profile(), members).1
}

/// Status, code and parameter.
fn refused(members: Json) -> (u16, String, String) {
    let error = run(&profile(), &request(members)).unwrap_err();
    let code = error.api_code().to_owned();
    (error.status(), code, error.param.unwrap_or_default())
}

fn input(messages: Json) -> Json {
    body(json!({ "messages": messages }))["input"].clone()
}

#[test]
fn the_plainest_request() {
    let user = json!({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "q"}]});
    let expected = json!({"model": "m-upstream", "input": [user],
        "include": ["reasoning.encrypted_content"], "store": false});
    assert_eq!(body(json!({})), expected);
}

#[test]
fn streams_and_their_usage() {
    let translated = run(&profile(), &request(json!({"stream": true}))).unwrap();
    assert!(translated.stream && !translated.include_usage);
    let body: Json = serde_json::from_slice(&translated.body).unwrap();
    assert_eq!(body["stream"], true);
    assert_eq!(
        body["stream_options"],
        json!({"include_obfuscation": false})
    );
    let options = json!({"include_usage": true, "include_obfuscation": true});
    let asked = request(json!({"stream": true, "stream_options": options}));
    assert!(run(&profile(), &asked).unwrap().include_usage);
    let whole = request(json!({"stream_options": options}));
    let translated = run(&profile(), &whole).unwrap();
    assert!(!translated.stream && !translated.include_usage);
}

#[test]
fn limits_have_a_least() {
    assert_eq!(
        body(json!({"max_completion_tokens": 100}))["max_output_tokens"],
        100
    );
    assert_eq!(body(json!({"max_tokens": 17}))["max_output_tokens"], 17);
    let both = json!({"max_tokens": 50, "max_completion_tokens": 60});
    assert_eq!(body(both)["max_output_tokens"], 60);
    let (body, notes) = with(&profile(), json!({"max_tokens": 1}));
    assert_eq!(body["max_output_tokens"], 16);
    assert_eq!(notes, ["field.degraded max_tokens"]);
    assert_eq!(refused(json!({"max_tokens": "x"})).2, "max_tokens");
    assert_eq!(refused(json!({"max_tokens": -1})).0, 400);
}

#[test]
fn sampling_and_its_range() {
    let both = body(json!({"temperature": 0.5, "top_p": 1}));
    assert_eq!(
        (&both["temperature"], &both["top_p"]),
        (&json!(0.5), &json!(1))
    );
    let narrow = Profile {
        temperature: Some((0.0, 1.0)),
        ..profile()
    };
    let (body, notes) = with(&narrow, json!({"temperature": 2}));
    assert_eq!(body["temperature"], json!(1));
    assert_eq!(notes, ["field.degraded temperature"]);
    assert_eq!(refused(json!({"top_p": "x"})).2, "top_p");
}

#[test]
fn one_choice_and_no_audio() {
    body(json!({"n": 1, "modalities": ["text"]}));
    let unsupported = |param: &str| (400, "unsupported_value".to_owned(), param.to_owned());
    assert_eq!(refused(json!({"n": 2})), unsupported("n"));
    assert_eq!(refused(json!({"n": "x"})).2, "n");
    assert_eq!(
        refused(json!({"modalities": ["text", "audio"]})),
        unsupported("modalities")
    );
    assert_eq!(
        refused(json!({"audio": {"voice": "v"}})),
        unsupported("audio")
    );
}

#[test]
fn stop_sequences_are_ours_to_apply() {
    let stop = |stop: Json| run(&profile(), &request(json!({ "stop": stop })));
    let one = stop(json!("a\nb")).unwrap();
    assert_eq!(one.stop, ["a\nb"]);
    assert_eq!(one.diagnostics[0].path, "stop");
    assert_eq!(stop(json!(["a", "", "b"])).unwrap().stop, ["a", "b"]);
    assert!(stop(Json::Null).unwrap().stop.is_empty());
    for bad in [
        json!(7),
        json!([7]),
        json!(["a", "b", "c", "d", "e"]),
        json!("x".repeat(2000)),
    ] {
        assert_eq!(stop(bad).unwrap_err().param.as_deref(), Some("stop"));
    }
}

#[test]
fn fields_without_a_place_are_named() {
    for (name, value) in [
        ("seed", json!(1)),
        ("logit_bias", json!({"1": 2})),
        ("prediction", json!({"type": "content", "content": "x"})),
        ("presence_penalty", json!(1)),
        ("frequency_penalty", json!(0.5)),
        ("web_search_options", json!({})),
        ("moderation", json!({})),
        ("extra_body", json!({})),
        ("something_new", json!(true)),
        ("thinking", json!({"type": "enabled"})),
    ] {
        let (body, notes) = with(&profile(), json!({ name: value }));
        assert_eq!(body.get(name), None);
        assert_eq!(notes, [format!("field.dropped {name}")]);
        assert!(self::notes(json!({ name: null })).is_empty());
    }
    assert_eq!(notes(json!({"store": true})), ["field.degraded store"]);
    assert_eq!(
        notes(json!({"chat_template_kwargs": {"x": 1}})),
        ["field.dropped chat_template_kwargs.x"]
    );
}

#[test]
fn log_probabilities() {
    let both = body(json!({"logprobs": true, "top_logprobs": 3}));
    assert_eq!(both["top_logprobs"], 3);
    let include = json!([
        "reasoning.encrypted_content",
        "message.output_text.logprobs"
    ]);
    assert_eq!(both["include"], include);
    assert_eq!(body(json!({"logprobs": true}))["top_logprobs"], 0);
    assert_eq!(body(json!({"logprobs": false})).get("top_logprobs"), None);
    assert_eq!(refused(json!({"top_logprobs": 3})).2, "top_logprobs");
    assert_eq!(
        refused(json!({"logprobs": true, "top_logprobs": 21})).2,
        "top_logprobs"
    );
}

#[test]
fn formats_are_flattened_and_always_say_strict() {
    let format = |format: Json| body(json!({ "response_format": format }))["text"].clone();
    assert_eq!(format(json!({"type": "text"})), Json::Null);
    assert_eq!(
        format(json!({"type": "json_object"})),
        json!({"format": {"type": "json_object"}})
    );
    let schema = json!({"type": "object", "properties": {"encrypted": {"type": "boolean"}}});
    let inner = json!({"name": "n", "schema": schema, "description": "d"});
    let flat = json!({"type": "json_schema", "name": "n", "schema": schema, "strict": false, "description": "d"});
    assert_eq!(
        format(json!({"type": "json_schema", "json_schema": inner})),
        json!({ "format": flat })
    );
    let strict = json!({"name": "n", "schema": schema, "strict": true});
    assert_eq!(
        format(json!({"type": "json_schema", "json_schema": strict}))["format"]["strict"],
        true
    );
    let both = body(json!({"verbosity": "low", "response_format": {"type": "json_object"}}));
    assert_eq!(
        both["text"],
        json!({"format": {"type": "json_object"}, "verbosity": "low"})
    );
    assert_eq!(
        body(json!({"verbosity": "high"}))["text"],
        json!({"verbosity": "high"})
    );
    assert_eq!(
        notes(json!({"response_format": {"type": "x"}})),
        ["field.dropped response_format"]
    );
    assert_eq!(
        refused(json!({"response_format": {"type": "json_schema"}})).2,
        "response_format.json_schema"
    );
}

#[test]
fn every_word_for_thinking() {
    let reasoning = |members: Json| body(members)["reasoning"].clone();
    assert_eq!(
        reasoning(json!({"reasoning_effort": "high"})),
        json!({"effort": "high"})
    );
    assert_eq!(
        reasoning(json!({"reasoning": {"effort": "low", "summary": "auto"}})),
        json!({"effort": "low", "summary": "auto"})
    );
    assert_eq!(
        reasoning(json!({"include_reasoning": true})),
        json!({"summary": "auto"})
    );
    for off in [
        json!({"thinking": {"type": "disabled"}}),
        json!({"enable_thinking": false}),
        json!({"reasoning": {"enabled": false}}),
        json!({"chat_template_kwargs": {"enable_thinking": false}}),
        json!({"chat_template_kwargs": {"thinking": false}}),
    ] {
        assert_eq!(reasoning(off), json!({"effort": "none"}));
    }
    assert_eq!(reasoning(json!({"enable_thinking": true})), Json::Null);
    let both = json!({"reasoning_effort": "low", "enable_thinking": false});
    assert_eq!(reasoning(both), json!({"effort": "low"}));
    assert_eq!(
        notes(json!({"reasoning": {"max_tokens": 5}})),
        ["field.dropped reasoning.max_tokens"]
    );
    assert_eq!(refused(json!({"reasoning": 7})).2, "reasoning");
    let mapped = Profile {
        efforts: [("xhigh".to_owned(), "high".to_owned())].into(),
        ..profile()
    };
    let (body, _) = with(&mapped, json!({"reasoning_effort": "xhigh"}));
    assert_eq!(body["reasoning"], json!({"effort": "high"}));
    let (body, notes) = with(&mapped, json!({"reasoning_effort": "low"}));
    assert_eq!(body.get("reasoning"), None);
    assert_eq!(notes, ["field.dropped reasoning_effort"]);
}

#[test]
fn tools_are_flattened_and_always_say_strict() {
    let schema = json!({"type": "object", "properties": {}});
    let grammar = json!({"syntax": "lark", "definition": "start: /a/"});
    let tools = json!([
        {"type": "function", "function": {"name": "f", "description": "d", "parameters": schema, "strict": true}},
        {"type": "function", "function": {"name": "g"}},
        {"type": "custom", "custom": {"name": "c", "description": "d", "format": {"type": "grammar", "grammar": grammar}}},
        {"type": "custom", "custom": {"name": "t", "format": {"type": "text"}}},
        {"type": "web_search"},
    ]);
    let translated = run(&profile(), &request(json!({ "tools": tools }))).unwrap();
    let body: Json = serde_json::from_slice(&translated.body).unwrap();
    let expected = json!([
        {"type": "function", "name": "f", "description": "d", "parameters": schema, "strict": true},
        {"type": "function", "name": "g", "parameters": schema, "strict": false},
        {"type": "custom", "name": "c", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "start: /a/"}},
        {"type": "custom", "name": "t", "format": {"type": "text"}},
    ]);
    assert_eq!(body["tools"], expected);
    assert_eq!(translated.custom_tools, ["c", "t"]);
    assert!(!translated.legacy_functions);
    assert_eq!(translated.diagnostics[0].code, "tool.dropped");
    assert_eq!(translated.diagnostics[0].path, "tools[4]");
    assert_eq!(
        refused(json!({"tools": [{"type": "function", "function": {}}]})).2,
        "tools[0].function.name"
    );
    let few = Profile {
        tools_max: 1,
        ..profile()
    };
    let (body, notes) = with(&few, json!({"tools": tools}));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(notes.len(), 4);
    assert_eq!(self::body(json!({"tools": []})).get("tools"), None);
}

#[test]
fn choices_are_flattened() {
    let tools = json!([
        {"type": "function", "function": {"name": "f"}},
        {"type": "custom", "custom": {"name": "c"}},
    ]);
    let choice = |choice: Json| {
        let body =
            body(json!({"tools": tools, "tool_choice": choice, "parallel_tool_calls": false}));
        assert_eq!(body["parallel_tool_calls"], false);
        body["tool_choice"].clone()
    };
    for word in ["none", "auto", "required"] {
        assert_eq!(choice(json!(word)), word);
    }
    assert_eq!(
        choice(json!({"type": "function", "function": {"name": "f"}})),
        json!({"type": "function", "name": "f"})
    );
    assert_eq!(
        choice(json!({"type": "custom", "custom": {"name": "c"}})),
        json!({"type": "custom", "name": "c"})
    );
    let list = json!([{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "c"}}]);
    let allowed =
        json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": list}});
    let flat = json!([{"type": "function", "name": "f"}, {"type": "custom", "name": "c"}]);
    assert_eq!(
        choice(allowed),
        json!({"type": "allowed_tools", "mode": "required", "tools": flat})
    );
    for bad in [
        json!("x"),
        json!({"type": "function", "function": {"name": "c"}}),
        json!({"type": "x"}),
        json!({"type": "allowed_tools", "allowed_tools": {}}),
    ] {
        let (status, _, param) = refused(json!({"tools": tools, "tool_choice": bad}));
        assert!(status == 400 && param.starts_with("tool_choice"), "{bad}");
    }
    assert_eq!(
        body(json!({"tool_choice": "auto"})).get("tool_choice"),
        None
    );
    assert_eq!(refused(json!({"tool_choice": "required"})).2, "tool_choice");
}

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
fn fields_of_the_same_name() {
    let same = json!({"metadata": {"a": "b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
        "prompt_cache_options": {"x": 1}, "prompt_cache_retention": "24h", "service_tier": "flex"});
    let body = body(same.clone());
    for (key, value) in same.as_object().unwrap() {
        assert_eq!(&body[key], value);
    }
}

#[test]
fn the_profile_has_the_last_word() {
    let dropping = Profile {
        drop_fields: [
            "max_output_tokens",
            "temperature",
            "include",
            "reasoning.effort",
            "instructions",
            "store",
        ]
        .map(String::from)
        .to_vec(),
        extra_body: toml::from_str("top_p = 0.5\nreasoning = { summary = 'auto' }").unwrap(),
        ..profile()
    };
    let members = json!({"max_tokens": 5, "temperature": 1, "top_p": 1, "reasoning_effort": "low",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]});
    let (body, mut notes) = with(&dropping, members);
    notes.sort_unstable();
    assert_eq!(
        notes,
        [
            "field.dropped max_tokens",
            "field.dropped reasoning_effort",
            "field.dropped temperature"
        ]
    );
    for gone in [
        "max_output_tokens",
        "temperature",
        "include",
        "instructions",
        "store",
    ] {
        assert_eq!(body.get(gone), None);
    }
    assert_eq!(
        (&body["top_p"], &body["reasoning"]),
        (&json!(0.5), &json!({"summary": "auto"}))
    );
    assert_eq!(body["input"][0]["role"], "developer");
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
