//! What single facts of a profile do to a request.

use super::request_tests::{body, run};
use super::seal::{Sealed, seal};
use crate::auth::secret::SealKey;
use crate::provider::Profile;
use serde_json::{Value as Json, json};

fn profile(text: &str) -> Profile {
    Profile::parse("p", text).unwrap()
}

/// The body, and the codes and paths of what was said about it.
fn through(profile: &Profile, request: Json) -> (Json, Vec<String>) {
    let mut request = request;
    request["model"] = json!("m");
    let said = run(profile, &request).unwrap().diagnostics;
    let said = said.iter().map(|d| format!("{} {}", d.code, d.path));
    (body(profile, &request), said.collect())
}

fn sealed(text: &str, extra: Json) -> Json {
    let sealed = Sealed {
        profile: "p".into(),
        escaped_text: text.as_bytes().to_vec(),
        extra: extra.to_string().into_bytes(),
    };
    let envelope = seal(&SealKey::new([7; 32]), [1; 12], &sealed);
    json!({"type": "reasoning", "summary": [], "encrypted_content": envelope})
}

fn call(id: &str) -> Json {
    json!({"type": "function_call", "call_id": id, "name": "f", "arguments": "{}"})
}

fn output(id: &str) -> Json {
    json!({"type": "function_call_output", "call_id": id, "output": "o"})
}

#[test]
fn efforts_go_to_their_nearest_neighbour_and_that_is_said() {
    let p = profile("effort_field = 'reasoning.effort'\nefforts = { low = 'low', high = 'high' }");
    for (asked, sent) in [
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "high"),
        ("xhigh", "high"),
        ("ultra", "high"),
    ] {
        let (body, said) = through(&p, json!({"input": "x", "reasoning": {"effort": asked}}));
        assert_eq!(body["reasoning"]["effort"], sent, "{asked}");
        assert_eq!(said.is_empty(), asked == sent, "{asked}: {said:?}");
    }
    let (body, said) = through(&p, json!({"input": "x", "reasoning": {"effort": "none"}}));
    assert_eq!(body.get("reasoning"), None);
    assert_eq!(said, ["field.dropped reasoning.effort"]);
    let (_, said) = through(&p, json!({"input": "x", "reasoning": {"effort": "turbo"}}));
    assert_eq!(said, ["field.dropped reasoning.effort"]);
}

#[test]
fn what_cannot_stand_beside_thinking_is_changed() {
    let p = profile(
        "thinking_on = { thinking = true }\nthinking_off = { thinking = false }\njson_while_thinking = false\n\
         tool_choice_while_thinking = ['auto']\nsampling_while_thinking = false",
    );
    let request = |effort: &str| {
        json!({"input": "x", "reasoning": {"effort": effort}, "temperature": 0.5, "tool_choice": "required",
            "tools": [{"type": "function", "name": "f"}],
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}}}})
    };
    let (off, said) = through(&p, request("none"));
    assert_eq!(
        (&off["temperature"], &off["tool_choice"], &off["thinking"]),
        (&json!(0.5), &json!("required"), &json!(false))
    );
    assert_eq!(off["response_format"]["type"], "json_schema");
    assert!(said.is_empty(), "{said:?}");
    let (on, said) = through(&p, request("high"));
    for gone in ["temperature", "tool_choice", "response_format"] {
        assert_eq!(on.get(gone), None, "{gone}");
    }
    let note = on["messages"][0]["content"].as_str().unwrap();
    assert!(note.contains("JSON Schema"), "{note}");
    for code in [
        "tool_choice.degraded tool_choice",
        "text.format.degraded text.format",
        "field.dropped temperature",
    ] {
        assert!(said.iter().any(|s| s == code), "{code}: {said:?}");
    }
}

