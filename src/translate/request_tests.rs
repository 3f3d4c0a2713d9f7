//! Tests of the request translator: the vectors of the spec, real bodies of Codex, properties.

use super::compaction;
use super::request::{Context, Translated, translate};
use super::seal::{Sealed, seal};
use super::snapshot::{Place, echo};
use super::tools::flat_name;
use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::json::Tape;
use crate::provider::Profile;
use crate::provider::profile::{JsonMode, MidSystem, Replay, ReplayForm};
use serde_json::{Value as Json, json};
use std::collections::HashSet;

pub(super) fn run(profile: &Profile, request: &Json) -> Result<Translated, Error> {
    let src = serde_json::to_vec(request).unwrap();
    let mut tape = Tape::new();
    let request = tape.parse(&src).unwrap();
    let seal_key = SealKey::new([7; 32]);
    let model = "m";
    let cx = Context {
        profile,
        model,
        seal_key: &seal_key,
    };
    translate(request, cx)
}

pub(super) fn body(profile: &Profile, request: &Json) -> Json {
    let translated = run(profile, request).unwrap();
    serde_json::from_slice(&translated.body).unwrap()
}

/// The bytes of the messages, without the brackets of the array.
pub(super) fn messages(profile: &Profile, request: &Json) -> String {
    let translated = run(profile, request).unwrap();
    let mut tape = Tape::new();
    let body = tape.parse(&translated.body).unwrap();
    let raw = body.get("messages").unwrap().raw();
    String::from_utf8(raw[1..raw.len() - 1].to_vec()).unwrap()
}

pub(super) fn replaying(replay: Replay) -> Profile {
    Profile {
        name: "p".into(),
        replay,
        replay_field: "reasoning_content".into(),
        ..Profile::default()
    }
}

fn dialect(flags: &Json) -> Profile {
    let mut profile = Profile::default();
    for (flag, value) in flags.as_object().unwrap() {
        match (flag.as_str(), value.as_str()) {
            ("mid_system", Some("ok")) => profile.mid_system = MidSystem::Ok,
            ("images_user", _) => profile.images_user = value.as_bool().unwrap(),
            ("images_tool", _) => profile.images_tool = value.as_bool().unwrap(),
            ("reasoning_replay", Some("none")) => {}
            ("reasoning_replay", Some(field)) => {
                profile.replay = Replay::Optional;
                profile.replay_field = field.into();
            }
            ("name", Some(_)) => {
                // The vector's record of facts, without its name.
                profile.effort_field = "reasoning_effort".into();
                profile.efforts = [("xhigh".to_owned(), "high".to_owned())].into();
                let on: toml::Table = "thinking={type='enabled'}".parse().unwrap();
                profile.thinking_on = on.into_iter().collect();
            }
            other => panic!("unknown flag {other:?}"),
        }
    }
    profile
}

pub(super) fn files(folder: &str) -> Vec<(String, Json)> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/");
    let mut files: Vec<_> = std::fs::read_dir(format!("{root}{folder}"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "json"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|p| {
            let name = p.file_stem().unwrap().to_str().unwrap().to_owned();
            (
                name,
                serde_json::from_slice(&std::fs::read(p).unwrap()).unwrap(),
            )
        })
        .collect()
}

#[test]
fn vectors() {
    let vectors = files("vectors_req");
    assert!(vectors.len() >= 18);
    for (name, vector) in vectors {
        let profile = dialect(&vector["dialect"]);
        let body = body(&profile, &vector["request"]);
        for (key, expected) in vector["expect"].as_object().unwrap() {
            match key.as_str() {
                "absent" => {
                    for key in expected.as_array().unwrap() {
                        assert!(body.get(key.as_str().unwrap()).is_none(), "{name} {key}");
                    }
                }
                "tools_check" => {
                    for (i, check) in expected.as_array().unwrap().iter().enumerate() {
                        let tool = &body["tools"][i]["function"];
                        assert_eq!(tool["name"], check["name"], "{name}");
                        assert_eq!(tool["parameters"]["required"], check["required"], "{name}");
                        let parts = check["description_contains"].as_array();
                        for part in parts.into_iter().flatten() {
                            let text = tool["description"].as_str().unwrap();
                            assert!(text.contains(part.as_str().unwrap()), "{name}");
                        }
                    }
                }
                _ => assert_eq!(&body[key], expected, "{name} {key}"),
            }
        }
        legal(&profile, &body, &name);
    }
}

