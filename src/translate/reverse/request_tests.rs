//! The request translator: every row of SPEC 2.

use super::request::{Context, Translated, translate};
use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::json::Tape;
use crate::provider::Profile;
use serde_json::{Value as Json, json};

pub(super) const KEY: [u8; 32] = [7; 32];

pub(super) fn profile() -> Profile {
    Profile {
        name: "p".into(),
        ..Profile::default()
    }
}

pub(super) fn run(profile: &Profile, request: &Json) -> Result<Translated, Error> {
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
pub(super) fn request(members: Json) -> Json {
    let mut request = json!({"model": "m", "messages": [{"role": "user", "content": "q"}]});
    for (key, value) in members.as_object().unwrap() {
        request[key] = value.clone();
    }
    request
}

/// The body, and the diagnostics as `code path`.
pub(super) fn with(profile: &Profile, members: Json) -> (Json, Vec<String>) {
    let translated = run(profile, &request(members)).unwrap();
    let notes = translated.diagnostics.iter();
    let notes = notes.map(|d| format!("{} {}", d.code, d.path)).collect();
    (serde_json::from_slice(&translated.body).unwrap(), notes)
}

/// The body, when there is nothing to say about it.
pub(super) fn body(members: Json) -> Json {
    let (body, notes) = with(&profile(), members);
    assert_eq!(notes, [""; 0], "{body}");
    body
}

pub(super) fn notes(members: Json) -> Vec<String> {
    with(&profile(), members).1
}

/// Status, code and parameter.
pub(super) fn refused(members: Json) -> (u16, String, String) {
    let error = run(&profile(), &request(members)).unwrap_err();
    let code = error.api_code().to_owned();
    (error.status(), code, error.param.unwrap_or_default())
}

pub(super) fn input(messages: Json) -> Json {
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
fn what_the_provider_insists_on_is_put_in() {
    let strict = Profile {
        stream_only: true,
        default_body: toml::from_str("store = false\ninstructions = 'Be kind.'").unwrap(),
        ..profile()
    };
    let (body, notes) = with(&strict, json!({}));
    assert_eq!(
        (&body["stream"], &body["store"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(body["instructions"], "Be kind.");
    assert!(notes.is_empty(), "{notes:?}");
    let messages = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]);
    let (body, _) = with(&strict, json!({"messages": messages, "stream": true}));
    assert_eq!(
        (&body["stream"], &body["instructions"]),
        (&json!(true), &json!("s"))
    );
}
