//! What is asked for a summary, and what a summary becomes in the next request.

use super::*;
use crate::error::Error;
use crate::json::Tape;
use crate::translate::request_tests::{body, legal, messages, run};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

fn asked(request: &Json) -> Result<Json, Error> {
    let source = request.to_string();
    let mut tape = Tape::new();
    let out = ask(tape.parse(source.as_bytes()).unwrap())?;
    Ok(serde_json::from_slice(&out).unwrap())
}

fn key() -> SealKey {
    SealKey::new([7; 32])
}

fn sealed(text: &str) -> Json {
    let mut escaped = Vec::new();
    write::escape_into(&mut escaped, text);
    let envelope = seal::seal_summary(&key(), [9; 12], escaped);
    json!({"type":"compaction","id":"cmp_1","encrypted_content":envelope})
}

fn user(text: &str) -> Json {
    json!({"type":"message","role":"user","content":[{"type":"input_text","text":text}]})
}

fn session() -> Vec<Json> {
    vec![
        json!({"type":"message","role":"developer","content":"Be exact."}),
        user("go"),
        json!({"type":"function_call","call_id":"c1","name":"run","arguments":"{}"}),
        json!({"type":"function_call_output","call_id":"c1","output":"fine"}),
        json!({"type":"message","role":"assistant","content":[{"type":"output_text","text":"Half."}]}),
    ]
}

fn request(items: Vec<Json>) -> Json {
    json!({
        "model":"m","stream":false,"input":items,"tool_choice":"required","parallel_tool_calls":false,
        "tools":[{"type":"function","name":"run","parameters":{"type":"object","properties":{}}}],
        "text":{"format":{"type":"json_schema","name":"n","schema":{"type":"object"}}},
        "context_management":[{"type":"compaction","compact_threshold":5000}],
    })
}

#[test]
fn the_request_for_a_summary_begins_as_the_one_before_it() {
    let before = request(session());
    let mut items = session();
    items.push(json!({"type":"compaction_trigger"}));
    let ask = asked(&request(items)).unwrap();
    for profile in [
        Profile::default(),
        Profile::parse("p", "merge_adjacent = true").unwrap(),
    ] {
        let (old, new) = (messages(&profile, &before), messages(&profile, &ask));
        assert!(new.starts_with(&old), "{new}");
        let (old, new) = (body(&profile, &before), body(&profile, &ask));
        assert_eq!(old["tools"], new["tools"]);
        assert_eq!(
            (&new["tool_choice"], &new["stream"]),
            (&json!("none"), &json!(true))
        );
        assert!(new.get("response_format").is_none());
        legal(&profile, &new, "ask");
        let last = new["messages"].as_array().unwrap().last().unwrap();
        assert_eq!(last["role"], "user");
        assert_eq!(last["content"], INSTRUCTION.trim_end());
        // Nothing is told that concerns the answer that was not asked for.
        assert_eq!(run(&profile, &ask).unwrap().diagnostics, []);
    }
}

#[test]
fn who_cannot_be_told_to_call_nothing_is_offered_nothing() {
    let mut items = session();
    items.push(json!({"type":"compaction_trigger"}));
    let ask = asked(&request(items)).unwrap();
    let profile = Profile::parse("p", "tool_choice = ['auto']").unwrap();
    let body = body(&profile, &ask);
    assert!(body.get("tools").is_none() && body.get("tool_choice").is_none());
}

#[test]
fn there_must_be_something_to_compact() {
    for empty in [
        json!({"model":"m"}),
        json!({"model":"m","input":null}),
        json!({"model":"m","input":[]}),
        json!({"model":"m","input":[{"type":"compaction_trigger"}]}),
    ] {
        let error = asked(&empty).unwrap_err();
        assert_eq!(error.api_code(), "missing_required_parameter");
        assert_eq!(error.param.as_deref(), Some("input"));
    }
    let text = asked(&json!({"model":"m","input":"a \"b\""})).unwrap();
    assert_eq!(text["input"][0], user("a \"b\""));
    let odd = asked(&json!({"model":"m","input":{"a":1}})).unwrap();
    assert_eq!(odd["input"], json!({"a":1}));
    let continued = asked(&json!({"model":"m","previous_response_id":"resp_1"})).unwrap();
    assert_eq!(continued["input"].as_array().unwrap().len(), 1);
}

#[test]
fn only_a_trigger_at_the_end_asks() {
    for (input, asks) in [
        (json!([user("x"), {"type":"compaction_trigger"}]), true),
        (json!([{"type":"compaction_trigger"}, user("x")]), false),
        (json!("compaction_trigger"), false),
        (json!([]), false),
        (Json::Null, false),
    ] {
        let source = json!({ "input": input }).to_string();
        let mut tape = Tape::new();
        assert_eq!(is_asked_for(tape.parse(source.as_bytes()).unwrap()), asks);
    }
}

