//! A request that is passed through: only what the provider would refuse is taken out, and only
//! what it insists on put in.

use super::compaction;
use super::diagnostic::Diagnostic;
use super::seal;
use crate::auth::secret::SealKey;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::Profile;

/// The body for a provider that speaks the client's dialect: byte for byte the client's, but for
/// the model's name, and for what the profile says that the provider refuses or wants. `seal_key`
/// opens what was sealed here, which means nothing to the provider. `whole`: the request is Codex's own,
/// which lacks nothing.
pub fn rewrite(
    request: Value<'_>,
    body: &[u8],
    model: &str,
    profile: &Profile,
    seal_key: &SealKey,
    whole: bool,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<u8> {
    let holds = |what: &str| memchr::memmem::find(body, what.as_bytes()).is_some();
    let ours = holds(seal::PREFIX)
        || holds(seal::SUMMARY_PREFIX)
        || holds("compaction") && compaction::changes(request, profile);
    let refuses = !profile.drop_fields.is_empty() || !profile.tool_types.is_empty();
    let wants = !profile.system_role || profile.input_list || profile.stream_only;
    if !refuses && !wants && !ours && (whole || profile.default_body.is_empty()) {
        return rename(request, body, model);
    }
    let defaults = || profile.default_body.iter().filter(|_| !whole);
    let missing = |name: &str| request.present(name).is_none();
    let mut out = Vec::with_capacity(body.len());
    out.push(b'{');
    for (key, value) in request.entries() {
        if profile.drop_fields.iter().any(|f| key == **f) {
            diagnostics.push(Diagnostic {
                code: "field.dropped",
                path: key.text().into_owned(),
                message: "The provider refuses this field.".into(),
            });
            continue;
        }
        if value.is_null() && defaults().any(|(name, _)| key == **name && missing(name)) {
            continue;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'"');
        key.splice(&mut out);
        out.extend_from_slice(b"\":");
        match value.kind() {
            Kind::String if key == "model" => write::string(&mut out, model),
            Kind::Array if key == "tools" => tools(&mut out, value, profile, diagnostics),
            Kind::Array if key == "input" && (ours || !profile.system_role) => {
                input(&mut out, value, profile, seal_key, diagnostics)
            }
            Kind::String if key == "input" && profile.input_list => said(&mut out, value),
            _ if key == "stream" && profile.stream_only => out.extend_from_slice(b"true"),
            _ => out.extend_from_slice(value.raw()),
        }
    }
    for (name, value) in defaults().filter(|(name, _)| missing(name)) {
        member(&mut out, name);
        // A profile holds nothing that JSON cannot say.
        if serde_json::to_writer(&mut out, value).is_err() {
            out.extend_from_slice(b"null");
        }
    }
    if profile.stream_only && request.get("stream").is_none() {
        member(&mut out, "stream");
        out.extend_from_slice(b"true");
    }
    out.push(b'}');
    out
}

fn member(out: &mut Vec<u8>, name: &str) {
    if out.len() > 1 {
        out.push(b',');
    }
    write::string(out, name);
    out.push(b':');
}

/// An input that is one string is what the user says.
fn said(out: &mut Vec<u8>, text: Value<'_>) {
    let head =
        b"[{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":";
    out.extend_from_slice(head);
    out.extend_from_slice(text.raw());
    out.extend_from_slice(b"}]}]");
}

/// The body under the provider's name for the model, otherwise byte for byte the client's. Where
/// the member is there twice, both are renamed: which of them counts depends on the parser.
pub fn rename(request: Value<'_>, body: &[u8], model: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() + model.len());
    let mut from = 0;
    for (key, value) in request.entries() {
        if key == "model" && value.as_str().is_some_and(|asked| asked != *model) {
            let span = value.span();
            out.extend_from_slice(&body[from..span.start]);
            write::string(&mut out, model);
            from = span.end;
        }
    }
    out.extend_from_slice(&body[from..]);
    out
}

fn list<'a>(out: &mut Vec<u8>, items: impl Iterator<Item = Value<'a>>) {
    out.push(b'[');
    for (i, item) in items.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item.raw());
    }
    out.push(b']');
}

