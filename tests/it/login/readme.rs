//! What the README of codex-responses-proxy promises its users, line by line, done with Strait.
//!
//! Left out, for they are no part of a provider: how that program is built, installed and run as
//! a daemon, and stored responses, which it does not have.

use super::world::{ACCOUNT, Server, World, ask, field, login, now, text, token};
use crate::client::Connection;
use crate::strait::scratch;
use serde_json::json;
use std::process::Command;

/// "exposes an OpenAI-compatible Responses API endpoint"; "POST /v1/responses", "POST /responses:
/// Alias for manual testing", "GET /healthz".
#[test]
fn its_endpoints() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    for path in ["/v1/responses", "/responses"] {
        let got = strait.post(path, "", &ask());
        // "The response should be a JSON object shaped like an OpenAI Responses API response,
        // including an output array."
        let object = got.json();
        assert_eq!(
            (got.status, &object["object"]),
            (200, &json!("response")),
            "{path}"
        );
        assert!(object["output"].is_array() && object["id"].is_string());
        assert_eq!(object["usage"]["total_tokens"], 120);
    }
    let mut connection = Connection::open(strait.address);
    connection.send("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n");
    let got = connection.answer();
    assert_eq!((got.status, &got.json()["status"]), (200, &json!("ok")));
}

/// "reads Codex CLI auth from ~/.codex/auth.json or $CODEX_HOME/auth.json"; "By default the proxy
/// listens on: 127.0.0.1:8787"; "-addr".
#[test]
fn its_defaults() {
    let home = scratch("login-home");
    std::fs::create_dir(home.join(".codex")).unwrap();
    let file = home.join(".codex/auth.json");
    std::fs::write(&file, login(&token("t", now() + 60), "r").to_string()).unwrap();
    let other = scratch("login-codex-home");
    std::fs::copy(&file, other.join("auth.json")).unwrap();
    for (codex_home, expected) in [(None, &file), (Some(&other), &other.join("auth.json"))] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
        command.arg("check").env_clear().env("HOME", &home);
        if let Some(dir) = codex_home {
            command.env("CODEX_HOME", dir);
        }
        let output = command.current_dir(scratch("login-cli")).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(
            said.contains(&format!("login {}", expected.display())),
            "{said}"
        );
        assert!(said.contains("listen     127.0.0.1:8787"), "{said}");
        assert!(
            said.contains("https://chatgpt.com:443/backend-api/codex"),
            "{said}"
        );
    }
}

/// "-instructions: default top-level instructions added when the request does not include any";
/// "-debug: log patched request bodies": Strait logs no content, not even then.
#[test]
fn its_flags() {
    let world = World::new(3600);
    let more = "[providers.codex.override.default_body]\ninstructions = \"You are a helpful coding assistant.\"\n";
    let top = "listen = [\"127.0.0.1:0\"]\n";
    let config = world.config(top, more);
    let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
    command.env("STRAIT_LOG", "debug");
    let strait = Server::spawn(&mut command, &config, "epoll");
    let mut body = ask();
    body["input"] = "a prompt of mine".into();
    assert_eq!(text(&strait.respond(&body)), "Hello there");
    let seen = world.taken().pop().unwrap();
    assert_eq!(
        seen.body["instructions"],
        "You are a helpful coding assistant."
    );
    let log = strait.log(Some("TERM"));
    assert!(
        log.contains("accepted ") && !log.contains("a prompt of mine"),
        "{log}"
    );
}

/// "How request patching works": five lines.
#[test]
fn its_patches() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    let body = json!({"model": "gpt-5.5", "input": "x", "stream": false, "max_output_tokens": 5, "max_completion_tokens": 6});
    assert_eq!(text(&strait.respond(&body)), "Hello there");
    let seen = world.taken().pop().unwrap().body;
    assert_eq!(seen["stream"], true, "sets stream: true");
    assert_eq!(
        seen["store"], false,
        "sets store: false if store was omitted"
    );
    assert!(
        seen["instructions"].is_string(),
        "adds instructions if omitted"
    );
    assert_eq!(
        seen.get("max_output_tokens"),
        None,
        "deletes max_output_tokens"
    );
    assert_eq!(
        seen.get("max_completion_tokens"),
        None,
        "deletes max_completion_tokens"
    );
}

/// "How auth works": "On each request, the proxy reads the Codex CLI auth document"; "If the
/// access token is still valid, it is reused"; "If it is expired and a refresh token is present,
/// the proxy refreshes it"; "The updated tokens are written back with 0600 permissions" (see
/// `refresh`); "If an account ID can be extracted from the tokens, the proxy forwards it".
#[test]
fn its_auth() {
    let world = World::new(3600);
    let strait = world.serve("io_uring");
    text(&strait.respond(&ask()));
    text(&strait.respond(&ask()));
    assert_eq!(world.refreshes().len(), 0);
    let another = token("another", now() + 3600);
    world.state.lock().unwrap().valid = vec![another.clone()];
    let mut file = login(&another, "rt");
    file["tokens"].as_object_mut().unwrap().remove("account_id");
    world.write(&file);
    text(&strait.respond(&ask()));
    let heads: Vec<_> = world.taken().into_iter().map(|s| s.head).collect();
    let bearer = |head: &String| field(head, "authorization").unwrap();
    assert_eq!(bearer(&heads[0]), bearer(&heads[1]));
    assert_eq!(bearer(&heads[2]), format!("Bearer {another}"));
    for head in heads {
        assert_eq!(field(&head, "chatgpt-account-id").as_deref(), Some(ACCOUNT));
    }
}

/// "Limitations": "returns a completed JSON response, not a streaming response"; "only implements
/// the Responses endpoint". Both are served here.
#[test]
fn its_limitations() {
    let world = World::new(3600);
    let strait = world.serve("epoll");
    let mut body = ask();
    body["stream"] = true.into();
    let got = strait.respond(&body);
    assert_eq!(got.terminals(), ["response.completed"]);
    let body = json!({"model": "gpt-5.5", "messages": [{"role": "user", "content": "x"}]});
    let got = strait.post("/v1/chat/completions", "", &body);
    assert_eq!(
        got.json()["choices"][0]["message"]["content"],
        "Hello there"
    );
}
