//! The comparison, with a gateway that garbles: a provider of its own that spoils every answer.

use std::path::PathBuf;
use std::process::Command;

const RECIPE: &str = r#"
name = "spoiler"
about = "spoils every answer"
origin = "this test"
version = "1.0"
api = "chat"
tried = "always"
program = ["PROGRAM"]
start = ["{program}", "provider", "--listen", "127.0.0.1:{port}", "--deltas", "30", "--corrupt-rate", "RATE"]
[ready]
path = "/health"
"#;

/// Compares with a spoiler of the given rate and returns what is written.
fn compare(name: &str, rate: &str) -> String {
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    let recipes = dir.join("recipes");
    std::fs::create_dir_all(&recipes).unwrap();
    let program = env!("CARGO_BIN_EXE_loadtest");
    let recipe = RECIPE.replace("PROGRAM", program).replace("RATE", rate);
    std::fs::write(recipes.join("spoiler.toml"), recipe).unwrap();
    let status = Command::new(program)
        .args([
            "compare", "-g", "spoiler", "-S", "json", "-r", "1", "-s", "0.2",
        ])
        .args(["--recipes".as_ref(), recipes.as_os_str()])
        .args(["--cache".as_ref(), dir.join("cache").as_os_str()])
        .args(["--out".as_ref(), dir.join("out").as_os_str()])
        .status()
        .unwrap();
    assert!(status.success());
    std::fs::read_to_string(dir.join("out/README.md")).unwrap()
}

#[test]
fn a_gateway_that_garbles_is_marked_and_not_measured() {
    let text = compare("garbles", "1.0");
    assert!(text.contains("**garbled**"), "{text}");
    assert!(text.contains("Not measured: spoiler"), "{text}");
}

#[test]
fn a_gateway_that_keeps_its_text_is_measured_and_its_other_faults_are_marked() {
    // Its script is its own: thirty deltas are what the first probe expects, and no other does.
    let text = compare("keeps", "0.0");
    assert!(
        text.contains("| **spoiler** | forwards | **no**: reasoning"),
        "{text}"
    );
    assert!(text.contains("## json"), "{text}");
    assert!(text.contains("wrong"), "{text}");
}