fn tools(
    out: &mut Vec<u8>,
    tools: Value<'_>,
    profile: &Profile,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let known = |tool: &Value<'_>| {
        let kind = tool.str("type").unwrap_or(Str::EMPTY);
        profile.tool_types.is_empty() || profile.tool_types.iter().any(|k| kind == **k)
    };
    for (i, tool) in tools.items().enumerate().filter(|(_, t)| !known(t)) {
        let kind = tool.str("type").unwrap_or(Str::EMPTY).text();
        diagnostics.push(Diagnostic {
            code: "tool.dropped",
            path: format!("tools[{i}]"),
            message: format!("The provider has no tools of type '{kind}'."),
        });
    }
    list(out, tools.items().filter(known));
}

/// Reasoning that was sealed for another provider means nothing here, and is refused; so is the
/// role `system` by some, to whom `developer` says the same. A compaction that the provider cannot
/// read is told in words.
fn input(
    out: &mut Vec<u8>,
    input: Value<'_>,
    profile: &Profile,
    seal_key: &SealKey,
    diagnostics: &mut Vec<Diagnostic>,
) {
    out.push(b'[');
    let begin = out.len();
    let mut items = input.items().enumerate().peekable();
    while let Some((i, item)) = items.next() {
        let path = format!("input[{i}]");
        let envelope = item.str("encrypted_content").map(|e| e.text());
        let sealed = |prefix: &str| envelope.as_ref().is_some_and(|e| e.starts_with(prefix));
        if sealed(seal::PREFIX) {
            diagnostics.push(Diagnostic {
                code: "item.dropped",
                path,
                message: "The reasoning was sealed for another provider.".into(),
            });
            continue;
        }
        // What came of it follows.
        if compaction::is_trigger(item) && items.peek().is_some() {
            continue;
        }
        if out.len() > begin {
            out.push(b',');
        }
        if compaction::is_item(item) && (sealed(seal::SUMMARY_PREFIX) || !profile.compacts()) {
            compaction::as_message(out, item, seal_key, &path, diagnostics);
        } else if profile.system_role {
            out.extend_from_slice(item.raw());
        } else {
            developer(out, item);
        }
    }
    out.push(b']');
}

