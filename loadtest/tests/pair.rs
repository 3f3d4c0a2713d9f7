//! Gateways at the same time: plain forwarders of bytes, one of which wastes CPU, one drops answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const RECIPE: &str = r#"
name = "NAME"
about = "forwards bytes"
origin = "this test"
version = "1.0"
api = "chat"
tried = "always"
program = ["PROGRAM"]
start = ["{program}", "--ignored", "--exact", "forwarder", "--nocapture"]
[env]
FORWARD = "NAME {port} {upstream_address}"
"#;

static WHOLE_ANSWERS: AtomicUsize = AtomicUsize::new(0);

#[test]
#[ignore = "a gateway: the recipes of the other tests start it"]
fn forwarder() {
    let Ok(settings) = std::env::var("FORWARD") else {
        return;
    };
    let [name, port, upstream] = settings.split(' ').collect::<Vec<_>>()[..] else {
        panic!("{settings}");
    };
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).unwrap();
    for client in listener.incoming() {
        let (client, provider) = (client.unwrap(), TcpStream::connect(upstream).unwrap());
        let (name, asks) = (name.to_owned(), client.try_clone().unwrap());
        let hears = provider.try_clone().unwrap();
        std::thread::spawn(move || forward(asks, hears, |_| true));
        std::thread::spawn(move || forward(provider, client, |read| mistreat(&name, read)));
    }
}

/// Copies until the end, or until `goes_on` has seen enough.
fn forward(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn(&[u8]) -> bool) {
    to.set_nodelay(true).unwrap();
    let mut room = [0; 16 << 10];
    while let Ok(n @ 1..) = from.read(&mut room) {
        if !goes_on(&room[..n]) || to.write_all(&room[..n]).is_err() {
            break;
        }
    }
    // The peer may have gone already.
    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
}

/// False when the connection is to end here.
fn mistreat(name: &str, read: &[u8]) -> bool {
    match name {
        "waster" => {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1) {
                std::hint::spin_loop();
            }
            true
        }
        "dropper" => {
            let head = String::from_utf8_lossy(read);
            let is_whole = head.contains("application/json");
            !is_whole || WHOLE_ANSWERS.fetch_add(1, Ordering::Relaxed) % 3 != 2
        }
        _ => true,
    }
}

/// Measures one round through the gateways; `test` names the directory of its own.
fn pair(test: &str, gateways: &str, scenario: &str, limit: Option<&str>) -> (Output, PathBuf) {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("pair")
        .join(test);
    let recipes = dir.join("recipes");
    std::fs::create_dir_all(&recipes).unwrap();
    let program = std::env::current_exe().unwrap().display().to_string();
    for name in ["plain", "waster", "dropper"] {
        let recipe = RECIPE.replace("NAME", name).replace("PROGRAM", &program);
        std::fs::write(recipes.join(format!("{name}.toml")), recipe).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([
            "pair", "-g", gateways, "-S", scenario, "-r", "1", "-s", "0.3",
        ])
        .args(["--recipes".as_ref(), recipes.as_os_str()])
        .args(["--cache".as_ref(), dir.join("cache").as_os_str()])
        .args(["--out".as_ref(), dir.join("out").as_os_str()])
        .args(limit.map(|l| format!("--limit={l}")))
        .output()
        .unwrap();
    (output, dir.join("out"))
}

fn complaints(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_gateway_that_costs_more_than_the_base_is_above_the_limit() {
    let (output, out) = pair("above", "waster,plain", "json", Some("2"));
    assert!(!output.status.success());
    let said = complaints(&output);
    assert!(
        said.contains("waster, json: ") && said.contains("is above 2"),
        "{said}"
    );
    let results = std::fs::read(out.join("results.json")).unwrap();
    let results: serde_json::Value = serde_json::from_slice(&results).unwrap();
    assert_eq!(results["base"], "plain");
    assert_eq!(results["cells"].as_array().unwrap().len(), 2, "{results}");
    let waster = &results["summary"][0];
    assert_eq!(
        (&waster["name"], &waster["wrong"]),
        (&"waster".into(), &0.into())
    );
    assert!(waster["right"].as_u64().unwrap() > 0, "{waster}");
    // A millisecond each, of which other work may take a part.
    assert!(
        waster["us_per_answer"]["median"].as_f64().unwrap() > 100.0,
        "{waster}"
    );
    assert!(waster["ratio"]["least"].as_f64().unwrap() > 1.0, "{waster}");
    let text = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(text.contains("| json | plain | "), "{text}");
}

#[test]
fn a_gateway_that_costs_less_than_the_base_is_within_the_limit() {
    let (output, _) = pair("below", "plain,waster", "json", Some("1"));
    assert!(output.status.success(), "{}", complaints(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("ratio to waster"), "{said}");
}

#[test]
fn a_gateway_that_drops_answers_fails_the_run_and_is_named() {
    let (output, out) = pair("drops", "dropper,plain", "json", None);
    assert!(!output.status.success());
    let said = complaints(&output);
    assert!(
        said.contains("dropper, json: ") && said.contains("answers wrong"),
        "{said}"
    );
    assert!(!said.contains("plain"), "{said}");
    let text = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(text.contains("- dropper, whole text: "), "{text}");
}

#[test]
fn the_same_gateway_twice_has_two_names_and_memory_is_no_matter_for_pairs() {
    let (output, out) = pair("twice", "plain,plain", "paced", None);
    assert!(output.status.success(), "{}", complaints(&output));
    let text = std::fs::read_to_string(out.join("README.md")).unwrap();
    assert!(text.contains("| paced | plain (2) | "), "{text}");
    let (output, _) = pair("memory", "plain,plain", "memory", None);
    assert!(!output.status.success());
    assert!(
        complaints(&output).contains("memory: "),
        "{}",
        complaints(&output)
    );
}
