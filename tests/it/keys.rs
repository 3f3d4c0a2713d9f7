//! The keys of clients: who may ask, for what, and how much.

use crate::client::{Answer, Connection, post_with};
use crate::cluster::Cluster;
use crate::codex::Codex;
use crate::provider::{self, Provider, Seen, delta, text};
use crate::skip;
use crate::strait::{Strait, scratch};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// What the provider is shown.
const PROVIDER_KEY: &str = "sk-test-provider-key";
/// A model of which each answer of the scripted provider costs 1.20 USD.
const PRICED: &str = "[profiles.lab]\nextends = \"openai-compatible\"\n\
    [profiles.lab.models.priced]\nprice = { input = 10000, output = 10000 }\n\
    [models]\n\"*\" = \"mock/*\"\n";

fn send(strait: &Strait, key: &str, body: &Value) -> Connection {
    let field = format!("authorization: Bearer {key}\r\n");
    let mut connection = Connection::open(strait.address);
    let body = body.to_string();
    connection.send(post_with("/v1/responses", &field, body.as_bytes()));
    connection
}

/// A request for an answer in one piece.
pub fn ask_for(strait: &Strait, key: &str, model: &str) -> Answer {
    let body = json!({"model": model, "input": "hi", "store": false});
    send(strait, key, &body).answer()
}

fn ask(strait: &Strait, key: &str) -> Answer {
    ask_for(strait, key, "m")
}

pub fn talkative() -> Provider {
    Provider::answering(|_: &Seen| provider::Answer::Stream(text("hello")))
}

fn field(answer: &Answer, name: &str) -> Option<String> {
    let mut lines = answer.head.lines();
    let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.map(str::to_owned)
}

/// A configuration with this store; `more` stands behind it.
pub fn write_config(dir: &Path, url: &str, store: &str, more: &str) {
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[providers.mock]\nprofile = \"lab\"\n\
         base_url = \"{url}\"\napi_key = \"{PROVIDER_KEY}\"\n[store]\nurl = \"{store}\"\n\
         {PRICED}{more}"
    );
    std::fs::write(dir.join("strait.toml"), config).unwrap();
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
    command
        .args(arguments)
        .arg("--config")
        .arg(dir.join("strait.toml"));
    command
        .env("XDG_STATE_HOME", dir)
        .env_remove("STATE_DIRECTORY");
    command
}

pub fn serve(dir: &Path) -> Strait {
    Strait::spawn(dir.to_owned(), &mut command(dir, &["serve"]))
}

