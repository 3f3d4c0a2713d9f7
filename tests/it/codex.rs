//! The real Codex CLI, pinned in `tests/codex/package.json`, run in a world of its own.

use crate::skip;
use crate::strait::{Strait, scratch};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The installed program; `None` where Node is missing.
pub fn program() -> Option<&'static Path> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let install = || {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codex");
        let program = dir.join("node_modules/.bin/codex");
        let wanted = std::fs::read_to_string(dir.join("package.json")).ok()?;
        let version = || Command::new(&program).arg("--version").output().ok();
        let good = || {
            let said = version().map(|o| String::from_utf8_lossy(&o.stdout).into_owned());
            said.is_some_and(|v| {
                v.split_whitespace()
                    .last()
                    .is_some_and(|v| wanted.contains(v))
            })
        };
        if !good() {
            let npm = Command::new("npm")
                .args(["ci", "--no-audit", "--no-fund", "--silent"])
                .current_dir(&dir)
                .status();
            npm.ok().filter(|s| s.success())?;
        }
        good().then_some(program)
    };
    PROGRAM.get_or_init(install).as_deref()
}

/// Switches off what would reach out to the network.
pub const QUIET: &str = "[analytics]\nenabled = false\n[features]\nplugins = false\napps = false\n";

/// Codex with its own home and a scratch checkout.
pub struct Codex {
    pub project: PathBuf,
    home: PathBuf,
    program: &'static Path,
}

/// What a run of Codex showed its user.
#[derive(Debug)]
pub struct Run {
    pub events: Vec<Value>,
    pub code: i32,
    pub stderr: String,
}

impl Run {
    /// The completed items of a type.
    pub fn items(&self, kind: &str) -> Vec<&Value> {
        let done = self.events.iter().filter(|e| e["type"] == "item.completed");
        done.map(|e| &e["item"])
            .filter(|i| i["type"] == kind)
            .collect()
    }

    pub fn text(&self) -> String {
        let last = self
            .items("agent_message")
            .pop()
            .unwrap_or_else(|| panic!("no message: {self:#?}"));
        last["text"].as_str().unwrap().to_owned()
    }

    pub fn errors(&self) -> Vec<&str> {
        let errors = self.events.iter().filter(|e| e["type"] == "error");
        errors.filter_map(|e| e["message"].as_str()).collect()
    }
}

impl Codex {
    /// A Codex that is pointed at `strait`; `more` is appended to its configuration.
    pub fn new(strait: &Strait, model: &str, more: &str) -> Option<Codex> {
        Self::with_provider(strait, model, "", more)
    }

    /// The same, by WebSocket.
    pub fn over_websocket(strait: &Strait, model: &str) -> Option<Codex> {
        Self::with_provider(strait, model, "supports_websockets = true\n", "")
    }

    fn with_provider(strait: &Strait, model: &str, keys: &str, more: &str) -> Option<Codex> {
        let base = format!("{}/v1", strait.url());
        let config = format!(
            "model = \"{model}\"\nmodel_provider = \"strait\"\n[model_providers.strait]\nname = \"Strait\"\nbase_url = \"{base}\"\nwire_api = \"responses\"\nenv_key = \"STRAIT_KEY\"\nmodel_catalog_url = \"{base}/models\"\n{keys}{QUIET}{more}"
        );
        Self::configured(&config)
    }

    /// A Codex with exactly this configuration.
    pub fn configured(config: &str) -> Option<Codex> {
        let Some(program) = program() else {
            skip("no Node, or npm could not install Codex");
            return None;
        };
        let dir = scratch("codex");
        let (home, project) = (dir.join("home"), dir.join("project"));
        for d in [&home, &project, &dir.join("tmp")] {
            std::fs::create_dir_all(d).unwrap();
        }
        std::fs::write(home.join("config.toml"), config).unwrap();
        let git = Command::new("git")
            .args(["init", "-q"])
            .current_dir(&project)
            .status();
        assert!(git.unwrap().success());
        Some(Codex {
            project,
            home,
            program,
        })
    }

    /// What Codex wrote down of its sessions, line by line.
    pub fn rollouts(&self) -> Vec<Value> {
        fn files(dir: &Path, out: &mut Vec<Value>) {
            for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
                let path = entry.path();
                match std::fs::read_to_string(&path) {
                    Ok(text) => {
                        out.extend(text.lines().filter_map(|l| serde_json::from_str(l).ok()))
                    }
                    Err(_) => files(&path, out),
                }
            }
        }
        let mut lines = Vec::new();
        files(&self.home.join("sessions"), &mut lines);
        lines
    }

    /// Runs `codex exec` with these arguments.
    pub fn exec(&self, arguments: &[&str]) -> Run {
        self.exec_with(arguments, &[("STRAIT_KEY", "open")])
    }

    /// The same with these variables in its environment.
    pub fn exec_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Run {
        let output = Command::new("timeout")
            .args(["90"])
            .arg(self.program)
            .args([
                "exec",
                "--skip-git-repo-check",
                "-s",
                "danger-full-access",
                "--json",
            ])
            .args(arguments)
            .current_dir(&self.project)
            .env("CODEX_HOME", &self.home)
            .env("HOME", &self.home)
            .env("TMPDIR", self.home.parent().unwrap().join("tmp"))
            .env_remove("OPENAI_API_KEY")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        Run {
            events: stdout
                .lines()
                .filter_map(|l| serde_json::from_str(l).ok())
                .collect(),
            code: output.status.code().unwrap_or(-1),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
