//! What stands under `deploy/`, held against the binary: its commands and flags, its configuration,
//! its health check. `deploy/check` shows the rest, where Docker, systemd, helm and promtool are.

use crate::client::{Connection, respond};
use crate::strait::{Strait, scratch};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn strait(arguments: &[&str]) -> Output {
    let here = scratch("deploy");
    Command::new(env!("CARGO_BIN_EXE_strait"))
        .args(arguments)
        .stdin(Stdio::null())
        .env_clear()
        .env("HOME", &here)
        .env("STRAIT_LISTEN", "0.0.0.0:8787")
        .env("STRAIT_MASTER_KEY", "sk-strait-deploy-test")
        .env("DEEPSEEK_API_KEY", "sk-deepseek-deploy-test")
        .current_dir(&here)
        .output()
        .unwrap()
}

fn files(dir: &Path, out: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("deploy/out") {
            files(&path, out);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            out.push((path, text));
        }
    }
}

/// Every text under `deploy/`.
fn deploy() -> Vec<(PathBuf, String)> {
    let mut out = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy"),
        &mut out,
    );
    out
}

fn text(name: &str) -> String {
    let mut all = deploy().into_iter();
    let found = all.find(|(path, _)| path.ends_with(Path::new("deploy").join(name)));
    found.unwrap_or_else(|| panic!("deploy/{name}")).1
}

/// The command lines of Strait in a file: of a unit, of a Dockerfile, of a container or a probe.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some((_, rest)) = line
            .split_once("bin/strait ")
            .filter(|_| line.starts_with("Exec"))
        {
            found.push(rest.split(' ').map(str::to_owned).collect());
        }
        let list = ["CMD ", "args: ", "command: ", "HEALTHCHECK "]
            .iter()
            .find_map(|k| line.strip_prefix(k))
            .and_then(|rest| serde_json::from_str(&rest[rest.find('[')?..]).ok());
        let words: Vec<String> = list.unwrap_or_default();
        match words.split_first() {
            Some((first, rest)) if first == "/strait" => found.push(rest.to_vec()),
            Some((first, _)) if first == "serve" => found.push(words),
            _ => {}
        }
    }
    found
}

#[test]
fn every_command_and_flag_exists() {
    let mut seen = BTreeSet::new();
    for (path, text) in deploy() {
        for words in commands(&text) {
            let help = strait(&[&words[0], "--help"]);
            let help = String::from_utf8(help.stdout).unwrap();
            assert!(help.contains("Usage: strait"), "{path:?}: {words:?}");
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                assert!(help.contains(flag.as_str()), "{path:?}: {flag}");
            }
            seen.insert(words[0].clone());
        }
    }
    for command in ["serve", "health"] {
        assert!(seen.contains(command), "{command} is in none: {seen:?}");
    }
}

/// The block of a YAML file that begins with `key: |`.
fn block(text: &str, key: &str) -> String {
    let mut lines = text.lines();
    let head = lines.find(|l| l.trim() == format!("{key}: |")).unwrap();
    let indent = head.len() - head.trim_start().len();
    let inside = |l: &&str| l.trim().is_empty() || l.len() - l.trim_start().len() > indent;
    let lines: Vec<&str> = lines.take_while(inside).map(str::trim_start).collect();
    lines.join("\n")
}

