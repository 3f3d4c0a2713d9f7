//! Proof by clients that nobody here wrote: OpenAI's SDKs for Python and JavaScript and the
//! Agents SDK run their own suites (`tests/sdk/`) against Strait.

use crate::judge::python;
use crate::provider::Provider;
use crate::sdk_script::{CLIENT_KEY, DEEP, PLAIN, Script};
use crate::skip;
use crate::strait::Strait;
use std::any::Any;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sdk")
}

/// Gives an SDK's program its key, and nothing else of this machine's environment that it reads.
pub fn asking<'a>(command: &'a mut Command, key: &str) -> &'a mut Command {
    let proxies = ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    for name in proxies.iter().chain(&["OPENAI_BASE_URL"]) {
        command.env_remove(name);
    }
    command
        .env("OPENAI_API_KEY", key)
        .env("OPENAI_AGENTS_DISABLE_TRACING", "1")
        .stdin(Stdio::null())
}

/// Runs `command` with Strait's base URL as its last argument. Every scenario has to be `ok`, and
/// the provider must have liked every request. `left` is how many streams the suite leaves early.
fn run(command: &mut Command, scenarios_min: usize, left: usize) {
    run_through(command, scenarios_min, left, |strait| {
        (strait.address, Box::new(strait))
    });
}

/// Where the SDK's program is pointed at, and what has to live meanwhile.
pub type Front = (SocketAddr, Box<dyn Any>);

/// The same; `front` may put another Strait before the one that speaks to the provider.
fn run_through(
    command: &mut Command,
    scenarios_min: usize,
    left: usize,
    front: impl FnOnce(Strait) -> Front,
) {
    let script = Script::default();
    let teller = script.clone();
    let provider = Provider::answering(move |seen| teller.answer(seen));
    let more = format!(
        "[providers.deep]\nprofile = \"deepseek\"\nbase_url = \"{}\"\napi_key = \"sk-test-provider-key\"\n\
         [models]\nchat = \"mock/{PLAIN}\"\ndeep = \"deep/{DEEP}\"\n\
         [[keys]]\nname = \"sdk\"\nkey = \"{CLIENT_KEY}\"\n",
        provider.url()
    );
    let strait = Strait::with("openai-compatible", &provider.url(), "io_uring", &more);
    let (address, _alive) = front(strait);
    command.arg(format!("http://{address}/v1"));
    scenarios(command, CLIENT_KEY, scenarios_min, || script.faults());
    for _ in 0..left {
        let closed = provider.gone.recv_timeout(Duration::from_secs(5));
        closed.expect("a stream that its reader left is closed upstream");
    }
}

/// Runs a suite that needs no script, at `address` with `key`: every scenario has to be `ok`.
pub fn run_suite(suite: &str, address: SocketAddr, key: &str, scenarios_min: usize) {
    let Some(python) = python() else {
        return skip("no Python with venv and pip, so no SDK for Python");
    };
    let mut command = Command::new(python);
    command.arg(here().join(suite));
    command.arg(format!("http://{address}/v1"));
    scenarios(&mut command, key, scenarios_min, Vec::new);
}

/// Runs a suite whose command line is whole; `faults` is what the provider then says of it.
fn scenarios(
    command: &mut Command,
    key: &str,
    scenarios_min: usize,
    faults: impl FnOnce() -> Vec<String>,
) {
    let output = asking(command, key).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let faults = faults().join("\n");
    let good = stdout.lines().filter(|l| l.starts_with("ok ")).count();
    assert!(
        output.status.success() && faults.is_empty() && good >= scenarios_min,
        "{good} scenarios are ok, at least {scenarios_min} have to be\n{stdout}\n{stderr}\n{faults}"
    );
}

fn run_python(suite: &str, scenarios_min: usize, left: usize) {
    let Some(python) = python() else {
        return skip("no Python with venv and pip, so no SDK for Python");
    };
    let mut command = Command::new(python);
    run(command.arg(here().join(suite)), scenarios_min, left);
}

/// What is said in the chat API is translated there and back: the Strait in front speaks
/// Responses to the other.
fn there_and_back(strait: Strait) -> Front {
    let more = format!(
        "[models]\nchat = \"far/chat\"\ndeep = \"far/deep\"\n\
         [[keys]]\nname = \"sdk\"\nkey = \"{CLIENT_KEY}\"\n\
         [providers.far]\nprofile = \"openai\"\nbase_url = \"http://{}/v1\"\napi_key = \"{CLIENT_KEY}\"\n",
        strait.address
    );
    let url = format!("http://{}/v1", strait.address);
    let front = Strait::with("openai-compatible", &url, "io_uring", &more);
    (front.address, Box::new((front, strait)))
}

/// The scenarios of the chat API, through `front`, but for those named in `skip`.
pub fn run_chat(scenarios_min: usize, skip_these: &str, front: impl FnOnce(Strait) -> Front) {
    let Some(python) = python() else {
        return skip("no Python with venv and pip, so no SDK for Python");
    };
    let mut command = Command::new(python);
    command
        .arg(here().join("suite.py"))
        .env("SUITE_ONLY", "chat")
        .env("SUITE_SKIP", skip_these);
    run_through(&mut command, scenarios_min, 0, front);
}

#[test]
fn the_chat_api_translated_there_and_back() {
    run_chat(11, "", there_and_back);
}

#[test]
fn openai_for_python() {
    run_python("suite.py", 93, 2);
}

#[test]
fn the_agents_sdk() {
    run_python("agents_suite.py", 58, 0);
}

#[test]
fn openai_for_javascript() {
    if !installed() {
        return skip("no Node, or npm could not install the SDK for JavaScript");
    }
    let mut command = Command::new("node");
    run(command.arg(here().join("suite.mjs")), 63, 1);
}

/// Whether the SDK for JavaScript is there in the version that `package.json` pins.
fn installed() -> bool {
    let dir = here();
    let good = || {
        let read = |file: &str| std::fs::read_to_string(dir.join(file)).ok();
        let wanted: serde_json::Value = serde_json::from_str(&read("package.json")?).ok()?;
        for (name, version) in wanted["dependencies"].as_object()? {
            let own = read(&format!("node_modules/{name}/package.json"))?;
            let own: serde_json::Value = serde_json::from_str(&own).ok()?;
            (own["version"] == *version).then_some(())?;
        }
        let node = Command::new("node").arg("--version").output().ok()?;
        node.status.success().then_some(())
    };
    if good().is_none() {
        let npm = Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--silent"])
            .current_dir(&dir)
            .status();
        if !npm.is_ok_and(|s| s.success()) {
            return false;
        }
    }
    good().is_some()
}