#[test]
fn limits_and_ranges_are_kept() {
    let p = profile(
        "temperature = [0.1, 1.0]\ntop_p = [0.01, 0.9]\nlogprobs = false\n[models.m]\noutput_tokens_max = 100",
    );
    let (body, said) = through(
        &p,
        json!({"input": "x", "temperature": 2, "top_p": 0, "max_output_tokens": 5000, "top_logprobs": 3}),
    );
    assert_eq!(
        (&body["temperature"], &body["top_p"], &body["max_tokens"]),
        (&json!(1), &json!(0.01), &json!(100))
    );
    assert_eq!(body.get("logprobs"), None);
    assert_eq!(
        said,
        [
            "field.degraded max_output_tokens",
            "field.degraded temperature",
            "field.degraded top_p",
            "field.dropped top_logprobs"
        ]
    );
}

#[test]
fn fields_of_few_providers_reach_them_and_no_other() {
    let request = json!({"input": "x", "safety_identifier": "user-1", "prompt_cache_key": "k",
        "text": {"verbosity": "low"}, "service_tier": "priority", "truncation": "auto",
        "include": ["nothing.known", "web_search_call.results"], "unheard_of": 1});
    let p = profile(
        "user_field = 'user_id'\nuser_length = [6, 9]\ncache_key_field = 'ck'\nverbosity = true\nservice_tier = true",
    );
    let (body, said) = through(&p, request.clone());
    assert_eq!(
        (
            &body["user_id"],
            &body["ck"],
            &body["verbosity"],
            &body["service_tier"]
        ),
        (
            &json!("user-1"),
            &json!("k"),
            &json!("low"),
            &json!("priority")
        )
    );
    assert_eq!(
        said,
        [
            "field.dropped truncation",
            "field.dropped include[0]",
            "field.dropped unheard_of"
        ]
    );
    let (body, said) = through(&profile(""), request);
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    for path in ["safety_identifier", "text.verbosity", "service_tier"] {
        assert!(
            said.contains(&format!("field.dropped {path}")),
            "{path}: {said:?}"
        );
    }
}