/// What a command prints, and what it says besides.
pub fn run(dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = command(dir, arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let (out, err) = (text(output.stdout), text(output.stderr));
    match output.status.success() {
        true => (out.trim().to_owned(), err),
        false => (String::new(), err),
    }
}

#[test]
fn a_container_needs_three_variables() {
    let provider = talkative();
    let strait = Strait::by_environment(&[
        ("OPENAI_COMPATIBLE_BASE_URL", &provider.url()),
        ("OPENAI_COMPATIBLE_API_KEY", PROVIDER_KEY),
    ]);
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

#[test]
fn limits_hold_and_are_told_in_openais_words() {
    for driver in ["io_uring", "epoll"] {
        let provider = Provider::start(vec![
            provider::Answer::Stream(text("hello")),
            provider::Answer::Silence(vec![delta(json!({"content": "a"}))]),
            provider::Answer::Stream(text("again")),
        ]);
        let more = "[models]\n\"*\" = \"mock/*\"\n\
            [[keys]]\nname = \"often\"\nkey = \"often\"\nrequests_per_minute = 1\n\
            [[keys]]\nname = \"many\"\nkey = \"many\"\nstreams = 1\n\
            [[keys]]\nname = \"old\"\nkey = \"old\"\nexpires = 2020-01-01T00:00:00Z\n\
            [[keys]]\nname = \"few\"\nkey = \"few\"\nmodels = [\"fast\", \"mock/s*\"]\n";
        let strait = Strait::with("openai-compatible", &provider.url(), driver, more);
        assert_eq!(ask(&strait, "often").status, 200);
        let refused = ask(&strait, "often");
        assert_eq!(refused.status, 429);
        let wait: u64 = field(&refused, "retry-after").unwrap().parse().unwrap();
        assert!((1..=61).contains(&wait), "{}", refused.head);
        let error = &refused.json()["error"];
        assert_eq!(error["code"], "rate_limit_exceeded");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("1 requests a minute") && message.contains("try again in"));
        // A client that leaves gives its place back.
        let body = json!({"model": "m", "input": "hi", "stream": true, "store": false});
        let mut held = send(&strait, "many", &body);
        held.wait_for("output_text.delta");
        assert_eq!(ask(&strait, "many").status, 429);
        drop(held);
        provider.gone.recv().unwrap();
        let mut tries = (0..1000).map(|_| ask(&strait, "many").status);
        assert!(tries.any(|status| status == 200));
        let expired = ask(&strait, "old");
        assert_eq!(expired.status, 401);
        assert_eq!(
            expired.json()["error"]["message"],
            "This API key has expired."
        );
        let refused = ask_for(&strait, "few", "slow");
        assert_eq!(refused.status, 403);
        assert_eq!(refused.json()["error"]["code"], "model_not_allowed");
    }
}

#[test]
fn keys_are_made_rotated_and_revoked_while_strait_serves() {
    let provider = talkative();
    let dir = scratch("keys-stored");
    let store = format!("sqlite:{}/strait.db", dir.display());
    write_config(&dir, &provider.url(), &store, "");
    let strait = serve(&dir);
    assert_eq!(ask(&strait, "anything").status, 200, "open");
    let (first, said) = run(
        &dir,
        &[
            "keys",
            "add",
            "fleet",
            "--streams",
            "9",
            "--budget",
            "20/month",
        ],
    );
    assert!(
        first.starts_with("sk-strait-") && said.contains("shown once"),
        "{said}"
    );
    strait.says("keys: 1 in the store");
    assert_eq!(ask(&strait, "anything").status, 401);
    assert_eq!(ask(&strait, &first).status, 200);
    let (again, said) = run(&dir, &["keys", "add", "fleet"]);
    assert!(again.is_empty() && said.contains("already"), "{said}");
    let (second, _) = run(&dir, &["keys", "rotate", "fleet", "--overlap", "24h"]);
    strait.says("keys: 1 in the store");
    for secret in [&first, &second] {
        assert_eq!(ask(&strait, secret).status, 200, "both");
    }
    let (third, _) = run(&dir, &["keys", "rotate", "fleet"]);
    strait.says("keys: 1 in the store");
    let statuses = [&first, &second, &third].map(|secret| ask(&strait, secret).status);
    assert_eq!(statuses, [401, 401, 200]);
    let (list, _) = run(&dir, &["keys", "list"]);
    assert!(
        list.starts_with("fleet") && list.contains("works · 9 at once"),
        "{list}"
    );
    // After a restart they are there before anybody is served.
    drop(strait);
    let strait = serve(&dir);
    assert_eq!(ask(&strait, &third).status, 200);
    run(&dir, &["keys", "revoke", "fleet"]);
    strait.says("keys: 0 in the store");
    // Not open again, either.
    assert_eq!(ask(&strait, &third).status, 401);
    assert_eq!(ask(&strait, "anything").status, 401);
    let (none, said) = run(&dir, &["keys", "rotate", "fleet"]);
    assert!(none.is_empty() && said.contains("has ended"), "{said}");
    // Only digests are kept.
    for file in std::fs::read_dir(&dir).unwrap().flatten() {
        let bytes = std::fs::read(file.path()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("sk-strait-"), "{file:?}");
    }
}

#[test]
fn a_store_that_nobody_named_is_looked_into_at_the_start_and_on_reload() {
    let provider = talkative();
    let dir = scratch("keys-default");
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[providers.mock]\nprofile = \"openai-compatible\"\n\
         base_url = \"{}\"\napi_key = \"{PROVIDER_KEY}\"\n",
        provider.url()
    );
    std::fs::write(dir.join("strait.toml"), config).unwrap();
    let strait = serve(&dir);
    let has_thread = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", strait.child.id())).unwrap();
        let mut names = tasks
            .flatten()
            .map(|t| std::fs::read_to_string(t.path().join("comm")));
        names.any(|name| name.is_ok_and(|name| name == "strait-keys\n"))
    };
    assert!(!has_thread());
    let (secret, said) = run(&dir, &["keys", "add", "a"]);
    assert!(said.contains("strait reload"), "{said}");
    strait.signal("HUP");
    strait.says("keys: 1 in the store");
    strait.says("configuration reloaded");
    assert!(has_thread());
    assert_eq!(ask(&strait, "x").status, 401);
    assert_eq!(ask(&strait, &secret).status, 200);
    run(&dir, &["keys", "revoke", "a"]);
    strait.says("keys: 0 in the store");
    assert_eq!(ask(&strait, &secret).status, 401);
}

