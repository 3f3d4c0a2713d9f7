//! Sessions of the real Codex CLI through Strait, on both drivers: what the user would see.

use crate::codex::Codex;
use crate::provider::{Answer, Provider, calls, text};
use crate::strait::Strait;
use serde_json::json;

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// The model is listed, so that Codex finds it in the catalog and offers `apply_patch`.
const MODELS: &str =
    "[models]\nlisted = \"mock/listed\"\n\"*\" = \"mock/*\"\n[timeouts]\nsilence_s = 1.0\n";

fn strait(profile: &str, provider: &Provider, driver: &str) -> Strait {
    Strait::with(profile, &provider.url(), driver, MODELS)
}

fn exec(id: &str, cmd: &str) -> Answer {
    let arguments = json!({ "cmd": cmd }).to_string();
    Answer::Stream(calls(
        "I should run it.",
        &[(id, "exec_command", &arguments)],
    ))
}

fn say(answer: &str) -> Answer {
    Answer::Stream(text(answer))
}

#[test]
fn a_plain_answer() {
    for driver in DRIVERS {
        let provider = Provider::start(vec![say("Hello from the model")]);
        let strait = strait("openai-compatible", &provider, driver);
        assert!(strait.banner.contains(driver), "{}", strait.banner);
        let Some(codex) = Codex::new(&strait, "listed", "") else {
            return;
        };
        let run = codex.exec(&["hi"]);
        assert_eq!(
            (run.code, run.text()),
            (0, "Hello from the model".into()),
            "{run:#?}"
        );
        assert!(
            run.errors().is_empty() && !run.stderr.contains("ERROR"),
            "{run:#?}"
        );
        let usage = &run.events.last().unwrap()["usage"];
        assert_eq!(
            (&usage["input_tokens"], &usage["cached_input_tokens"]),
            (&json!(100), &json!(40))
        );
    }
}

#[test]
fn commands_run_and_their_output_comes_back_under_deepseeks_rules() {
    for driver in DRIVERS {
        let two = Answer::Stream(calls(
            "Two at once.",
            &[
                ("call_b", "exec_command", r#"{"cmd":"echo two"}"#),
                ("call_c", "exec_command", r#"{"cmd":"echo three"}"#),
            ],
        ));
        let provider = Provider::deepseek(vec![
            exec("call_a", "echo one; exit 3"),
            two,
            say("done"),
            say("again"),
        ]);
        let strait = strait("deepseek", &provider, driver);
        let Some(codex) = Codex::new(&strait, "listed", "") else {
            return;
        };
        let run = codex.exec(&["go"]);
        assert_eq!((run.code, run.text()), (0, "done".into()), "{run:#?}");
        let commands = run.items("command_execution");
        assert_eq!(commands.len(), 3);
        assert_eq!(
            (&commands[0]["exit_code"], &commands[0]["aggregated_output"]),
            (&json!(3), &json!("one\n"))
        );
        let resumed = codex.exec(&["resume", "--last", "and now?"]);
        assert_eq!(
            (resumed.code, resumed.text()),
            (0, "again".into()),
            "{resumed:#?}"
        );
        let bodies = provider.bodies();
        let messages = bodies.last().unwrap()["messages"].as_array().unwrap();
        let thoughts: Vec<_> = messages
            .iter()
            .filter_map(|m| m["reasoning_content"].as_str())
            .collect();
        assert!(
            thoughts.contains(&"I should run it.") && thoughts.contains(&"Two at once."),
            "{thoughts:?}"
        );
        // Turn N's messages are a prefix of turn N+1's.
        for pair in bodies.windows(2) {
            let (a, b) = (
                pair[0]["messages"].as_array().unwrap(),
                pair[1]["messages"].as_array().unwrap(),
            );
            assert!(b.starts_with(a), "the prefix changed");
        }
    }
}

#[test]
fn patches_change_files() {
    let add = "*** Begin Patch\n*** Add File: new ü.txt\n+tab\there \"quoted\" 😀\n+\\n stays\n*** End Patch\n";
    let change = "*** Begin Patch\n*** Update File: old.txt\n*** Move to: moved.txt\n@@\n-alpha\n+beta\n*** Delete File: gone.txt\n*** End Patch\n";
    for driver in DRIVERS {
        let patch = |id: &str, patch: &str| {
            Answer::Stream(calls(
                "",
                &[(id, "apply_patch", &json!({ "input": patch }).to_string())],
            ))
        };
        let provider = Provider::start(vec![patch("p1", add), patch("p2", change), say("patched")]);
        let strait = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&strait, "listed", "") else {
            return;
        };
        std::fs::write(codex.project.join("old.txt"), "alpha\nomega\n").unwrap();
        std::fs::write(codex.project.join("gone.txt"), "x\n").unwrap();
        let run = codex.exec(&["patch it"]);
        assert_eq!((run.code, run.text()), (0, "patched".into()), "{run:#?}");
        assert!(
            run.items("file_change")
                .iter()
                .all(|c| c["status"] == "completed"),
            "{run:#?}"
        );
        let read = |name: &str| std::fs::read_to_string(codex.project.join(name)).ok();
        assert_eq!(
            read("new ü.txt").unwrap(),
            "tab\there \"quoted\" 😀\n\\n stays\n"
        );
        assert_eq!(read("moved.txt").unwrap(), "beta\nomega\n");
        assert_eq!((read("old.txt"), read("gone.txt")), (None, None));
    }
}

#[test]
fn transient_failures_are_ridden_out() {
    for driver in DRIVERS {
        let error = |status, fields| {
            Answer::Plain(
                status,
                fields,
                json!({"error":{"message":"try later"}}).to_string(),
            )
        };
        let begun = || text("Hello there friend")[..2].to_vec();
        let provider = Provider::start(vec![
            error(429, "retry-after: 1\r\n"),
            error(500, ""),
            error(529, ""),
            Answer::Reset(begun()),
            Answer::Silence(begun()),
            say("recovered"),
        ]);
        let strait = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&strait, "listed", "") else {
            return;
        };
        let run = codex.exec(&["hi"]);
        assert_eq!((run.code, run.text()), (0, "recovered".into()), "{run:#?}");
        assert_eq!(provider.take_seen().len(), 6);
    }
}