#[test]
fn a_native_search_stands_in_for_the_clients() {
    let search = json!({"type": "web_search", "external_web_access": false,
        "user_location": {"type": "approximate", "country": "NO"}});
    let request = |choice: Json| json!({"input": "x", "tools": [{"type": "function", "name": "f"}, search], "tool_choice": choice});
    let p = profile(
        "web_search_tool = { type = 'web_search', limit = 3 }\nweb_search_location = true\nwith_tools = { stream_tools = true }",
    );
    let (body, said) = through(&p, request(json!("auto")));
    assert_eq!(
        body["tools"][0],
        json!({"type": "web_search", "limit": 3, "user_location": {"type": "approximate", "country": "NO"}})
    );
    assert_eq!(
        (&body["tools"][1]["function"]["name"], &body["stream_tools"]),
        (&json!("f"), &json!(true))
    );
    assert_eq!(said, ["tool.degraded tools[1]"]);
    let (body, _) = through(&p, request(json!({"type": "web_search"})));
    assert_eq!(
        (
            body["tools"].as_array().unwrap().len(),
            &body["tool_choice"]
        ),
        (1, &json!("required"))
    );
    let only_f = json!({"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]});
    let (body, _) = through(&p, request(only_f));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    let elsewhere = profile("web_search_body = { plugins = [{ id = 'web' }] }");
    let (body, _) = through(&elsewhere, request(json!("auto")));
    assert_eq!(body["plugins"], json!([{"id": "web"}]));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    let (body, said) = through(&profile(""), request(json!("auto")));
    assert_eq!(body["tools"].as_array().unwrap().len(), 1);
    assert_eq!(said, ["tool.dropped tools[1]"]);
}

#[test]
fn freeform_tools_stay_what_they_are_where_they_are_known() {
    let request = json!({"tools": [{"type": "custom", "name": "patch", "description": "d",
            "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"x\""}}],
        "input": [{"role": "user", "content": "x"},
            {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": "a\n\"b\""},
            {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"}]});
    let (body, _) = through(&profile("custom_tools = true"), request);
    assert_eq!(
        body["tools"][0],
        json!({"type": "custom", "custom": {"name": "patch", "description": "d",
            "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: \"x\""}}}})
    );
    assert_eq!(
        body["messages"][1]["tool_calls"][0],
        json!({"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "a\n\"b\""}})
    );
}

#[test]
fn ids_and_names_have_the_form_that_the_provider_takes() {
    let input = json!([{"role": "user", "content": "x"}, call("callx_ZnVuY3Rpb25zLmY6MA"), call("call_1234567890"),
        output("callx_ZnVuY3Rpb25zLmY6MA"), output("call_1234567890")]);
    let ids = |profile: &Profile| {
        let (body, _) = through(profile, json!({"input": input}));
        let calls = body["messages"][1]["tool_calls"]
            .as_array()
            .unwrap()
            .clone();
        let answers = &body["messages"].as_array().unwrap()[2..];
        let ids: Vec<String> = calls
            .iter()
            .map(|c| c["id"].as_str().unwrap().to_owned())
            .collect();
        let answered: Vec<&str> = answers
            .iter()
            .map(|m| m["tool_call_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, answered);
        (ids, answers[0].get("name").cloned())
    };
    // What was encoded for the client is decoded for the provider.
    assert_eq!(
        ids(&profile("")),
        (vec!["functions.f:0".into(), "call_1234567890".into()], None)
    );
    let (strict, name) = ids(&profile("call_id_exact = 9\nname_on_tool = true"));
    assert!(
        strict
            .iter()
            .all(|id| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()))
    );
    assert_eq!(name, Some(json!("f")));
    let (short, _) = ids(&profile("call_id_max = 14"));
    assert_eq!(short[0], "functions.f:0");
    assert_eq!(short[1].len(), 14);
}

#[test]
fn reasoning_goes_back_in_the_providers_own_form() {
    let details = json!([{"type": "reasoning.text", "text": "t", "signature": "s", "index": 0}]);
    let signed = json!({"extra_content": {"google": {"thought_signature": "AA"}}});
    let extra = json!({"details": details, "calls": {"c1": signed}});
    let input = json!([{"role": "user", "content": "x"}, sealed("thought", extra),
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "said"}]},
        call("c1"), call("c2"), output("c1"), output("c2")]);
    let assistant =
        |text: &str| through(&profile(text), json!({"input": input})).0["messages"][1].clone();
    let as_details = assistant(
        "replay = 'optional'\nreplay_field = 'reasoning_details'\nreplay_form = 'details'",
    );
    assert_eq!(as_details["reasoning_details"], details);
    assert_eq!(
        as_details["tool_calls"][0]["extra_content"],
        signed["extra_content"]
    );
    assert_eq!(as_details["tool_calls"][1].get("extra_content"), None);
    let as_text = assistant("replay = 'optional'\nreplay_field = 'reasoning'");
    assert_eq!(
        (&as_text["reasoning"], &as_text["content"]),
        (&json!("thought"), &json!("said"))
    );
    let as_content = assistant("replay = 'optional'\nreplay_form = 'content'");
    assert_eq!(
        as_content["content"],
        json!([{"type": "thinking", "thinking": [{"type": "text", "text": "thought"}]}, {"type": "text", "text": "said"}])
    );
    assert_eq!(assistant("").get("reasoning_content"), None);
    // A signature that was lost, or never was, since another model made the call.
    let missing = "call_extra_missing = { extra_content = { sig = 'skip' } }";
    let lost = json!({"input": [{"role": "user", "content": "x"}, call("c1"), call("c2")]});
    let (body, _) = through(&profile(missing), lost);
    let calls = &body["messages"][1]["tool_calls"];
    assert_eq!(calls[0]["extra_content"], json!({"sig": "skip"}));
    assert_eq!(calls[1].get("extra_content"), None);
}

