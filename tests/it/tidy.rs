//! The house rules that a machine can check.

use std::path::{Path, PathBuf};

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
}

/// What each module may not name: arrows go one way.
const BELOW: &[(&str, &[&str])] = &[
    (
        "http",
        &[
            "json",
            "sse",
            "responses",
            "chat",
            "translate",
            "provider",
            "route",
            "config",
            "server",
            "cli",
        ],
    ),
    (
        "json",
        &[
            "http",
            "sse",
            "error",
            "responses",
            "chat",
            "translate",
            "provider",
            "route",
            "config",
            "server",
            "cli",
        ],
    ),
    (
        "responses",
        &[
            "chat",
            "translate",
            "provider",
            "route",
            "config",
            "server",
            "cli",
        ],
    ),
    (
        "chat",
        &[
            "responses",
            "translate",
            "provider",
            "route",
            "config",
            "server",
            "cli",
        ],
    ),
    (
        "provider",
        &[
            "responses",
            "chat",
            "translate",
            "route",
            "config",
            "server",
            "cli",
        ],
    ),
    (
        "ledger",
        &[
            "http",
            "sse",
            "responses",
            "chat",
            "translate",
            "provider",
            "route",
            "config",
            "server",
            "cli",
        ],
    ),
    ("translate", &["route", "config", "server", "cli"]),
    ("config", &["translate", "route", "server", "cli"]),
    ("route", &["admin", "server", "cli"]),
    ("admin", &["server", "cli"]),
    ("server", &["cli"]),
];

#[test]
fn the_house_is_tidy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut wrong = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(&root).unwrap().display().to_string();
        if text.lines().count() > 800 {
            wrong.push(format!("{name} is longer than 800 lines"));
        }
        let module = name.split(['/', '.']).next().unwrap();
        for (_, above) in BELOW.iter().filter(|(m, _)| *m == module) {
            for other in *above {
                if text.contains(&format!("crate::{other}::"))
                    || text.contains(&format!("use crate::{other};"))
                {
                    wrong.push(format!("{name} names {other}, which is above it"));
                }
            }
        }
        let shell = ["server", "cli", "main"].contains(&module);
        let test = name.contains("tests");
        for banned in [
            "async fn",
            "Instant::now",
            "SystemTime::now",
            "monoio::",
            "std::net::Tcp",
        ] {
            if !shell && !test && text.contains(banned) {
                wrong.push(format!("{name} uses {banned} outside the shell"));
            }
        }
        let product = text.split("#[cfg(test)]").next().unwrap();
        for provider in ["deepseek", "zhipu", "minimax", "xiaomi", "moonshot", "qwen"] {
            let known = name.starts_with("provider/") || name.starts_with("cli/") || test;
            if !known && product.contains(&format!("\"{provider}\"")) {
                wrong.push(format!("{name} names the provider {provider}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