/// The properties of SPEC 1.3 that hold for every output.
pub(super) fn legal(profile: &Profile, body: &Json, name: &str) {
    let messages = body["messages"].as_array().unwrap();
    assert!(!messages.is_empty(), "{name}");
    let mut seen = HashSet::new();
    let mut waiting: Vec<String> = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        let role = message["role"].as_str().unwrap();
        if role == "tool" {
            assert!(!waiting.is_empty(), "{name}: an answer without a call");
            assert_eq!(message["tool_call_id"], waiting.remove(0), "{name}");
        } else {
            assert!(waiting.is_empty(), "{name}: calls without answers");
        }
        if role == "system" && i > 0 {
            assert_eq!(profile.mid_system, MidSystem::Ok, "{name}");
        }
        if role == "assistant" {
            if profile.replay == Replay::Required {
                assert!(message["reasoning_content"].is_string(), "{name}");
            }
            let parts = profile.replay_form == ReplayForm::Content;
            let content = &message["content"];
            let said = content.is_string() || parts && content.is_array();
            assert!(said || message["tool_calls"].is_array(), "{name}");
        } else {
            assert!(!message["content"].is_null(), "{name}");
        }
        if let Some(calls) = message.get("tool_calls") {
            let calls = calls.as_array().unwrap();
            assert!(!calls.is_empty(), "{name}");
            for call in calls {
                let id = call["id"].as_str().unwrap().to_owned();
                assert!(seen.insert(id.clone()), "{name}: {id} twice");
                waiting.push(id);
                if profile.custom_tools && call["type"] == "custom" {
                    assert!(call["custom"]["input"].is_string(), "{name}");
                    legal_name(call["custom"]["name"].as_str().unwrap());
                    continue;
                }
                let arguments = call["function"]["arguments"].as_str().unwrap();
                let arguments: Json = serde_json::from_str(arguments).unwrap();
                assert!(arguments.is_object(), "{name}");
                legal_name(call["function"]["name"].as_str().unwrap());
            }
        }
    }
    assert!(waiting.is_empty(), "{name}: calls without answers");
    if let Some(tools) = body.get("tools") {
        let mut names = HashSet::new();
        for tool in tools.as_array().unwrap() {
            let name = tool["function"]["name"].as_str().unwrap();
            legal_name(name);
            assert!(names.insert(name.to_owned()), "{name} twice");
            assert_eq!(tool["function"]["parameters"]["type"], "object", "{name}");
        }
        assert!(!names.is_empty(), "{name}");
    }
}

pub(super) fn legal_name(name: &str) {
    assert!((1..=64).contains(&name.len()), "{name}");
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(name.chars().all(legal), "{name}");
}

#[test]
fn real_codex_bodies_are_translated() {
    let bodies = files("codex_bodies");
    assert!(bodies.len() > 20);
    let mut before: Option<(String, Json, String)> = None;
    let mut prefixes = 0;
    for (name, request) in bodies {
        let profile = replaying(Replay::Required);
        let body = body(&profile, &request);
        legal(&profile, &body, &name);
        let text = body.to_string();
        assert!(!text.contains("client_metadata"), "{name}");
        assert!(!text.contains("\"encrypted\""), "{name}");
        assert!(body["tools"].is_array(), "{name}");
        let now = messages(&profile, &request);
        if let Some((last, old, old_messages)) = &before
            && last[..2] == name[..2]
            && starts_with_items(&request, old)
        {
            prefixes += 1;
            assert!(
                now.starts_with(old_messages),
                "{last} is no prefix of {name}"
            );
        }
        before = Some((name, request, now));
    }
    assert!(prefixes > 10, "{prefixes}");
}

fn starts_with_items(request: &Json, old: &Json) -> bool {
    let (new, old) = (&request["input"], &old["input"]);
    let (new, old) = (new.as_array().unwrap(), old.as_array().unwrap());
    new.len() >= old.len() && new[..old.len()] == old[..]
}

