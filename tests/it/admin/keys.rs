//! The keys that operators see: those of the file and of the store, and what each has had.

use super::send;
use crate::client::Answer;
use crate::keys::{ask_for, run, serve, talkative, write_config};
use crate::strait::{Strait, scratch};
use serde_json::{Value, json};

const OPS: &str = "[[keys]]\nname = \"ops\"\nkey = \"right\"\nadmin = true\n\
    [[keys]]\nname = \"team\"\nkey = \"team\"\nmodels = [\"priced\"]\nrequests_per_minute = 5\n\
    budget = { usd = 4.8, per = \"month\" }\n";

fn show(strait: &Strait, path: &str) -> Answer {
    let bearer = "host: x\r\nauthorization: Bearer right\r\n";
    send(strait, &format!("GET {path}"), bearer, "")
}

/// The keys of the API, by name.
fn keys(strait: &Strait) -> Vec<(String, Value)> {
    let answer = show(strait, "/admin/api/v1/keys").json();
    let keys = answer["data"].as_array().unwrap().iter();
    keys.map(|key| (key["name"].as_str().unwrap().to_owned(), key.clone()))
        .collect()
}

#[test]
fn keys_of_file_and_store_are_shown_with_what_they_have_had() {
    let provider = talkative();
    let dir = scratch("admin-keys");
    let store = format!("sqlite:{}/strait.db", dir.display());
    write_config(&dir, &provider.url(), &store, OPS);
    let strait = serve(&dir);
    for _ in 0..2 {
        assert_eq!(ask_for(&strait, "team", "priced").status, 200);
    }
    let (first, _) = run(&dir, &["keys", "add", "anna", "--streams", "9"]);
    strait.says("keys: 1 in the store");
    let (second, _) = run(&dir, &["keys", "rotate", "anna", "--overlap", "24h"]);
    strait.says("keys: 1 in the store");
    let seen = keys(&strait);
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ops", "team", "anna"]);
    let (team, anna) = (&seen[1].1, &seen[2].1);
    assert_eq!(
        (&team["from"], &anna["from"]),
        (&json!("file"), &json!("store"))
    );
    assert_eq!(team["requests_per_minute"], json!({"limit": 5, "used": 2}));
    assert_eq!(team["budget"]["spent_nanos"], 2_400_000_000_u64);
    assert_eq!(team["budget"]["used_percent"], 50.0);
    assert!(team["budget"]["ends_ms"].as_u64().is_some(), "{team}");
    assert_eq!(anna["streams"], json!({"limit": 9, "used": 0}));
    assert_eq!(
        (&anna["older_secrets"], &anna["budget"]),
        (&json!(1), &Value::Null)
    );
    let page = show(&strait, "/admin/keys");
    let text = String::from_utf8(page.body).unwrap();
    for expected in [
        "anna",
        "rotated",
        "strait.toml",
        "2 of 5",
        "50.0 %",
        "through the store",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    for secret in [&first[10..], &second[10..]] {
        assert!(!text.contains(secret) && !format!("{seen:?}").contains(secret));
    }
    // A key that is revoked is gone.
    run(&dir, &["keys", "revoke", "anna"]);
    strait.says("keys: 0 in the store");
    assert_eq!(keys(&strait).len(), 2);
}
