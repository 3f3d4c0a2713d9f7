//! `strait codex`: Codex's configuration, printed, or used to run Codex.

use crate::config::{Listen, Snapshot};
use std::net::Ipv4Addr;
use std::process::{Command, ExitCode};

/// What Codex needs to know of the Strait at `base`, as dotted keys and TOML values; `open`:
/// it asks for no key; `websocket`: it speaks that, too.
pub fn settings(
    base: &str,
    model: &str,
    open: bool,
    websocket: bool,
) -> Vec<(&'static str, String)> {
    let quoted = |text: &str| format!("{text:?}");
    let mut settings = vec![
        ("model", quoted(model)),
        ("model_provider", quoted("strait")),
        // Any name but "OpenAI", which switches on what only OpenAI serves.
        ("model_providers.strait.name", quoted("Strait")),
        ("model_providers.strait.base_url", quoted(base)),
        ("model_providers.strait.wire_api", quoted("responses")),
        (
            "model_providers.strait.model_catalog_url",
            quoted(&format!("{base}/models")),
        ),
    ];
    if websocket {
        settings.push(("model_providers.strait.supports_websockets", "true".into()));
    }
    if open {
        // Codex fetches the catalog only with a key of some kind; an open Strait ignores it.
        settings.push((
            "model_providers.strait.experimental_bearer_token",
            quoted("open"),
        ));
    } else {
        settings.push(("model_providers.strait.env_key", quoted("STRAIT_KEY")));
    }
    settings
}

/// Prints the block, or runs Codex with it when there are arguments.
pub fn run(snapshot: &Snapshot, model: Option<String>, arguments: &[String]) -> ExitCode {
    let first = || snapshot.catalog().into_iter().next().map(|e| e.slug);
    let Some(model) = model.or_else(first) else {
        eprintln!("strait codex: no model is configured. Mend: give one with --model.");
        return ExitCode::from(super::USAGE);
    };
    let tcp = snapshot.listen.iter().find_map(|listen| match listen {
        Listen::Tcp(address) => Some(address),
        Listen::Unix { .. } => None,
    });
    let Some(mut address) = tcp.copied() else {
        eprintln!(
            "strait codex: Codex knows no Unix sockets. Mend: listen on 127.0.0.1:8787, too."
        );
        return ExitCode::from(super::USAGE);
    };
    if address.ip().is_unspecified() {
        // Codex runs on this machine.
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let base = format!("{}://{address}/v1", snapshot.scheme());
    let settings = settings(&base, &model, snapshot.keys.is_empty(), snapshot.websocket);
    if arguments.is_empty() {
        print(&settings);
        return ExitCode::SUCCESS;
    }
    let program = std::env::var_os("CODEX_BIN").unwrap_or_else(|| "codex".into());
    let mut command = Command::new(&program);
    for (key, value) in &settings {
        command.arg("-c").arg(format!("{key}={value}"));
    }
    match command.args(arguments).status() {
        Ok(status) => status
            .code()
            .map_or(ExitCode::FAILURE, |c| ExitCode::from(c as u8)),
        Err(e) => {
            let name = program.to_string_lossy();
            eprintln!(
                "strait codex: {name} cannot be run: {e}. Mend: npm install -g @openai/codex, or set CODEX_BIN."
            );
            ExitCode::FAILURE
        }
    }
}

fn print(settings: &[(&'static str, String)]) {
    say!("# For ~/.codex/config.toml");
    let prefix = "model_providers.strait.";
    for (key, value) in settings.iter().filter(|(k, _)| !k.starts_with(prefix)) {
        say!("{key} = {value}");
    }
    say!("\n[model_providers.strait]");
    for (key, value) in settings {
        if let Some(key) = key.strip_prefix(prefix) {
            say!("{key} = {value}");
        }
    }
}