#[test]
fn all_captures_are_translated() {
    // The captures are not part of the repository; where they are, all of them must do.
    let captures = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/fixtures/codex");
    let Ok(folders) = std::fs::read_dir(captures) else {
        return;
    };
    let profile = replaying(Replay::Required);
    for file in folders
        .flat_map(|f| std::fs::read_dir(f.unwrap().path()).into_iter().flatten())
        .map(|f| f.unwrap().path())
    {
        let name = file.to_string_lossy().into_owned();
        if !name.ends_with("responses.body.json") {
            continue;
        }
        let mut body = std::fs::read(&file).unwrap();
        let mut tape = Tape::new();
        let asked = tape.parse(&body).unwrap();
        if compaction::is_asked_for(asked) {
            body = compaction::ask(asked).unwrap();
        }
        let request: Json = serde_json::from_slice(&body).unwrap();
        match run(&profile, &request) {
            Ok(t) => legal(&profile, &serde_json::from_slice(&t.body).unwrap(), &name),
            Err(e) => assert_eq!(e.api_code(), "previous_response_not_found", "{name}: {e}"),
        }
    }
}

#[test]
fn refusals_have_a_code_and_a_param() {
    let profile = Profile::default();
    for (request, code, param) in [
        (json!({"input": "x"}), "missing_required_parameter", "model"),
        (
            json!({"model": 1, "input": "x"}),
            "missing_required_parameter",
            "model",
        ),
        (json!({"model": "m"}), "missing_required_parameter", "input"),
        (json!({"model": "m", "input": 5}), "invalid_type", "input"),
        (
            json!({"model": "m", "input": "x", "previous_response_id": "X"}),
            "previous_response_not_found",
            "previous_response_id",
        ),
        (
            json!({"model": "m", "input": "x", "background": true}),
            "unsupported_parameter",
            "background",
        ),
        (
            json!({"model": "m", "input": "x", "temperature": "hot"}),
            "invalid_type",
            "temperature",
        ),
        (
            json!({"model": "m", "input": [{"type": "function_call_output", "output": ""}]}),
            "missing_required_parameter",
            "input[0].call_id",
        ),
        (
            json!({"model": "m", "input": [{"type": "compaction_trigger"}, {"role": "user", "content": "x"}]}),
            "invalid_request",
            "input[0]",
        ),
        (
            json!({"model": "m", "input": "x", "context_management": [{"type": "other"}]}),
            "invalid_type",
            "context_management",
        ),
        (
            json!({"model": "m", "input": "x", "context_management": [{"type": "compaction", "compact_threshold": "many"}]}),
            "invalid_type",
            "context_management",
        ),
        (
            json!({"model": "m", "input": "x", "tool_choice": {"type": "mcp"}}),
            "unsupported_tool_choice",
            "tool_choice",
        ),
    ] {
        let error = run(&profile, &request).unwrap_err();
        assert_eq!(error.status(), 400, "{request}");
        assert_eq!(error.api_code(), code, "{request}");
        assert_eq!(error.param.as_deref(), Some(param), "{request}");
    }
    let request = json!({"model": "m", "input": "x", "previous_response_id": "X"});
    let error = run(&profile, &request).unwrap_err();
    assert_eq!(error.message, "Previous response with id 'X' not found.");
}

#[test]
fn reasoning_goes_back_only_to_whom_it_came_from() {
    let key = SealKey::new([7; 32]);
    let sealed = |profile: &str| {
        let escaped_text = br"so \u00e9 \n".to_vec();
        let profile = profile.into();
        seal(
            &key,
            [1; 12],
            &Sealed {
                profile,
                escaped_text,
                extra: Vec::new(),
            },
        )
    };
    let history = |encrypted: &str, content: Json| {
        json!({"model": "m", "input": [
            {"role": "user", "content": "q"},
            {"type": "reasoning", "summary": [], "content": content, "encrypted_content": encrypted},
            {"role": "assistant", "content": "a"},
            {"role": "user", "content": "r"}]})
    };
    let clear = json!([{"type": "reasoning_text", "text": "clear"}]);
    for (encrypted, content, expected) in [
        (sealed("p"), json!(null), "so é \n"),
        (sealed("other"), clear.clone(), ""),
        ("gAAAAforeign".to_owned(), json!(null), ""),
        ("gAAAAforeign".to_owned(), clear, "clear"),
    ] {
        let body = body(&replaying(Replay::Required), &history(&encrypted, content));
        assert_eq!(body["messages"][1]["reasoning_content"], expected);
    }
    let body = body(&replaying(Replay::Optional), &history("x", json!(null)));
    assert!(body["messages"][1].get("reasoning_content").is_none());
}

