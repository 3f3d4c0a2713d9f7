//! Every stream and object that the tests produce goes before the judges.

use crate::client::Answer;
use crate::skip;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A Python with the pinned `openai` package, in a venv made once under Cargo's directory.
fn python() -> Option<&'static Path> {
    static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let venv = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("venv");
        let python = venv.join("bin/python");
        let good = |p: &Path| {
            Command::new(p)
                .args(["-c", "import openai"])
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
    let Some(python) = python() else {
        return skip("no Python with venv and pip, so no judge");
    };
    let dir = crate::strait::scratch("judge");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let strict = root.join("../shared/judge/validate_events.py");
    for (name, answer) in answers {
        let stream = answer.body.starts_with(b"event: ");
        let file = dir.join(format!("{name}.{}", if stream { "sse" } else { "json" }));
        std::fs::write(&file, &answer.body).unwrap();
        let mut command = Command::new(python);
        command.arg(root.join("tests/judge.py"));
        if !stream {
            command.arg("--object");
        }
        run(command.arg(&file), name);
        if strict.exists() {
            let mut command = Command::new(python);
            command.arg(&strict).args([
                "--heartbeat",
                "in_progress",
                "--usage",
                "optional",
                "--any-error-code",
                "--ignore",
                "S06,C03",
            ]);
            if !stream {
                command.arg("--response");
            }
            run(command.arg(&file), name);
        }
    }
}

fn run(command: &mut Command, name: &str) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {said}");
}