const BUDGET: &str = "[[keys]]\nname = \"team\"\nkey = \"team\"\n\
    budget = { usd = 2.0, per = \"month\" }\n";

/// What a free request is told of the budget.
fn used(strait: &Strait) -> f64 {
    let answer = ask(strait, "team");
    let used = field(&answer, "x-team-primary-used-percent");
    used.unwrap_or_else(|| panic!("{}", answer.head))
        .parse()
        .unwrap()
}

#[test]
fn a_budget_survives_a_kill() {
    let provider = talkative();
    let dir = scratch("keys-budget");
    let store = format!("sqlite:{}/strait.db", dir.display());
    write_config(&dir, &provider.url(), &store, BUDGET);
    let strait = serve(&dir);
    assert_eq!(used(&strait), 0.0);
    assert_eq!(ask_for(&strait, "team", "priced").status, 200);
    assert_eq!(used(&strait), 60.0);
    let database = rusqlite::Connection::open(dir.join("strait.db")).unwrap();
    let kept = || {
        let sum = "SELECT coalesce(sum(nanos), 0) FROM strait_spend WHERE name = 'team'";
        database.query_row(sum, [], |row| row.get::<_, i64>(0))
    };
    // Each question is one to Strait, too, so this takes its time.
    while kept().unwrap() == 0 {
        assert_eq!(used(&strait), 60.0);
    }
    assert_eq!(kept().unwrap(), 1_200_000_000);
    // kill -9.
    drop(strait);
    let strait = serve(&dir);
    assert_eq!(used(&strait), 60.0);
    assert_eq!(ask_for(&strait, "team", "priced").status, 200);
    let spent = ask(&strait, "team");
    assert_eq!(spent.status, 429);
    assert_eq!(spent.json()["error"]["code"], "insufficient_quota");
    let wait: u64 = field(&spent, "retry-after").unwrap().parse().unwrap();
    assert!((1..=31 * 86_400).contains(&wait));
    // Told to stop, it tells the store the last.
    strait.signal("TERM");
    strait.says("stopped");
    assert_eq!(kept().unwrap(), 2_400_000_000);
}

#[test]
fn nodes_share_keys_and_budgets_in_postgres() {
    let Some(cluster) = Cluster::start() else {
        return skip("PostgreSQL is not installed");
    };
    let provider = talkative();
    let dir = scratch("keys-postgres");
    write_config(
        &dir,
        &provider.url(),
        &cluster.url("127.0.0.1", "postgres"),
        BUDGET,
    );
    let (one, two) = (serve(&dir), serve(&dir));
    assert_eq!(ask_for(&one, "team", "priced").status, 200);
    while used(&two) == 0.0 {}
    assert_eq!(used(&two), 60.0);
    assert_eq!(ask_for(&two, "team", "priced").status, 200);
    while ask(&one, "team").status == 200 {}
    assert_eq!(ask(&one, "team").status, 429);
    let (secret, said) = run(&dir, &["keys", "add", "a", "--admin"]);
    assert!(!secret.is_empty(), "{said}");
    for strait in [&one, &two] {
        strait.says("keys: 1 in the store");
        assert_eq!(ask(strait, &secret).status, 200);
    }
    run(&dir, &["keys", "revoke", "a"]);
    for strait in [&one, &two] {
        strait.says("keys: 0 in the store");
        assert_eq!(ask(strait, &secret).status, 401);
    }
}

