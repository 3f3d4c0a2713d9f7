//! The dashboard in a real browser: a Strait with traffic, and `tests/admin/browse.mjs`, which walks
//! through it and looks. `STRAIT_SHOTS=dir` keeps photographs of all pages.

use super::{KEYED, send};
use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, Seen, calls, delta, text};
use crate::skip;
use crate::strait::Strait;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

const HOSTILE: &str = "</pre><script>window.pwned=1</script><img src=x onerror=\"window.pwned=1\">";
const PATCH: &str = "*** Begin Patch\n*** Update File: src/main.rs\n@@ fn main() {\n-    println!(\"<b>Hello</b>\");\n+    println!(\"Hello, world\");\n }\n*** End Patch\n";
/// Of the last key of [`KEYED`], `fleet`, and one that has ended.
const LIMITS: &str = "models = [\"gpt-5.5\", \"other\", \"long-*\", \"second-*\"]\n\
    requests_per_minute = 120\ntokens_per_minute = 2000000\nstreams = 8\n\
    budget = { usd = 0.25, per = \"month\" }\n\
    [[keys]]\nname = \"last-year\"\nkey = \"old\"\nexpires = 2020-01-01T00:00:00Z\n";
const PLAIN: usize = 52;
const FAILED: usize = 3;

/// Debian's Chromium, or whatever is called so.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let mut places = std::env::split_paths(&path).flat_map(|dir| names.map(|name| dir.join(name)));
    places.find(|place| place.exists())
}

/// The directory of the script, with what it needs installed.
fn driver() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/admin");
    if !dir.join("node_modules/puppeteer-core").exists() {
        let npm = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&dir)
            .status();
        npm.ok().filter(|status| status.success())?;
    }
    Some(dir)
}

fn decide(seen: &Seen) -> Answer {
    let asked = seen.body["messages"].to_string();
    if asked.contains("zebrafish") {
        let patch = json!({"input": PATCH}).to_string();
        return Answer::Stream(calls(
            "The greeting is in main.rs.",
            &[("c2", "apply_patch", &patch)],
        ));
    }
    if asked.contains("break it") {
        let refusal =
            json!({"error": {"message": "no such thing", "type": "invalid_request_error"}});
        return Answer::Plain(400, "", refusal.to_string());
    }
    if asked.contains("stay") {
        let words = ["Thinking", " about", " it"].map(|word| delta(json!({"content": word})));
        return Answer::Silence(words.into());
    }
    Answer::Stream(text("Exactly five words, as asked."))
}

/// A request of Codex's kind with a history, whose words are hostile.
fn conversation() -> Value {
    json!({
        "model": "gpt-5.5", "stream": true, "store": false,
        "instructions": "You are Codex, a coding agent. ".repeat(40),
        "tools": [
            {"type": "function", "name": "shell", "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "apply_patch", "description": "d", "format": {"type": "text"}},
        ],
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": format!("Change the greeting of the zebrafish. {HOSTILE}")}]},
            {"type": "function_call", "call_id": "c1", "name": "shell", "arguments": "{\"command\":[\"bash\",\"-lc\",\"cat src/main.rs\"]}"},
            {"type": "function_call_output", "call_id": "c1", "output": format!("fn main() {{\n    println!(\"<b>Hello</b>\");\n}}\n{HOSTILE}")},
            {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "\u{202e}I will patch it."}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
        ],
    })
}

fn respond(strait: &Strait, body: &Value) -> Connection {
    let mut connection = Connection::open(strait.address);
    let fields = "authorization: Bearer plain\r\nsession-id: 0199-session\r\nuser-agent: codex_exec/0.169.0 (test)\r\n";
    connection.send(post_with(
        "/v1/responses",
        fields,
        body.to_string().as_bytes(),
    ));
    connection
}

/// Waits until the audit has so many rows: it is written behind what clients see.
fn await_rows(strait: &Strait, count: usize) {
    let until = Instant::now() + Duration::from_secs(30);
    let bearer = "host: x\r\nauthorization: Bearer right\r\n";
    loop {
        let page = send(strait, "GET /admin/api/v1/audit?limit=500", bearer, "");
        let rows = page.json()["data"].as_array().map_or(0, Vec::len);
        if rows >= count {
            return;
        }
        assert!(Instant::now() < until, "{rows} rows of {count}");
        std::thread::yield_now();
    }
}

#[test]
fn every_page_in_a_browser() {
    let (Some(chromium), Some(driver)) = (chromium(), driver()) else {
        return skip("no Chromium, or npm could not install what drives it");
    };
    let provider = Provider::answering(decide);
    let more = format!(
        "[providers.mock.override.models.m1]\nprice = {{ input = 1.25, cached = 0.25, output = 10.0 }}\n\
         context_window = 262144\n[models]\n\"gpt-5.5\" = \"mock/m1\"\n\"*\" = \"mock/*\"\n\
         [audit]\nbodies = true\n{KEYED}{LIMITS}"
    );
    let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", &more);
    for arguments in [["add", "contractor"], ["rotate", "contractor"]] {
        let more: &[&str] = match arguments[0] {
            "add" => &["--models", "gpt-5.5", "--streams", "2", "--expires", "90d"],
            _ => &["--overlap", "24h"],
        };
        let arguments = [&["keys"], &arguments[..], more].concat();
        assert!(!crate::keys::run(&strait.dir, &arguments).0.is_empty());
        strait.says("keys: 1 in the store");
    }
    for i in 0..PLAIN {
        let input = format!("Say hello in exactly five words, please: {i}");
        let body = json!({"model": "gpt-5.5", "stream": i % 2 == 0, "input": input});
        assert_eq!(respond(&strait, &body).answer().status, 200);
    }
    for _ in 0..FAILED {
        let body = json!({"model": "other", "input": "break it"});
        assert_eq!(respond(&strait, &body).answer().status, 400);
    }
    let answer = respond(&strait, &conversation()).answer();
    assert_eq!(answer.terminals(), ["response.completed"]);
    await_rows(&strait, PLAIN + FAILED + 1);
    let mut live = respond(
        &strait,
        &json!({"model": "long-thinker", "stream": true, "input": "stay"}),
    );
    live.wait_for(" it");
    let world = json!({
        "base": format!("http://{}", strait.address),
        "chromium": chromium,
        "shots": std::env::var("STRAIT_SHOTS").ok(),
        "key": "right",
        "client": "plain",
        "live": "long-thinker",
        "second": "second-thinker",
        "failed": FAILED,
        "word": "zebrafish",
        "said": ["Change the greeting of the zebrafish", HOSTILE, "$ cat src/main.rs", "Update File: src/main.rs",
            "The greeting is in main.rs.", "apply_patch", "⟨U+202E⟩I will patch it.", "first event after", "codex_exec/0.169.0"],
        "wires": ["From the client", "To the provider", "zebrafish", "chat.completion.chunk", "response.completed"],
    });
    let run = Command::new("timeout")
        .args(["240", "node", "browse.mjs"])
        .arg(world.to_string())
        .current_dir(driver)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    let complained = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}{complained}");
}
