//! The real Codex CLI past the limit of its context: remote compaction, its own, and resuming.

use crate::codex::{Codex, QUIET, Run};
use crate::provider::{Answer, Provider, Seen, calls, text};
use crate::strait::Strait;
use serde_json::Value;

/// Every answer of the scripted provider costs 120 tokens.
const LIMIT: &str = "model_auto_compact_token_limit = 110\n";
const MODELS: &str = "[models]\nlisted = \"mock/listed\"\n\"*\" = \"mock/*\"\n";
const SUMMARY: &str = "HANDOVER: one was said, two is left.";

/// What a provider is asked for, by its last message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wants {
    /// A summary, in Strait's words.
    Ours,
    /// A summary, in Codex's words.
    Codexs,
    /// An answer, with the summary before it.
    AnswerAfter,
    Answer,
}

fn wants(body: &Value) -> Wants {
    let messages = body["messages"].as_array().unwrap();
    let last = messages[messages.len() - 1]["content"]
        .as_str()
        .unwrap_or("");
    if last.contains("write a handover") {
        Wants::Ours
    } else if last.contains("CONTEXT CHECKPOINT COMPACTION") {
        Wants::Codexs
    } else if body["messages"].to_string().contains(SUMMARY) {
        Wants::AnswerAfter
    } else {
        Wants::Answer
    }
}

/// Runs a command first, summarises when asked to, and ends when it has read the summary.
fn provider() -> Provider {
    Provider::answering(|seen: &Seen| match wants(&seen.body) {
        Wants::Ours | Wants::Codexs => Answer::Stream(text(SUMMARY)),
        Wants::AnswerAfter => Answer::Stream(text("All done.")),
        Wants::Answer => Answer::Stream(calls(
            "I should run it.",
            &[("call_a", "exec_command", r#"{"cmd":"echo one"}"#)],
        )),
    })
}

fn codex(strait: &Strait, name: &str, keys: &str) -> Option<Codex> {
    let base = format!("http://{}/v1", strait.address);
    Codex::configured(&format!(
        "model = \"listed\"\nmodel_provider = \"far\"\n{LIMIT}[model_providers.far]\nname = \"{name}\"\nbase_url = \"{base}\"\nwire_api = \"responses\"\nenv_key = \"STRAIT_KEY\"\nmodel_catalog_url = \"{base}/models\"\n{keys}{QUIET}"
    ))
}

fn good(run: &Run) {
    assert_eq!((run.code, run.text()), (0, "All done.".into()), "{run:#?}");
    assert!(
        run.errors().is_empty() && !run.stderr.contains("ERROR"),
        "{run:#?}"
    );
}

fn session(name: &str, keys: &str, asks: Wants) {
    for driver in ["io_uring", "epoll"] {
        let provider = provider();
        let strait = Strait::with("openai-compatible", &provider.url(), driver, MODELS);
        let Some(codex) = codex(&strait, name, keys) else {
            return;
        };
        good(&codex.exec(&["go"]));
        let bodies = provider.bodies();
        let asked: Vec<_> = bodies.iter().map(wants).collect();
        assert_eq!(asked[..3], [Wants::Answer, asks, Wants::AnswerAfter]);
        let messages = bodies[2]["messages"].to_string();
        assert!(
            !messages.contains("call_a"),
            "what was summarised is gone: {messages}"
        );
        if asks == Wants::Ours {
            // The provider's prompt cache serves the request for the summary.
            assert_eq!(bodies[0]["tools"], bodies[1]["tools"]);
            let (before, after) = (&bodies[0]["messages"], &bodies[1]["messages"]);
            let before = before.as_array().unwrap();
            assert_eq!(after.as_array().unwrap()[..before.len()], before[..]);
        }
        // The file of the session holds the compaction; a new process goes on from it.
        good(&codex.exec(&["resume", "--last", "and now?"]));
        let resumed = provider.bodies();
        let last = resumed.last().unwrap()["messages"].to_string();
        assert!(
            last.contains(SUMMARY) && last.contains("and now?"),
            "{last}"
        );
    }
}

#[test]
fn remote_compaction() {
    session("OpenAI", "", Wants::Ours);
}

#[test]
fn remote_compaction_over_a_websocket() {
    session("OpenAI", "supports_websockets = true\n", Wants::Ours);
}

#[test]
fn codexs_own_compaction() {
    session("Strait", "", Wants::Codexs);
}

#[test]
fn a_session_that_another_service_compacted_goes_on() {
    // Sealed under the key of another provider's key: as good as OpenAI's own.
    let provider = provider();
    let far = Strait::with("openai-compatible", &provider.url(), "io_uring", MODELS);
    let Some(codex) = codex(&far, "OpenAI", "") else {
        return;
    };
    good(&codex.exec(&["go"]));
    provider.take_seen();
    let other = Provider::answering(|seen: &Seen| match wants(&seen.body) {
        Wants::Ours => Answer::Stream(text(SUMMARY)),
        _ => Answer::Stream(text("All done.")),
    });
    let top = "seal_key = \"0101010101010101010101010101010101010101010101010101010101010101\"\n";
    let near = Strait::start_with_top(top, &other.url(), "io_uring");
    let base = format!(
        "model_providers.far.base_url=\"http://{}/v1\"",
        near.address
    );
    good(&codex.exec(&["-c", &base, "resume", "--last", "and now?"]));
    let asked = other.bodies();
    let told = asked
        .iter()
        .any(|b| b["messages"].to_string().contains("cannot be read here"));
    assert!(told, "{asked:#?}");
}
