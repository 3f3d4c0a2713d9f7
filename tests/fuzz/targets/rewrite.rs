//! `translate::rewrite` on arbitrary JSON, for every dialect that is passed through: JSON comes
//! out, the same as went in but for the model's name, for what the dialect refuses, which is told
//! once each, and for what it wants; where nothing is, every other byte is the client's.

use strait_fuzz::fuzz_target;
use serde_json::{Value as Json, json};
use strait::auth::secret::SealKey;
use strait::json::{Tape, Value};
use strait::provider::Profile;
use strait::provider::profile::Wire;
use strait::translate::rewrite::{rename, rewrite};
use strait::translate::seal::{PREFIX, SUMMARY_PREFIX};
use strait_fuzz::dialect;

const MODEL: &str = "m/\u{e9}\"";

/// Every `model` that is a string is the provider's, whichever of several a parser takes.
fn renamed(out: &[u8]) {
    let mut tape = Tape::new();
    let root = tape.parse(out).expect("JSON out of JSON");
    let models = root.entries().filter(|(key, _)| *key == "model");
    for name in models.filter_map(|(_, value)| value.as_str()) {
        assert_eq!(name.text(), MODEL);
    }
}

/// The request without what `profile` refuses, and how much that is.
fn expected(mut request: Json, body: &[u8], profile: &Profile) -> (Json, usize) {
    let mut removed = 0;
    let Some(members) = request.as_object_mut() else {
        return (request, 0);
    };
    members.retain(|key, _| {
        let refused = profile.drop_fields.contains(key);
        removed += usize::from(refused);
        !refused
    });
    if let Some(Json::String(model)) = members.get_mut("model") {
        *model = MODEL.to_owned();
    }
    if let Some(Json::Array(tools)) = members.get_mut("tools") {
        let known = |t: &Json| {
            let kind = t["type"].as_str().unwrap_or_default();
            profile.tool_types.is_empty() || profile.tool_types.iter().any(|k| k == kind)
        };
        let before = tools.len();
        tools.retain(known);
        removed += before - tools.len();
    }
    if let Some(Json::Array(input)) = members.get_mut("input").filter(|_| ours(body)) {
        let sealed = |item: &Json| {
            let blob = item["encrypted_content"].as_str();
            blob.is_some_and(|b| b.starts_with(PREFIX))
        };
        let before = input.len();
        input.retain(|item| !sealed(item));
        removed += before - input.len();
        compacted(input, profile);
    }
    if let Some(input) = members.get_mut("input") {
        if let Some(text) = input.as_str().filter(|_| profile.input_list) {
            let part = json!({"type": "input_text", "text": text});
            *input = json!([{"type": "message", "role": "user", "content": [part]}]);
        }
        for item in input.as_array_mut().into_iter().flatten() {
            if !profile.system_role && item.get("role").is_some_and(|role| role == "system") {
                item["role"] = "developer".into();
            }
        }
    }
    for (name, value) in &profile.default_body {
        let member = members.entry(name.clone()).or_insert(Json::Null);
        if member.is_null() {
            *member = serde_json::to_value(value).unwrap();
        }
    }
    if profile.stream_only {
        members.insert("stream".to_owned(), true.into());
    }
    (request, removed)
}

/// Whether the body may hold something that was sealed here, or has to do with a compaction.
fn ours(body: &[u8]) -> bool {
    let holds = |what: &str| body.windows(what.len()).any(|w| w == what.as_bytes());
    holds(PREFIX) || holds("compaction")
}

/// Triggers that were answered go; what the provider cannot read is told in words, of which no
/// summary of ours can be among them here.
fn compacted(input: &mut Vec<Json>, profile: &Profile) {
    let kinds = ["compaction", "compaction_summary", "context_compaction"];
    let mut left = input.len();
    input.retain(|item| {
        left -= 1;
        item["type"] != "compaction_trigger" || left == 0
    });
    for item in input {
        let kind = item["type"].as_str().unwrap_or_default();
        let blob = item["encrypted_content"].as_str().unwrap_or_default();
        let unread = blob.starts_with(SUMMARY_PREFIX) || !profile.compacts();
        if kinds.contains(&kind) && unread {
            let text = "[The conversation up to here was compacted by another service, in a form \
                that cannot be read here. What was said and done is not known, except for the \
                messages above: look at the files, or ask, before doing anything anew.]";
            let part = json!({"type": "input_text", "text": text});
            *item = json!({"type": "message", "role": "user", "content": [part]});
        }
    }
}

/// Whether the dialect wants something that the client may not have said.
fn wants(profile: &Profile) -> bool {
    let members = profile.stream_only || !profile.default_body.is_empty();
    members || profile.input_list || !profile.system_role
}

fn check(root: Value<'_>, body: &[u8], profile: &Profile) {
    let mut diagnostics = Vec::new();
    let key = SealKey::new([7; 32]);
    let out = rewrite(root, body, MODEL, profile, &key, false, &mut diagnostics);
    assert!(
        strait_fuzz::is_json(&out),
        "{}",
        String::from_utf8_lossy(&out)
    );
    renamed(&out);
    let refuses = !profile.drop_fields.is_empty() || !profile.tool_types.is_empty();
    if !refuses && !wants(profile) && !ours(body) {
        assert_eq!(out, rename(root, body, MODEL));
        assert!(diagnostics.is_empty());
    }
    let (Ok(before), Ok(after)) = (serde_json::from_slice(body), serde_json::from_slice(&out))
    else {
        return;
    };
    let (expected, removed) = expected(before, body, profile);
    let after: Json = after;
    assert_eq!(after, expected);
    assert!(diagnostics.len() >= removed, "{diagnostics:?}");
    let named = root.entries().any(|(key, _)| key == "model");
    if diagnostics.is_empty() && !named && !wants(profile) && !ours(body) {
        // Nothing goes away but white space between members.
        let solid = |text: &[u8]| text.iter().filter(|b| !b.is_ascii_whitespace()).count();
        assert_eq!(solid(&out), solid(body));
    }
}

fuzz_target!(|data: &[u8]| {
    let mut tape = Tape::new();
    let Ok(root) = tape.parse(data) else {
        return;
    };
    // What is not an object was refused before.
    if !root.raw().starts_with(b"{") {
        return;
    }
    for dialect in dialect::of(Wire::Responses) {
        check(root, data, &dialect.profile);
    }
    let out = rename(root, data, MODEL);
    renamed(&out);
    let mut again = Tape::new();
    let again = again.parse(&out).expect("JSON out of JSON");
    assert_eq!(rename(again, &out, MODEL), out, "renamed twice");
    if root.entries().all(|(key, _)| key != "model") {
        assert_eq!(out, data);
    }
});