#[test]
fn every_configuration_is_good() {
    for (name, toml) in [
        ("image", String::new()),
        (
            "sidecar",
            block(&text("kubernetes/sidecar.yaml"), "strait.toml"),
        ),
        ("chart", block(&text("helm/strait/values.yaml"), "config")),
    ] {
        let file = scratch("deploy").join(format!("{name}.toml"));
        std::fs::write(&file, toml).unwrap();
        let output = strait(&["check", "--config", file.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {said}");
    }
}

#[test]
fn the_profile_allows_io_uring_and_nothing_that_leaves_the_container() {
    let profile: Value = serde_json::from_str(&text("seccomp-io_uring.json")).unwrap();
    assert_eq!(profile["defaultAction"], "SCMP_ACT_ERRNO");
    let rules = profile["syscalls"].as_array().unwrap();
    let names: BTreeSet<&str> = rules
        .iter()
        .flat_map(|rule| rule["names"].as_array().unwrap())
        .map(|name| name.as_str().unwrap())
        .collect();
    for name in [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "execve",
    ] {
        assert!(names.contains(name), "{name}");
    }
    for name in [
        "bpf",
        "clone3",
        "init_module",
        "kexec_load",
        "keyctl",
        "mount",
        "open_by_handle_at",
        "perf_event_open",
        "pivot_root",
        "process_vm_readv",
        "ptrace",
        "reboot",
        "setns",
        "umount2",
        "unshare",
        "userfaultfd",
    ] {
        assert!(!names.contains(name), "{name}");
    }
}

#[test]
fn health_is_an_exit_code() {
    let serving = Strait::start("openai-compatible", "http://127.0.0.1:9/v1", "epoll");
    let url = format!("http://{}", serving.address);
    let ask = |url: &str| {
        let output = strait(&["health", "--url", url]);
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    };
    assert_eq!(ask(&url), (0, String::new()));
    assert_eq!(ask(&format!("{url}/readyz")), (0, String::new()));
    let (code, said) = ask(&format!("{url}/nowhere"));
    assert!(code == 1 && said.contains("404"), "{said}");
    let (code, said) = ask("ftp://127.0.0.1");
    assert!(code == 1 && said.contains("unix:/path"), "{said}");
    drop(serving);
    let (code, said) = ask(&url);
    assert!(code == 1 && said.contains("refused"), "{said}");

    let socket = scratch("health").join("strait.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let answering = std::thread::spawn(move || {
        for status in ["200 OK", "400 Bad Request", "503 Service Unavailable"] {
            let (mut client, _) = listener.accept().unwrap();
            let mut head = [0; 256];
            let count = client.read(&mut head).unwrap();
            assert!(head[..count].starts_with(b"GET /healthz HTTP/1.1\r\n"));
            write!(client, "HTTP/1.1 {status}\r\n\r\n").unwrap();
        }
    });
    let url = format!("unix:{}", socket.display());
    assert_eq!(ask(&url).0, 0);
    assert_eq!(ask(&url).0, 0);
    let (code, said) = ask(&url);
    assert!(code == 1 && said.contains("503"), "{said}");
    answering.join().unwrap();
}

/// The families of metrics that a text names, without what a counter or a histogram adds.
fn families(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let names = text
        .split(|c| !word(c))
        .filter(|w| w.starts_with("strait_"));
    names
        .map(|name| {
            let ends = ["_bucket", "_count", "_sum", "_total"];
            let end = ends.iter().find_map(|end| name.strip_suffix(end));
            end.unwrap_or(name).to_owned()
        })
        .collect()
}

#[test]
fn every_metric_exists() {
    let more = "[metrics]\npublic = true\n[retry]\nattempts = 1\n[models]\n\"m\" = \"mock/m\"\n";
    let strait = Strait::with("openai-compatible", "http://127.0.0.1:9/v1", "epoll", more);
    // A breaker counts from the first failure on.
    assert_eq!(
        respond(strait.address, &json!({"model": "m", "input": "hi"})).status,
        502
    );
    let mut connection = Connection::open(strait.address);
    connection.send("GET /metrics HTTP/1.1\r\nhost: s\r\n\r\n");
    let answer = connection.answer();
    assert_eq!(answer.status, 200);
    let body = String::from_utf8(answer.body).unwrap();
    let types = body.lines().filter_map(|l| l.strip_prefix("# TYPE "));
    let there = families(&types.collect::<Vec<_>>().join("\n"));
    for name in ["grafana/strait.json", "prometheus/strait.rules.yml"] {
        let wanted = families(&text(name));
        assert!(wanted.len() > 3, "{name}: {wanted:?}");
        let missing: Vec<_> = wanted.difference(&there).collect();
        assert!(missing.is_empty(), "{name}: {missing:?} of {there:?}");
    }
}