#[test]
fn media_stand_where_the_provider_takes_them() {
    let picture =
        json!({"type": "input_image", "image_url": "https://x.example/a.png", "detail": "high"});
    let pdf = json!({"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="});
    let request = |part: &Json| json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "see"}, part]}]});
    let (body, _) = through(&profile("image_detail = false"), request(&picture));
    assert_eq!(
        body["messages"][0]["content"][1],
        json!({"type": "image_url", "image_url": {"url": "https://x.example/a.png"}})
    );
    let (body, said) = through(&profile("images_http = false"), request(&picture));
    let text = body["messages"][0]["content"].as_str().unwrap();
    assert!(
        text.contains("image omitted") && !text.contains("x.example"),
        "{text}"
    );
    assert_eq!(said, ["content.degraded input[0].content[1]"]);
    let (body, _) = through(&profile("files = true"), request(&pdf));
    assert_eq!(
        body["messages"][0]["content"][1]["file"]["filename"],
        "a.pdf"
    );
    let mut refused = request(&pdf);
    refused["model"] = json!("m");
    assert_eq!(run(&profile(""), &refused).unwrap_err().status(), 400);
}

#[test]
fn hosted_items_of_old_histories_are_told() {
    let input = json!([
        {"role": "user", "content": "x"},
        {"type": "web_search_call", "action": {"type": "search", "query": "weather", "queries": ["weather oslo"]}},
        {"type": "code_interpreter_call", "code": "print(1)", "container_id": "c", "outputs": [{"type": "logs", "logs": "1\n"}]},
        {"type": "file_search_call", "queries": ["q"], "results": [{"filename": "a.md", "text": "found \"it\""}]},
        {"type": "image_generation_call", "result": "iVBORw0=", "revised_prompt": "a cat"},
        {"type": "mcp_approval_request", "id": "r", "server_label": "s", "name": "do", "arguments": "{}"},
        {"type": "mcp_approval_response", "approval_request_id": "r", "approve": true},
        {"type": "computer_call", "call_id": "k", "action": {}},
        {"role": "user", "content": "next"}]);
    let (body, said) = through(&profile(""), json!({"input": input}));
    let text = body["messages"].to_string();
    for told in [
        "[searched the web: weather oslo]",
        "```python\\nprint(1)\\n```",
        "found \\\"it\\\"",
        "data:image/png;base64,iVBORw0=",
        "[generated image: a cat]",
        "[approval requested: s.do {}]",
        "[approved: true]",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(
        said.contains(&"item.dropped input[7]".to_owned()),
        "{said:?}"
    );
    let (body, _) = through(&profile("images_user = false"), json!({"input": input}));
    let text = body["messages"].to_string();
    assert!(
        text.contains("a cat") && !text.contains("iVBORw0"),
        "bytes never become text"
    );
    // A search whose finding is told needs no words.
    let told = json!([{"role": "user", "content": "x"}, input[1],
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Sunny."}]}]);
    let (body, _) = through(&profile(""), json!({"input": told}));
    assert_eq!(body["messages"][1]["content"], "Sunny.");
}

#[test]
fn neighbours_of_one_role_are_joined_and_called_tools_declared() {
    let input = json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"},
        {"role": "developer", "content": "mind"}, {"type": "message", "role": "assistant", "content": "c"}, {"role": "user", "content": "d"}]);
    let (body, _) = through(&profile("merge_adjacent = true"), json!({"input": input}));
    let roles: Vec<&str> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["role"].as_str().unwrap())
        .collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert_eq!(
        body["messages"][0]["content"],
        "a\n\nb\n\n<system_note>\nmind\n</system_note>"
    );
    let history = json!({"input": [{"role": "user", "content": "x"}, call("c1"), output("c1"), {"role": "user", "content": "y"}]});
    let (body, _) = through(&profile("tools_with_history = true"), history.clone());
    assert_eq!(
        (&body["tools"][0]["function"]["name"], &body["tool_choice"]),
        (&json!("f"), &json!("none"))
    );
    assert_eq!(through(&profile(""), history).0.get("tools"), None);
}
