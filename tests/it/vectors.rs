//! What the event machine makes of every vector, before the judges: as a stream and as an object.

use crate::judge::judge_bodies;
use serde_json::Value;
use std::path::Path;
use strait::responses::tool::{Tool, ToolKind, ToolTable};
use strait::translate::snapshot;
use strait::translate::stream::{Plan, Rules, Sink, Translator, UpstreamEnd};

fn rules(options: &Value) -> Rules {
    let think = options["think_tags"] == true;
    Rules {
        think_tags: think.then(|| "think".to_owned()).into_iter().collect(),
        think_prefilled: options["think_prefilled"] == true,
        cumulative: options["cumulative"] == true,
        lenient_sse: options["lenient_sse"] == true,
    }
}

fn plan(options: &Value, sink: Sink, summary: bool) -> Plan {
    let mut tools = ToolTable::default();
    for name in options["custom"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap().to_owned();
        tools.push(Tool {
            flat: name.clone(),
            namespace: None,
            name,
            kind: ToolKind::Custom,
        });
    }
    let request = br#"{"model":"m","input":"x","store":false}"#;
    let mut tape = strait::json::Tape::new();
    let echo = snapshot::echo(
        tape.parse(request).unwrap(),
        "m",
        &[],
        false,
        snapshot::Place::default(),
    );
    Plan {
        sink,
        response_id: format!("resp_{}", "0123456789abcdef".repeat(3)),
        created_at: 1_760_000_000,
        echo,
        tools,
        reasoning_summary: summary,
        seal: None,
        seed: [9; 32],
        rules: rules(options),
        web_search: options["web_search"] == true,
        refusal_as_text: false,
        hold_end: false,
    }
}

#[test]
fn the_judges_find_nothing_in_any_vector() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut bodies: Vec<(String, Vec<u8>)> = Vec::new();
    let files = ["vectors", "situations"].map(|f| std::fs::read_dir(tests.join(f)).unwrap());
    for entry in files.into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "json") {
            continue;
        }
        let about: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let name = about["name"].as_str().unwrap();
        let chat = std::fs::read(path.with_file_name(format!("{name}.chat.sse"))).unwrap();
        for (sink, summary) in [(Sink::Sse, false), (Sink::Sse, true), (Sink::Json, false)] {
            let mut translator = Translator::new(plan(&about["options"], sink, summary));
            let mut out = Vec::new();
            let fed = translator.feed(&chat, &mut out);
            let done = fed.and_then(|_| translator.finish(UpstreamEnd::Clean, &mut out));
            // An error before output is an HTTP status; there is no body to judge.
            if done.is_ok() {
                bodies.push((format!("{name}-{sink:?}-{summary}"), out));
            }
        }
    }
    assert!(bodies.len() > 200);
    let bodies: Vec<_> = bodies
        .iter()
        .map(|(n, b)| (n.as_str(), b.as_slice()))
        .collect();
    judge_bodies(&bodies);
}