#[test]
fn schemas_lose_only_the_keyword() {
    let request = json!({"model": "m", "input": "x", "tools": [{"type": "function", "name": "f",
        "parameters": {"type": "object", "encrypted": true, "properties": {
            "encrypted": {"type": "string", "encrypted": true}, "b": {"type": "string", "enum": ["encrypted"]}},
            "default": {"encrypted": true}}},
        {"type": "function", "name": "g", "parameters": null}]});
    let body = body(&Profile::default(), &request);
    assert_eq!(
        body["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {"encrypted": {"type": "string"},
            "b": {"type": "string", "enum": ["encrypted"]}}, "default": {"encrypted": true}})
    );
    assert_eq!(
        body["tools"][1]["function"]["parameters"],
        json!({"type": "object", "properties": {}})
    );
}

#[test]
fn formats_and_choices_degrade() {
    let tool = |name: &str| json!({"type": "function", "name": name});
    let request = json!({"model": "m", "input": "x", "instructions": "I", "tools": [tool("f"), tool("g")],
        "tool_choice": {"type": "function", "name": "g"}, "temperature": 1.5, "stream": true,
        "parallel_tool_calls": false, "prompt_cache_key": "k",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": true}}});
    let full = body(&Profile::default(), &request);
    assert_eq!(full["tool_choice"]["function"]["name"], "g");
    assert_eq!(full["response_format"]["json_schema"]["strict"], true);
    assert_eq!(full["stream_options"]["include_usage"], true);
    let profile = Profile {
        tool_choice: vec!["auto".into()],
        response_format: JsonMode::JsonObject,
        temperature: Some((0.0, 1.0)),
        drop_fields: vec!["parallel_tool_calls".into()],
        cache_key_field: "user_id".into(),
        ..Profile::default()
    };
    let poor = body(&profile, &request);
    assert!(poor.get("tool_choice").is_none());
    assert!(poor.get("parallel_tool_calls").is_none());
    assert_eq!(poor["tools"].as_array().unwrap().len(), 1);
    assert_eq!(poor["response_format"], json!({"type": "json_object"}));
    assert_eq!(poor["temperature"], 1);
    assert_eq!(poor["user_id"], "k");
    let system = poor["messages"][0]["content"].as_str().unwrap();
    assert!(system.starts_with("I\n\n") && system.ends_with("{\"type\":\"object\"}"));
    let codes: Vec<_> = run(&profile, &request).unwrap().diagnostics;
    assert_eq!(codes.len(), 4, "{codes:?}");
}

#[test]
fn echoes_are_json_and_complete() {
    for (name, request) in files("codex_bodies") {
        let src = serde_json::to_vec(&request).unwrap();
        let mut tape = Tape::new();
        let root = tape.parse(&src).unwrap();
        let found = run(&Profile::default(), &request).unwrap().diagnostics;
        for minimal in [false, true] {
            let members = echo(root, "slug", &found, minimal, Place::default());
            assert!(members.starts_with(b"\"model\":"));
            let text = format!("{{{}}}", String::from_utf8(members).unwrap());
            let object: Json = serde_json::from_str(&text).unwrap();
            assert_eq!(object.as_object().unwrap().len(), 22, "{name}");
            if minimal {
                assert_eq!(object["tools"], json!([]));
            }
        }
    }
}

#[test]
fn long_names_are_cut_the_same_way_every_time() {
    let long = "x".repeat(80);
    assert_eq!(flat_name(Some("mcp__demo"), "add"), "mcp__demo__add");
    assert_eq!(flat_name(Some("mcp__demo__"), "add"), "mcp__demo__add");
    assert_eq!(flat_name(None, "a.b c"), "a_b_c");
    assert_eq!(flat_name(None, &long).len(), 64);
    assert_ne!(flat_name(None, &long), flat_name(None, &format!("{long}y")));
}

#[test]
fn profiles_set_members() {
    let table = |text: &str| -> std::collections::BTreeMap<String, toml::Value> {
        text.parse::<toml::Table>().unwrap().into_iter().collect()
    };
    let profile = Profile {
        effort_field: "reasoning.effort".into(),
        efforts: [
            ("low".to_owned(), "l".to_owned()),
            ("max".to_owned(), "m".to_owned()),
        ]
        .into(),
        thinking_on: table("reasoning = {enabled = true}\nkwargs = {a = [1, 2.5]}"),
        thinking_off: table("reasoning = {enabled = false}"),
        extra_body: table("kwargs = {b = 'x'}\ntop_p = 1.0"),
        ..Profile::default()
    };
    let with = |effort: &str| {
        let effort = json!({"effort": effort});
        body(
            &profile,
            &json!({"model": "m", "input": "x", "top_p": 0.1, "reasoning": effort}),
        )
    };
    let low = with("low");
    assert_eq!(low["reasoning"], json!({"enabled": true, "effort": "l"}));
    assert_eq!(low["kwargs"], json!({"a": [1, 2.5], "b": "x"}));
    assert_eq!(low["top_p"], 1);
    assert_eq!(with("ultra")["reasoning"]["effort"], "m");
    assert_eq!(with("weird")["reasoning"], json!({"enabled": true}));
    assert_eq!(with("none")["reasoning"], json!({"enabled": false}));
    let silent = body(&profile, &json!({"model": "m", "input": "x"}));
    assert!(silent.get("reasoning").is_none());
}

#[test]
fn namespaced_tools_keep_their_names_in_history_and_search() {
    let member = json!({"type": "function", "name": "add", "description": "adds"});
    let space =
        json!({"type": "namespace", "name": "mcp__d", "description": "D", "tools": [member]});
    let request = json!({"model": "m", "input": [
        {"role": "user", "content": "q"},
        {"type": "tool_search_call", "call_id": "s", "execution": "client", "arguments": {"query": "x"}},
        {"type": "tool_search_output", "call_id": "s", "execution": "client", "tools": [space]},
        {"type": "function_call", "call_id": "c", "namespace": "mcp__d", "name": "add", "arguments": "not json"},
        {"type": "function_call_output", "call_id": "c", "output": "3"}],
        "tools": [{"type": "tool_search", "execution": "client", "parameters": {"type": "object"}}]});
    let translated = run(&Profile::default(), &request).unwrap();
    let body: Json = serde_json::from_slice(&translated.body).unwrap();
    let messages = &body["messages"];
    let call = |i: usize| &messages[i]["tool_calls"][0]["function"];
    assert_eq!(call(1)["arguments"], "{\"query\":\"x\"}");
    assert_eq!(
        messages[2]["content"],
        "[{\"name\":\"mcp__d__add\",\"description\":\"adds\"}]"
    );
    assert_eq!(call(3)["name"], "mcp__d__add");
    assert_eq!(call(3)["arguments"], "{\"_raw\":\"not json\"}");
    assert_eq!(body["tools"][1]["function"]["description"], "D\n\nadds");
    assert_eq!(translated.tools.by_flat("mcp__d__add").unwrap().name, "add");
}

#[test]
fn freeform_tools_keep_to_the_schemas_that_the_provider_takes() {
    let profile = Profile {
        schema_drop: vec!["additionalProperties".into()],
        ..Profile::default()
    };
    let tools = json!([{"type": "custom", "name": "apply_patch"}, {"type": "local_shell"}]);
    let request = json!({"model": "m", "input": "x", "tools": tools});
    let text = body(&profile, &request)["tools"].to_string();
    assert!(!text.contains("additionalProperties"), "{text}");
    let plain = body(&Profile::default(), &request)["tools"].to_string();
    assert!(plain.contains("additionalProperties"), "{plain}");
}

#[test]
fn images_are_merged_where_roles_have_to_alternate() {
    let profile = Profile {
        merge_adjacent: true,
        ..Profile::default()
    };
    let says = |text: &str| json!({"role": "user", "content": text});
    let shows = json!({"role": "user", "content": [{"type": "input_text", "text": "b"},
        {"type": "input_image", "image_url": "data:image/png;base64,AA"}]});
    let request = json!({"model": "m", "input": [says("a \"q\""), shows, says("c"), says("d")]});
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}});
    assert_eq!(
        body(&profile, &request)["messages"],
        json!([{"role": "user", "content": [text("a \"q\""), text("b"), image, text("c"), text("d")]}])
    );
}

#[test]
fn an_id_that_is_repeated_all_the_time_costs_no_search() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    let calls = vec![call; 20_000];
    let body = body(&Profile::default(), &json!({"model": "m", "input": calls}));
    let calls = body["messages"][0]["tool_calls"].as_array().unwrap();
    let ids: HashSet<&str> = calls.iter().map(|c| c["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 20_000);
    assert_eq!(
        (&calls[1]["id"], &calls[19_999]["id"]),
        (&json!("c_2"), &json!("c_20000"))
    );
}