#[test]
fn no_secret_is_ever_told() {
    let provider = talkative();
    let dir = scratch("keys-secret");
    let store = format!("sqlite:{}/strait.db", dir.display());
    let more = "[[keys]]\nname = \"a\"\nkey = \"sk-client-secret-a\"\nrequests_per_minute = 1\n\
        models = [\"m\"]\nalso = [{ key = \"sk-client-secret-old\", expires = 2020-01-01T00:00:00Z }]\n";
    write_config(&dir, &provider.url(), &store, more);
    let (checked, said) = run(&dir, &["check"]);
    let mut all = checked + &said;
    assert!(all.contains("keys       a"), "{all}");
    let (secret, _) = run(&dir, &["keys", "add", "b"]);
    let (list, _) = run(&dir, &["keys", "list"]);
    all += &list;
    let mut command = command(&dir, &["serve"]);
    let strait = Strait::spawn(dir.clone(), command.env("STRAIT_LOG", "debug"));
    let mut statuses = Vec::new();
    for key in [
        "sk-client-secret-a",
        "sk-client-secret-a",
        "sk-client-secret-old",
        "sk-client-secret-wrong",
        &secret,
    ] {
        let answer = ask(&strait, key);
        statuses.push(answer.status);
        all += &answer.head;
        all += &String::from_utf8_lossy(&answer.body);
    }
    assert_eq!(statuses, [200, 429, 401, 401, 200]);
    strait.signal("TERM");
    loop {
        let line = strait.says("");
        all += &line;
        if line.contains("stopped") {
            break;
        }
    }
    for secret in ["sk-client-secret", &secret[10..], PROVIDER_KEY] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    for seen in provider.take_seen() {
        let text = format!("{}{}", seen.head, String::from_utf8_lossy(&seen.raw));
        assert!(
            !text.contains("sk-client-secret") && !text.contains(&secret),
            "{text}"
        );
    }
}

#[test]
fn codex_takes_the_budget_down_as_a_limit_of_its_own() {
    let provider = talkative();
    let dir = scratch("keys-codex");
    write_config(&dir, &provider.url(), "none", BUDGET);
    let strait = serve(&dir);
    assert_eq!(ask_for(&strait, "team", "priced").status, 200);
    let over_http = || Codex::new(&strait, "m", "");
    let over_websocket = || Codex::over_websocket(&strait, "m");
    for codex in [over_http(), over_websocket()] {
        let Some(codex) = codex else { return };
        let run = codex.exec_with(&["hi"], &[("STRAIT_KEY", "team")]);
        assert_eq!(run.text(), "hello", "{run:?}");
        let lines = codex.rollouts();
        let mut limits = lines.iter().filter_map(|line| {
            let limits = &line["payload"]["rate_limits"];
            (limits["limit_id"] == "team").then_some(limits)
        });
        let last = limits.next_back().unwrap_or_else(|| panic!("{lines:#?}"));
        assert_eq!(last["primary"]["used_percent"], 60.0, "{last}");
        let minutes = last["primary"]["window_minutes"].as_u64().unwrap();
        assert!((28 * 1440..=31 * 1440).contains(&minutes), "{last}");
        assert!(last["primary"]["resets_at"].as_u64().is_some(), "{last}");
    }
    // A spent budget is told at once, and asked for once.
    assert_eq!(ask_for(&strait, "team", "priced").status, 200);
    for codex in [over_http(), over_websocket()] {
        let Some(codex) = codex else { return };
        provider.take_seen();
        let run = codex.exec_with(&["hi"], &[("STRAIT_KEY", "team")]);
        assert_eq!(run.code, 1, "{run:?}");
        let errors = run.errors().join("\n");
        assert!(
            errors.contains("uota") && !errors.contains("econnecting"),
            "{run:?}"
        );
        assert!(provider.take_seen().is_empty());
    }
}