#[test]
fn what_cannot_be_opened_is_a_note_and_never_an_error() {
    let other = seal::seal_summary(&SealKey::new([8; 32]), [1; 12], b"s".to_vec());
    let reasoning = seal::Sealed {
        profile: "p".into(),
        escaped_text: b"s".to_vec(),
        extra: Vec::new(),
    };
    let posing = seal::seal(&key(), [1; 12], &reasoning);
    for item in [
        json!({"type":"compaction","encrypted_content":"gAAAAAB"}),
        json!({"type":"compaction","encrypted_content":other}),
        json!({"type":"compaction","encrypted_content":posing}),
        json!({"type":"compaction_summary","encrypted_content":""}),
        json!({"type":"context_compaction"}),
        json!({"type":"compaction","encrypted_content":7}),
    ] {
        let request = json!({"model":"m","input":[item, user("go on")]});
        let profile = Profile::default();
        let translated = run(&profile, &request).unwrap();
        let codes: Vec<_> = translated
            .diagnostics
            .iter()
            .map(|d| (d.code, &*d.path))
            .collect();
        assert_eq!(codes, [("item.degraded", "input[0]")]);
        let body: Json = serde_json::from_slice(&translated.body).unwrap();
        assert_eq!(body["messages"][0]["role"], "user");
        let note = body["messages"][0]["content"].as_str().unwrap();
        assert_eq!(note.as_bytes(), UNREADABLE);
    }
}

#[test]
fn a_history_that_remembers_its_compaction_counts_from_there() {
    let mut items = session();
    items.push(json!({"type":"compaction_trigger"}));
    items.push(sealed("S"));
    items.push(user("go on"));
    let profile = Profile::default();
    let translated = run(&profile, &json!({"model":"m","input":items})).unwrap();
    let body: Json = serde_json::from_slice(&translated.body).unwrap();
    let said = body["messages"].as_array().unwrap();
    let roles: Vec<_> = said.iter().map(|m| m["role"].as_str().unwrap()).collect();
    assert_eq!(roles, ["system", "user", "user", "user"]);
    assert_eq!(
        (&said[1]["content"], &said[3]["content"]),
        (&json!("go"), &json!("go on"))
    );
    assert_eq!(translated.diagnostics, []);
    // What the client itself puts before a compaction is what it wants to keep.
    let mut items = session();
    items.push(sealed("S"));
    assert_eq!(
        messages(&profile, &json!({"model":"m","input":items}))
            .matches("\"role\"")
            .count(),
        6
    );
}

#[test]
fn the_users_messages_are_kept() {
    let image = json!({"type":"input_image","image_url":"data:image/png;base64,AA=="});
    let items = [
        json!({"role":"user","id":"msg_mine","content":"a\n"}),
        json!({"type":"message","role":"assistant","content":"b"}),
        json!({"type":"reasoning","content":[]}),
        sealed("old"),
        json!({"type":"message","role":"user","content":[image]}),
        json!({"type":"message","role":"user"}),
    ];
    let kept_of = |input: Json| {
        let source = json!({ "input": input }).to_string();
        let mut tape = Tape::new();
        let out = kept(tape.parse(source.as_bytes()).unwrap(), &[5; 32]);
        serde_json::from_slice::<Json>(&[b"[", &out[..], b"]"].concat()).unwrap()
    };
    let kept = kept_of(json!(items));
    let kept = kept.as_array().unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(
        kept[0],
        json!({"id":"msg_mine","type":"message","status":"completed","role":"user","content":[{"type":"input_text","text":"a\n"}]})
    );
    assert_eq!(kept[1]["content"], json!([image]));
    let id = kept[1]["id"].as_str().unwrap();
    assert!(id.starts_with("msg_") && id.len() == 36, "{id}");
    assert_eq!(kept_of(json!("x"))[0]["content"][0]["text"], "x");
    assert_eq!(kept_of(Json::Null), json!([]));
}

#[test]
fn compaction_unasked_is_said_not_to_happen() {
    let managed = json!({"model":"m","input":"x","context_management":[{"type":"compaction","compact_threshold":5000}]});
    let translated = run(&Profile::default(), &managed).unwrap();
    let codes: Vec<_> = translated
        .diagnostics
        .iter()
        .map(|d| (d.code, &*d.path))
        .collect();
    assert_eq!(codes, [("field.dropped", "context_management")]);
}

proptest! {
    #[test]
    fn any_summary_is_told_byte_for_byte(text in any::<String>()) {
        let request = json!({"model":"m","input":[sealed(&text)]});
        let body = body(&Profile::default(), &request);
        let told = body["messages"][0]["content"].as_str().unwrap();
        let before = String::from_utf8(BEFORE_SUMMARY.to_vec()).unwrap().replace("\\n", "\n");
        prop_assert_eq!(told.strip_prefix(&*before), Some(&*text));
        let mut diagnostics = Vec::new();
        let source = sealed(&text).to_string();
        let (mut tape, mut out) = (Tape::new(), Vec::new());
        as_message(&mut out, tape.parse(source.as_bytes()).unwrap(), &key(), "", &mut diagnostics);
        let item: Json = serde_json::from_slice(&out).unwrap();
        prop_assert_eq!(item, user(told));
        prop_assert!(diagnostics.is_empty());
    }
}
