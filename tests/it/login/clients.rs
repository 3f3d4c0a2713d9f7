//! Clients that nobody here wrote, and chat clients: the Codex backend for all of them.

use super::world::{Server, World, completed, field, hello, login};
use crate::codex::{Codex, QUIET};
use crate::judge::judge_chat;
use crate::provider::Answer;
use crate::sdk::{Front, run_chat};
use crate::sdk_script::CLIENT_KEY;
use crate::strait::{Strait, scratch};
use serde_json::{Value, json};

/// A Strait that takes the one behind it for the Codex backend.
fn behind_a_login(strait: Strait) -> Front {
    let dir = scratch("login-sdk");
    std::fs::write(dir.join("auth.json"), login(CLIENT_KEY, "rt").to_string()).unwrap();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[models]\nchat = \"codex/chat\"\ndeep = \"codex/deep\"\n\
         [[keys]]\nname = \"sdk\"\nkey = \"{CLIENT_KEY}\"\n\
         [providers.codex]\nauth_file = {:?}\nbase_url = \"http://{}/v1\"\ntoken_url = \"http://127.0.0.1:1/\"\n",
        dir.join("auth.json"),
        strait.address
    );
    let config = dir.join("strait.toml");
    std::fs::write(&config, text).unwrap();
    let front = Server::start(&config, "io_uring");
    (front.address, Box::new((front, strait)))
}

/// Streams and whole answers, tools, reasoning, images, structured output and errors. The backend
/// takes no temperature, so its scenario is left out.
#[test]
fn the_sdks_chat_api() {
    run_chat(10, "chat_settings", behind_a_login);
}

/// Reasoning, text and two calls.
fn working() -> Vec<Value> {
    let reasoning = json!({"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "encrypted_content": "gAAAA"});
    let call = |i: u64| json!({"type": "function_call", "id": format!("fc_{i}"), "call_id": format!("call_{i}"), "name": "weather", "arguments": "{\"city\":\"Oslo\"}", "status": "completed"});
    let mut events = vec![hello().swap_remove(0)];
    events.push(json!({"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": {"type": "reasoning", "id": "rs_1", "summary": []}}));
    events.push(json!({"type": "response.reasoning_summary_part.added", "sequence_number": 2, "item_id": "rs_1", "output_index": 0, "summary_index": 0, "part": {"type": "summary_text", "text": ""}}));
    events.push(json!({"type": "response.reasoning_summary_text.delta", "sequence_number": 3, "item_id": "rs_1", "output_index": 0, "summary_index": 0, "delta": "Hm."}));
    events.push(json!({"type": "response.output_item.done", "sequence_number": 4, "output_index": 0, "item": reasoning}));
    for i in 1..=2 {
        let mut open = call(i);
        open["arguments"] = "".into();
        events.push(json!({"type": "response.output_item.added", "output_index": i, "item": open}));
        events.push(json!({"type": "response.function_call_arguments.delta", "output_index": i, "item_id": open["id"], "delta": "{\"city\":\"Oslo\"}"}));
        events
            .push(json!({"type": "response.output_item.done", "output_index": i, "item": call(i)}));
    }
    events.push(completed(20));
    events
}

#[test]
fn a_chat_client_gets_reasoning_and_tools_and_gives_them_back() {
    for driver in ["io_uring", "epoll"] {
        let world = World::new(3600);
        world.state.lock().unwrap().events = working();
        let strait = world.serve(driver);
        let tools = json!([{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]);
        let mut ask = json!({"model": "gpt-5.5", "tools": tools, "temperature": 0.5, "max_tokens": 9, "reasoning_effort": "low",
            "user": "u", "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Weather?"}]});
        let got = strait.post("/v1/chat/completions", "", &ask);
        assert_eq!(got.status, 200, "{}", String::from_utf8_lossy(&got.body));
        for lost in ["temperature", "max_tokens", "user"] {
            let said = format!("field.dropped {lost}");
            assert!(got.head.contains(&said), "{said}: {}", got.head);
        }
        let object = got.json();
        let message = &object["choices"][0]["message"];
        assert_eq!(message["reasoning_content"], "Hm.");
        assert_eq!(message["tool_calls"][1]["id"], "call_2");
        assert_eq!(object["choices"][0]["finish_reason"], "tool_calls");
        let seen = world.taken().pop().unwrap();
        assert_eq!(seen.body["instructions"], "Be brief.");
        assert_eq!(seen.body["reasoning"], json!({"effort": "low"}));
        let session = field(&seen.head, "session-id").unwrap();
        assert_eq!(field(&seen.head, "originator").as_deref(), Some("strait"));

        // The stream says the same, and is what chat clients take.
        ask["stream"] = true.into();
        ask["stream_options"] = json!({"include_usage": true});
        let streamed = strait.post("/v1/chat/completions", "", &ask);
        judge_chat(&[("codex", &streamed.body)]);

        // The next turn of the same conversation: what the backend encrypted comes back to it.
        let turns = ask["messages"].as_array_mut().unwrap();
        turns.push(message.clone());
        for i in 1..=2 {
            turns.push(
                json!({"role": "tool", "tool_call_id": format!("call_{i}"), "content": "12"}),
            );
        }
        world.state.lock().unwrap().events = hello();
        let streamed = strait.post("/v1/chat/completions", "", &ask);
        judge_chat(&[("codex, second turn", &streamed.body)]);
        let seen = world.taken().pop().unwrap();
        let input = seen.body["input"].as_array().unwrap();
        let reasoning = input.iter().find(|i| i["type"] == "reasoning").unwrap();
        assert_eq!(reasoning["encrypted_content"], "gAAAA");
        assert_eq!(field(&seen.head, "session-id"), Some(session));

        // Without a system message the backend gets its instructions all the same.
        let plain = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "x"}]});
        let got = strait.post("/v1/chat/completions", "", &plain);
        assert_eq!(
            got.json()["choices"][0]["message"]["content"],
            "Hello there"
        );
    }
}

