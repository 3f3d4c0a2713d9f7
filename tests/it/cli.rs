//! The commands, as a stranger would run them.

use crate::codex::program;
use crate::provider::{Answer, Provider, text};
use crate::skip;
use crate::strait::{Strait, scratch};
use std::process::{Command, Stdio};

fn strait() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
    command
        .stdin(Stdio::null())
        .env_remove("STRAIT_CONFIG")
        .current_dir(scratch("cli"));
    command
}

fn said(command: &mut Command) -> (i32, String) {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text.into_owned())
}

#[test]
fn the_demo_shows_reasoning_text_and_a_call() {
    for driver in ["io_uring", "epoll"] {
        let (code, text) = said(strait().args(["demo", "--once", "--driver", driver]));
        assert_eq!(code, 0, "{text}");
        for part in [
            "reasoning_content",
            "response.reasoning_summary_text.delta",
            "response.output_text.delta",
            "response.function_call_arguments.done",
            "response.completed",
            driver,
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

#[test]
fn check_masks_secrets_and_mistakes_name_their_line() {
    let key = "sk-0123456789abcdef0123";
    let (code, text) = said(strait().arg("check").env("DEEPSEEK_API_KEY", key));
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("https://api.deepseek.com:443") && !text.contains(&key[4..]),
        "{text}"
    );
    let file = scratch("cli").join("strait.toml");
    std::fs::write(&file, "listen = [\"127.0.0.1:0\"]\nlisten_too = 1\n").unwrap();
    let (code, text) = said(strait().args(["check", "--config"]).arg(&file));
    assert!(
        code == 2 && text.contains("strait.toml:2") && text.contains("listen_too"),
        "{text}"
    );
    let (code, text) = said(strait().arg("serve").env_remove("DEEPSEEK_API_KEY"));
    assert!(
        code == 2 && text.contains("export DEEPSEEK_API_KEY"),
        "{text}"
    );
}

#[test]
fn codex_runs_with_flags_alone_and_the_users_own_file_is_untouched() {
    let Some(codex) = program() else {
        return skip("no Node, or npm could not install Codex");
    };
    let provider = Provider::start(vec![Answer::Stream(text("through the strait"))]);
    let more = "[models]\nlisted = \"mock/listed\"\n";
    let server = Strait::with("openai-compatible", &provider.url(), "io_uring", more);
    let home = scratch("cli-codex");
    let own = "model = \"mine\"\n";
    std::fs::write(home.join("config.toml"), own).unwrap();
    let config = home.join("strait.toml");
    let text = format!(
        "listen = [\"{}\"]\n[providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\n{more}",
        server.address,
        provider.url()
    );
    std::fs::write(&config, text).unwrap();
    let arguments = [
        "--",
        "exec",
        "--skip-git-repo-check",
        "-s",
        "danger-full-access",
        "--json",
        "hi",
    ];
    let mut command = strait();
    command
        .args(["codex", "--config"])
        .arg(&config)
        .args(arguments);
    let tmp = scratch("cli-tmp");
    command
        .env("CODEX_BIN", codex)
        .env("CODEX_HOME", &home)
        .env("HOME", &home)
        .env("TMPDIR", tmp);
    let (code, text) = said(&mut command);
    assert!(code == 0 && text.contains("through the strait"), "{text}");
    let file = std::fs::read_to_string(home.join("config.toml")).unwrap();
    assert!(file.starts_with(own) && !file.contains("strait"), "{file}");
    let (_, block) = said(strait().args(["codex", "--config"]).arg(&config));
    for line in [
        "[model_providers.strait]",
        "wire_api = \"responses\"",
        "model_catalog_url = ",
    ] {
        assert!(block.contains(line), "{block}");
    }
}