/// The item, as the developer's where it is the system's.
fn developer(out: &mut Vec<u8>, item: Value<'_>) {
    let whole = item.raw();
    let mut from = item.span().start;
    let begin = from;
    for (key, value) in item.entries() {
        if key == "role" && value.as_str().is_some_and(|role| role == "system") {
            let span = value.span();
            out.extend_from_slice(&whole[from - begin..span.start - begin]);
            out.extend_from_slice(b"\"developer\"");
            from = span.end;
        }
    }
    out.extend_from_slice(&whole[from - begin..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn through(profile: &str, body: &str) -> (String, usize) {
        passed(profile, body, false)
    }

    fn passed(profile: &str, body: &str, whole: bool) -> (String, usize) {
        let profile = Profile::parse("p", profile).unwrap();
        let mut tape = Tape::new();
        let request = tape.parse(body.as_bytes()).unwrap();
        let mut diagnostics = Vec::new();
        let out = rewrite(
            request,
            body.as_bytes(),
            "m",
            &profile,
            &SealKey::new([7; 32]),
            whole,
            &mut diagnostics,
        );
        (String::from_utf8(out).unwrap(), diagnostics.len())
    }

    #[test]
    fn nothing_but_the_name_changes_where_nothing_must() {
        let body = r#" { "model" : "m", "x": [1, {"y" :null}] } "#;
        assert_eq!(through("", body), (body.to_owned(), 0));
        let other = body.replace("\"m\"", "\"a\"");
        assert_eq!(through("", &other), (body.to_owned(), 0));
    }

    #[test]
    fn no_model_but_the_providers_is_named() {
        let body = r#"{"model":"a","input":"x","mod\u0065l":"b","model":7}"#;
        let expected = r#"{"model":"m","input":"x","mod\u0065l":"m","model":7}"#;
        assert_eq!(through("", body), (expected.to_owned(), 0));
    }

    #[test]
    fn what_is_refused_is_taken_out_and_said() {
        let body = r#"{"model":"a","store":true,"tools":[{"type":"function"},{"type":"web_search"}],"input":[{"type":"reasoning","encrypted_content":"gwr1.AA"},{"role":"user","content":"gwr1."}]}"#;
        let expected = r#"{"model":"m","tools":[{"type":"function"}],"input":[{"role":"user","content":"gwr1."}]}"#;
        let profile = "drop_fields = ['store']\ntool_types = ['function']";
        assert_eq!(through(profile, body), (expected.to_owned(), 3));
    }

    #[test]
    fn a_compaction_is_told_in_words_to_whoever_cannot_read_it() {
        let key = SealKey::new([7; 32]);
        let ours = seal::seal_summary(&key, [1; 12], b"tab\\there \\ud83d\\ude00".to_vec());
        let body = format!(
            r#"{{"model":"m","input":[{{"type":"compaction_trigger"}},{{"type":"compaction","encrypted_content":"{ours}"}},{{"type":"compaction","encrypted_content":"gAAA"}},{{"type":"compaction_trigger"}}]}}"#
        );
        for (profile, theirs, said) in [
            ("wire = 'responses'\nendpoints = ['compact']", true, 0),
            ("", false, 1),
        ] {
            let (out, diagnostics) = through(profile, &body);
            let out: serde_json::Value = serde_json::from_str(&out).unwrap();
            let input = out["input"].as_array().unwrap();
            assert_eq!((input.len(), diagnostics), (3, said));
            let text = input[0]["content"][0]["text"].as_str().unwrap();
            assert!(
                text.ends_with("go on from there.]\n\ntab\there \u{1f600}"),
                "{text}"
            );
            assert_eq!(input[1]["encrypted_content"] == "gAAA", theirs);
            assert_eq!(input[2]["type"], "compaction_trigger");
        }
        let theirs =
            r#"{"model":"m", "input" : [ {"type":"compaction"} , {"type":"compaction_trigger"} ]}"#;
        let (out, _) = through("wire = 'responses'\ncompaction_trigger = true", theirs);
        assert_eq!(out, theirs);
    }

    const STRICT: &str = "stream_only = true\ninput_list = true\nsystem_role = false\n[default_body]\nstore = false\ninstructions = 'Be \"kind\".'";

    #[test]
    fn what_the_provider_insists_on_is_put_in() {
        for (body, expected) in [
            (
                r#"{"model":"a","input":"a\u0041"}"#,
                r#"{"model":"m","input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"a\u0041"}]}],"instructions":"Be \"kind\".","store":false,"stream":true}"#,
            ),
            (
                r#"{"stream":false,"store":true,"instructions":null,"model":"m","input":[]}"#,
                r#"{"stream":true,"store":true,"model":"m","input":[],"instructions":"Be \"kind\"."}"#,
            ),
            (
                r#"{"model":"m","instructions":"mine","store":false,"stream":true,"input":[{"role": "system" ,"content":"s"},{"role":"user"},7]}"#,
                r#"{"model":"m","instructions":"mine","store":false,"stream":true,"input":[{"role": "developer" ,"content":"s"},{"role":"user"},7]}"#,
            ),
            (
                "{}",
                r#"{"instructions":"Be \"kind\".","store":false,"stream":true}"#,
            ),
        ] {
            assert_eq!(through(STRICT, body), (expected.to_owned(), 0));
        }
    }

    #[test]
    fn a_request_that_lacks_nothing_gets_nothing() {
        let body = r#"{"model":"m","stream":true,"input":[{"type":"message","role":"developer"}]}"#;
        assert_eq!(passed(STRICT, body, true), (body.to_owned(), 0));
    }
}
