//! Aliases, keys and numbers as they are written, and what outlives a reload.

use super::Snapshot;
use super::routing::Retry;
use crate::config::{from_env, parse};
use crate::ledger::breaker::Policy;
use crate::ledger::health::Outcome;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TWO: &str = "[providers.a]\nprofile = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:1\"\n[providers.b]\nprofile = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:2\"\n";

fn env(name: &str) -> Option<String> {
    match name {
        "DEEPSEEK_API_KEY" | "DEEPSEEK_API_KEY_3" => Some("sk-one".into()),
        "DEEPSEEK_API_KEY_2" => Some("sk-two".into()),
        "K" => Some("sk-k".into()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Snapshot, String> {
    parse("f", text, &env).map_err(|e| e.to_string())
}

#[test]
fn an_alias_is_a_target_a_list_or_a_split() {
    let text = "[models]\none = \"a/x\"\nlist = [\"a/x\", \"b/y\"]\nsplit = { split = [{ to = \"a/x\", weight = 3 }, { to = \"b/y\" }] }";
    let snapshot = read(&format!("{TWO}{text}")).unwrap();
    let shape = |alias: &str| -> Vec<(String, Option<u32>)> {
        let chain = snapshot.resolve(alias).unwrap().into_iter();
        chain.map(|t| (t.model, t.weight)).collect()
    };
    let of = |model: &str, weight| (model.to_owned(), weight);
    assert_eq!(shape("one"), [of("x", None)]);
    assert_eq!(shape("list"), [of("x", None), of("y", None)]);
    assert_eq!(shape("split"), [of("x", Some(3)), of("y", Some(1))]);
}

#[test]
fn mistakes_are_told() {
    for (text, expected) in [
        ("[models]\nm = { split = [] }", "the chain is empty"),
        (
            "[models]\nm = { split = [{ to = \"a/x\", weight = 0 }] }",
            "every weight is 0",
        ),
        ("[models]\nm = { splits = [] }", "is no target, no list"),
        ("[retry]\nattempts = 0", "retry.attempts: is out of range"),
        ("[retry]\nattempts = 1.5", "is no whole number"),
        ("[breaker]\nrate = 2", "from 0.01 to 1"),
        (
            "[providers.c]\nprofile = \"openai-compatible\"\nbase_url = \"http://x\"\napi_keys = [\"${K}\", \"sk-k\"]",
            "has the same key twice",
        ),
        (
            "[providers.c]\nprofile = \"openai-compatible\"\nbase_url = \"http://x\"\napi_keys = [\"\"]",
            "its key is empty",
        ),
    ] {
        let said = read(&format!("{TWO}{text}")).unwrap_err();
        assert!(said.contains(expected), "{text}: {said}");
    }
}

#[test]
fn keys_are_listed_or_numbered_in_the_environment() {
    let keys = |snapshot: Snapshot, provider: &str| -> Vec<String> {
        let keys = snapshot.providers[provider].keys.iter();
        keys.map(|k| k.key.expose().to_owned()).collect()
    };
    assert_eq!(
        keys(from_env(&env).unwrap(), "deepseek"),
        ["sk-one", "sk-two"]
    );
    let text = format!("{TWO}api_key = \"sk-a\"\napi_keys = [\"${{K}}\"]");
    assert_eq!(keys(read(&text).unwrap(), "b"), ["sk-a", "sk-k"]);
}

#[test]
fn numbers_have_defaults() {
    let snapshot = read("[retry]\nattempts = 5\nbackoff_s = 0\n[breaker]\nopen_s = 1.5").unwrap();
    let own = Retry::default();
    assert_eq!(
        snapshot.retry,
        Retry {
            attempts: 5,
            backoff: Duration::ZERO,
            ..own
        }
    );
    assert_eq!(
        snapshot.breaker,
        Policy {
            open: Duration::from_millis(1500),
            ..Policy::default()
        }
    );
}

#[test]
fn health_outlives_a_reload_where_the_provider_is_the_same() {
    let models = "[models]\nm = [\"a/x\", \"b/y\"]";
    let old = read(&format!("{TWO}{models}")).unwrap();
    let (now, policy) = (Instant::now(), Policy::default());
    for target in &old.models["m"] {
        let health = &target.provider.health;
        for _ in 0..policy.failures {
            let (_, ticket) = health.begin(&target.model, &[], now, &policy).unwrap();
            let outcome = Outcome::Broken("overloaded");
            health.end(ticket, &target.model, outcome, now, &policy);
        }
    }
    let moved = format!("{TWO}{models}").replace(":2", ":3");
    let mut new = read(&moved).unwrap();
    new.inherit(&old);
    let [a, b] = new.models["m"].as_slice() else {
        panic!("two targets")
    };
    assert!(a.provider.health.is_broken("x", now));
    assert!(
        !b.provider.health.is_broken("y", now),
        "it is another place"
    );
    assert!(Arc::ptr_eq(&a.provider, &new.providers["a"]));
    let shown: Vec<_> = new.health();
    let shown = shown
        .iter()
        .map(|(name, c)| (*name, c.model.as_deref(), c.state.name()));
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            ("a", None, "closed"),
            ("a", Some("x"), "open"),
            ("b", Some("y"), "closed")
        ]
    );
}