#[test]
fn final_failures_are_shown_as_they_are() {
    for driver in DRIVERS {
        let overflow =
            json!({"error":{"message":"This model's maximum context length is 10 tokens"}});
        let provider = Provider::start(vec![Answer::Plain(400, "", overflow.to_string())]);
        let strait = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&strait, "listed", "") else {
            return;
        };
        let run = codex.exec(&["hi"]);
        let said = run.errors().join("\n");
        assert!(run.code == 1 && said.contains("context window"), "{run:#?}");
        assert_eq!(provider.take_seen().len(), 1, "nothing is retried");
    }
}

#[test]
fn an_mcp_servers_tool_is_called_by_its_flat_name() {
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/codex/mcp_demo.py");
    let more = format!("[mcp_servers.demo]\ncommand = \"python3\"\nargs = [\"{server}\"]\n");
    for driver in DRIVERS {
        let call = calls("", &[("m1", "mcp__demo__add_numbers", r#"{"a":2,"b":40}"#)]);
        let provider = Provider::start(vec![Answer::Stream(call), say("it is 42")]);
        let strait = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&strait, "listed", &more) else {
            return;
        };
        let run = codex.exec(&["add"]);
        assert_eq!((run.code, run.text()), (0, "it is 42".into()), "{run:#?}");
        let calls = run.items("mcp_tool_call");
        assert_eq!(
            (calls.len(), &calls[0]["status"]),
            (1, &json!("completed")),
            "{run:#?}"
        );
        let bodies = provider.bodies();
        let names = bodies[0]["tools"].as_array().unwrap().iter();
        let names: Vec<_> = names
            .filter_map(|t| t["function"]["name"].as_str())
            .collect();
        assert!(names.contains(&"mcp__demo__add_numbers"), "{names:?}");
        let last = bodies[1]["messages"].as_array().unwrap().last().unwrap();
        assert!(
            last["content"].as_str().unwrap().contains("sum=42"),
            "{last}"
        );
    }
}

#[test]
fn an_image_reaches_the_provider() {
    // A PNG of one pixel.
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\0\0\0\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\0\x05\0\x01\xff\x89\x99=\x1d\0\0\0\0IEND\xaeB`\x82";
    for driver in DRIVERS {
        let provider = Provider::start(vec![say("a dot")]);
        let strait = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&strait, "listed", "") else {
            return;
        };
        std::fs::write(codex.project.join("dot.png"), PNG).unwrap();
        let run = codex.exec(&["what is this?", "-i", "dot.png"]);
        assert_eq!((run.code, run.text()), (0, "a dot".into()), "{run:#?}");
        let body = provider.bodies().remove(0);
        let parts = body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|m| m["content"].as_array());
        let images: Vec<_> = parts
            .flatten()
            .filter(|p| p["type"] == "image_url")
            .collect();
        assert_eq!(images.len(), 1, "{body}");
        let url = images[0]["image_url"]["url"].as_str().unwrap();
        assert!(url.starts_with("data:image/png;base64,"), "{url}");
    }
}

#[test]
fn a_refused_provider_key_and_a_bare_429_are_said_plainly() {
    for driver in DRIVERS {
        let error = |status, message: &str| {
            Answer::Plain(status, "", json!({"error":{"message":message}}).to_string())
        };
        let provider = Provider::start(vec![error(429, "too fast"), say("after the wait")]);
        let server = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&server, "listed", "") else {
            return;
        };
        let run = codex.exec(&["hi"]);
        assert_eq!(
            (run.code, run.text()),
            (0, "after the wait".into()),
            "{run:#?}"
        );
        let provider = Provider::start(vec![error(401, "your api key is invalid")]);
        let server = strait("openai-compatible", &provider, driver);
        let Some(codex) = Codex::new(&server, "listed", "") else {
            return;
        };
        let run = codex.exec(&["hi"]);
        assert_eq!(run.code, 1, "{run:#?}");
        let said = run.errors().join("\n");
        assert!(
            said.contains("provider refused the gateway's credentials"),
            "{run:#?}"
        );
        assert_eq!(provider.take_seen().len(), 1, "nothing is retried");
    }
}