/// Codex, pointed at Strait.
fn codex(strait: &Server) -> Option<Codex> {
    Codex::configured(&format!(
        "model = \"gpt-5.5\"\nmodel_provider = \"gw\"\n[model_providers.gw]\nname = \"Gateway\"\n\
         base_url = \"http://{}/v1\"\nwire_api = \"responses\"\nexperimental_bearer_token = \"open\"\n\
         model_catalog_url = \"http://{}/v1/models\"\n{QUIET}",
        strait.address, strait.address
    ))
}

#[test]
fn codex_itself_is_served_under_its_own_name() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    let Some(codex) = codex(&strait) else { return };
    let run = codex.exec_with(&["say hello"], &[]);
    assert_eq!(
        (run.code, run.text()),
        (0, "Hello there".into()),
        "{run:#?}"
    );
    let seen = world.taken().pop().unwrap();
    assert_eq!(
        field(&seen.head, "originator").as_deref(),
        Some("codex_exec")
    );
    let agent = field(&seen.head, "user-agent").unwrap();
    let version = field(&seen.head, "version").unwrap();
    assert!(
        agent.starts_with(&format!("codex_exec/{version} ")),
        "{agent} {version}"
    );
    for name in [
        "session-id",
        "thread-id",
        "x-codex-window-id",
        "x-codex-turn-metadata",
    ] {
        assert!(field(&seen.head, name).is_some(), "{name}: {}", seen.head);
    }
    assert_eq!(seen.body.get("instructions"), None);
}

#[test]
fn codex_shows_at_once_that_the_login_has_ended() {
    let body = json!({"error": {"code": "refresh_token_expired"}}).to_string();
    let world = World::with(-10, move |_| Some(Answer::Plain(401, "", body.clone())));
    let strait = world.serve("io_uring");
    let Some(codex) = codex(&strait) else { return };
    let run = codex.exec_with(&["say hello"], &[]);
    assert_eq!(run.code, 1, "{run:#?}");
    let errors = run.errors().join("\n");
    assert!(errors.contains("codex login"), "{run:#?}");
    assert!(!errors.contains("Reconnecting"), "{run:#?}");
}
