//! The keys of clients: who may ask, for what, and how much.

use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, text};
use crate::strait::{Strait, scratch};
use serde_json::{Value, json};
use std::process::Command;

/// What the provider is shown.
const PROVIDER_KEY: &str = "sk-test-provider-key";

/// A request for an answer in one piece, with this key.
fn ask(strait: &Strait, key: &str) -> crate::client::Answer {
    let body = json!({"model": "m", "input": "hi"}).to_string();
    let field = format!("authorization: Bearer {key}\r\n");
    let mut connection = Connection::open(strait.address);
    connection.send(post_with("/v1/responses", &field, body.as_bytes()));
    connection.answer()
}

#[test]
fn a_container_needs_three_variables() {
    let provider = Provider::start(vec![Answer::Stream(text("hello"))]);
    let dir = scratch("keys");
    let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
    command
        .arg("serve")
        .current_dir(&dir)
        .env_clear()
        .env("XDG_STATE_HOME", &dir)
        .env("STRAIT_LISTEN", "127.0.0.1:0")
        .env("STRAIT_MASTER_KEY", "change-me")
        .env("OPENAI_COMPATIBLE_BASE_URL", provider.url())
        .env("OPENAI_COMPATIBLE_API_KEY", PROVIDER_KEY);
    let strait = Strait::spawn(dir, &mut command);
    let refused = ask(&strait, "change-you");
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.json(),
        json!({"error": {
            "message": "Incorrect or missing API key. Present one of Strait's client keys as a bearer token.",
            "type": "authentication_error", "param": null, "code": "invalid_api_key",
        }})
    );
    assert!(provider.take_seen().is_empty());
    let answer = ask(&strait, "change-me");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["output"][0]["content"][0]["text"], "hello");
    // Each side sees its own key only.
    let seen = provider.take_seen();
    assert!(seen[0].head.contains(PROVIDER_KEY) && seen[0].body != Value::Null);
    let there = format!("{}{}", seen[0].head, String::from_utf8_lossy(&seen[0].raw));
    assert!(!there.contains("change-me"), "{there}");
    let here = format!("{}{}", answer.head, String::from_utf8_lossy(&answer.body));
    assert!(!here.contains(PROVIDER_KEY), "{here}");
}
