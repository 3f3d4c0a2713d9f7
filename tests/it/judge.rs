//! Every stream and object that the tests produce goes before the judges.

use crate::client::Answer;
use crate::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A Python with the packages that `tests/requirements.txt` pins, in a venv made once under Cargo's directory.
pub fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("venv");
        let python = venv.join("bin/python");
        let good = |p: &Path| {
            Command::new(p)
                .args(["-c", "import openai, agents"])
                .status()
                .is_ok_and(|s| s.success())
        };
        if good(&python) {
            return Some(python);
        }
        let made = Command::new("python3")
            .args(["-m", "venv"])
            .arg(&venv)
            .status();
        made.ok().filter(|s| s.success())?;
        let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/requirements.txt");
        let pip = Command::new(&python)
            .args(["-m", "pip", "install", "-q", "-r"])
            .arg(requirements)
            .status();
        pip.ok().filter(|s| s.success())?;
        good(&python).then_some(python)
    };
    PYTHON.get_or_init(make).as_deref()
}

/// Judges answers (streams or objects) in one go; fails on any violation.
pub fn judge(answers: &[(&str, &Answer)]) {
    let bodies: Vec<_> = answers
        .iter()
        .map(|(n, a)| (*n, a.body.as_slice()))
        .collect();
    judge_bodies(&bodies);
}

/// Judges bodies, streams or objects, in one go.
pub fn judge_bodies(bodies: &[(&str, &[u8])]) {
    let said = verdict(bodies);
    assert!(said.is_empty(), "{said}");
}

/// What the judges find wrong with bodies, streams or objects; nothing where all is well.
pub fn verdict(bodies: &[(&str, &[u8])]) -> String {
    let Some(python) = python() else {
        skip("no Python with venv and pip, so no judge");
        return String::new();
    };
    let mut said = String::new();
    let dir = crate::strait::scratch("judge");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let strict = root.join("../shared/judge/validate_events.py");
    for stream in [true, false] {
        let of_kind = bodies
            .iter()
            .filter(|(_, b)| b.starts_with(b"event: ") == stream);
        let mut files = Vec::new();
        for (name, body) in of_kind {
            let file = dir.join(format!("{name}.{}", if stream { "sse" } else { "json" }));
            std::fs::write(&file, body).unwrap();
            files.push(file);
        }
        if files.is_empty() {
            continue;
        }
        let mut command = Command::new(python);
        command.arg(root.join("tests/judge_many.py"));
        if !stream {
            command.arg("--object");
        }
        said += &run(command.args(&files));
        if strict.exists() {
            let mut command = Command::new(python);
            command.arg(&strict);
            match stream {
                true => command.args([
                    "--open-responses",
                    "--items",
                    "sequential",
                    "--tool-deltas",
                    "require",
                ]),
                false => command.arg("--response"),
            };
            // C03: arguments that a model malformed are passed on. S06: codes that the published
            // list lacks, but the API and Codex use.
            command.args([
                "--heartbeat",
                "in_progress",
                "--usage",
                "optional",
                "--any-error-code",
            ]);
            said += &run(command.args(["--ignore", "S06,C03"]).args(&files));
        }
    }
    said
}

/// Judges streams of chat chunks.
pub fn judge_chat(streams: &[(&str, &[u8])]) {
    let Some(python) = python() else {
        return skip("no Python with venv and pip, so no judge");
    };
    let dir = crate::strait::scratch("judge");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let write = |(name, body): &(&str, &[u8])| {
        let file = dir.join(format!("{name}.sse"));
        std::fs::write(&file, body).unwrap();
        file
    };
    let files: Vec<PathBuf> = streams.iter().map(write).collect();
    let mut command = Command::new(python);
    command.arg(root.join("tests/judge_many.py")).arg("--chat");
    let mut said = run(command.args(&files));
    let strict = root.join("../shared/judge/validate_events.py");
    if strict.exists() {
        let mut command = Command::new(python);
        command.arg(&strict).args(["--chat", "--usage", "optional"]);
        said += &run(command.args(&files));
    }
    assert!(said.is_empty(), "{said}");
}

/// What a judge says, if it finds anything.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    if output.status.success() {
        return String::new();
    }
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
