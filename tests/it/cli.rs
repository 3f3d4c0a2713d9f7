//! The commands, as a stranger would run them.

use crate::codex::program;
use crate::provider::{Answer, Provider, text};
use crate::skip;
use crate::strait::{Strait, scratch};
use crate::wire::{Mode, Wire};
use std::process::{Command, Stdio};

fn strait() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strait"));
    command
        .stdin(Stdio::null())
        .env_remove("STRAIT_CONFIG")
        // The login of whoever runs the tests is none of ours.
        .env("CODEX_HOME", scratch("cli-home"))
        .env("XDG_STATE_HOME", scratch("cli-state"))
        .env_remove("STATE_DIRECTORY")
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
fn check_shows_who_is_asked_in_which_order_and_how_often() {
    let file = scratch("cli").join("strait.toml");
    let provider = "profile = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:1\"\n";
    let text = format!(
        "[providers.a]\n{provider}api_keys = [\"0123456789abcdef0\", \"1123456789abcdef0\"]\n[providers.b]\n{provider}\
         [models]\nlist = [\"a/x\", \"b/y\"]\nshared = {{ split = [{{ to = \"a/x\", weight = 3 }}, {{ to = \"b/y\" }}] }}\n\
         [retry]\nattempts = 2\n[breaker]\nfailures = 0\n"
    );
    std::fs::write(&file, text).unwrap();
    let (code, text) = said(strait().args(["check", "--config"]).arg(&file));
    assert_eq!(code, 0, "{text}");
    for part in [
        "key 012… (17 characters)\n           key 112… (17 characters)",
        "a/x → b/y",
        "a/x 75 % | b/y 25 %",
        "retry      2 attempts · backoff 250ms to 5s · deadline 60s",
        "breaker    off",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn the_store_is_shown_and_a_place_that_was_named_is_insisted_on() {
    let key = ("DEEPSEEK_API_KEY", "sk-0123456789abcdef0123");
    let (code, text) = said(strait().arg("check").env(key.0, key.1));
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("store      sqlite:"), "{text}");
    let shown = "/strait/strait.db · 30 days, 1024 MiB";
    assert!(text.contains(shown), "{text}");
    let dir = scratch("cli-store");
    let config = dir.join("strait.toml");
    let with = |command: &str, url: &str| {
        std::fs::write(&config, format!("[store]\nurl = \"{url}\"\n")).unwrap();
        let mut strait = strait();
        strait.args([command, "--config"]).arg(&config);
        said(strait.env(key.0, key.1).env("PG_PASSWORD", "s3cret"))
    };
    let (code, text) = with("check", "postgres://me:${PG_PASSWORD}@127.0.0.1/x");
    assert!(code == 0 && text.contains("store      postgres://127.0.0.1/x"));
    assert!(!text.contains("s3cret"), "{text}");
    // Beneath a file there is no directory.
    let url = format!("sqlite:{}/x/strait.db", config.display());
    let (code, text) = with("serve", &url);
    assert_eq!(code, 1, "{text}");
    assert!(
        text.starts_with(&format!("strait: store {url}: ")),
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
    let wire = Wire::before(server.address, Mode::Straight);
    let text = format!(
        "listen = [\"{}\"]\n[providers.mock]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\n{more}",
        wire.address,
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
    assert_eq!(wire.count("GET /v1/responses "), 1, "by WebSocket");
    assert_eq!(wire.count("POST "), 0);
    let block = || said(strait().args(["codex", "--config"]).arg(&config)).1;
    let websockets = "supports_websockets = true";
    let shown = std::fs::read_to_string(&config).unwrap();
    let printed = block();
    std::fs::write(&config, format!("websocket = false\n{shown}")).unwrap();
    assert!(!block().contains(websockets));
    let block = printed;
    for line in [
        "[model_providers.strait]",
        "wire_api = \"responses\"",
        "model_catalog_url = ",
        websockets,
    ] {
        assert!(block.contains(line), "{block}");
    }
}

#[test]
fn where_io_uring_is_refused_epoll_takes_over_and_says_so() {
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    // Rings count against RLIMIT_MEMLOCK of users without CAP_IPC_LOCK, so root takes a user
    // without any, and whoever runs this needs a directory that such a user can read.
    let dir = std::env::temp_dir().join(format!("strait-refused-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let binary = dir.join("strait");
    std::fs::copy(env!("CARGO_BIN_EXE_strait"), &binary).unwrap();
    let config = dir.join("strait.toml");
    let text = "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[providers.x]\nprofile = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:9/v1\"\n[store]\nurl = \"none\"\n[audit]\nurl = \"none\"\n";
    std::fs::write(&config, text).unwrap();
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let limited = |driver: &[&str]| {
        let mut command = Command::new("prlimit");
        command
            .arg("--memlock=0:0")
            .arg(&binary)
            .arg("serve")
            .args(driver);
        command
            .arg("--config")
            .arg(&config)
            .current_dir("/")
            .stderr(Stdio::piped());
        let root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        if root {
            command.uid(65534).gid(65534);
        }
        command.spawn().unwrap()
    };
    let first_line = |child: &mut std::process::Child| {
        let mut line = String::new();
        BufReader::new(child.stderr.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        line
    };
    let mut child = limited(&[]);
    let banner = first_line(&mut child);
    let address = banner
        .split("http://")
        .nth(1)
        .map(|a| a.split(' ').next().unwrap().to_owned());
    let served = address.map(|address| {
        let mut connection = crate::client::Connection::open(address.parse().unwrap());
        connection.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
        connection.answer().status
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let mut forced = limited(&["--driver", "io_uring"]);
    let refusal = first_line(&mut forced);
    let code = forced.wait().unwrap().code();
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(banner.contains("epoll (io_uring refused: "), "{banner}");
    assert_eq!(served, Some(200));
    assert!(
        refusal.contains("io_uring is refused here") && code == Some(1),
        "{refusal}"
    );
}

#[test]
fn the_readmes_own_profile_is_legal() {
    let readme = include_str!("../../README.md");
    let begin = readme
        .find("[providers.lab]                       # a server")
        .unwrap();
    let end = begin + readme[begin..].find("```").unwrap();
    let text = format!(
        "{}[providers.openrouter]\napi_key = \"k\"\n",
        &readme[begin..end]
    );
    let config = scratch("readme").join("strait.toml");
    std::fs::write(&config, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_strait"))
        .args(["check", "--config"])
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("lab (profile lab-qwen)"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn profiles_are_listed_and_printed() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_strait"))
            .args(arguments)
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    let (code, list) = run(&["profiles"]);
    assert_eq!(code, Some(0));
    for name in [
        "deepseek",
        "zhipu",
        "zai",
        "minimax",
        "xiaomi",
        "kimi",
        "qwen",
        "openrouter",
        "groq",
        "xai",
        "mistral",
        "azure",
        "gemini",
        "anthropic",
        "ollama",
        "vllm",
        "sglang",
        "llama.cpp",
        "lmstudio",
    ] {
        assert!(
            list.lines().any(|l| l.starts_with(&format!("{name} "))),
            "{name}"
        );
    }
    let (code, zai) = run(&["profiles", "zai"]);
    let table: toml::Table = zai.parse().unwrap();
    assert_eq!(code, Some(0));
    assert_eq!(
        table["base_url"].as_str(),
        Some("https://api.z.ai/api/paas/v4")
    );
    assert_eq!(table["tool_choice"][0].as_str(), Some("auto"));
    assert_eq!(run(&["profiles", "nobody"]).0, Some(2));
}
