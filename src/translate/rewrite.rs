//! A request that is passed through: only what the provider would refuse is taken out.

use super::diagnostic::Diagnostic;
use super::seal;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::Profile;

/// The body for a provider that speaks the client's dialect: byte for byte the client's, but for
/// the model's name, and for what the profile says that the provider refuses.
pub fn rewrite(
    request: Value<'_>,
    body: &[u8],
    model: &str,
    profile: &Profile,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<u8> {
    let ours = memchr::memmem::find(body, seal::PREFIX.as_bytes()).is_some();
    let plain = profile.drop_fields.is_empty() && profile.tool_types.is_empty();
    if plain && !ours {
        return rename(request, body, model);
    }
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
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'"');
        key.splice(&mut out);
        out.extend_from_slice(b"\":");
        match value.kind() {
            Kind::String if key == "model" => write::string(&mut out, model),
            Kind::Array if key == "tools" => tools(&mut out, value, profile, diagnostics),
            Kind::Array if key == "input" && ours => input(&mut out, value, diagnostics),
            _ => out.extend_from_slice(value.raw()),
        }
    }
    out.push(b'}');
    out
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

/// Reasoning that was sealed for another provider means nothing here, and is refused.
fn input(out: &mut Vec<u8>, input: Value<'_>, diagnostics: &mut Vec<Diagnostic>) {
    let foreign = |item: &Value<'_>| {
        item.str("encrypted_content")
            .is_some_and(|e| e.text().starts_with(seal::PREFIX))
    };
    for (i, _) in input.items().enumerate().filter(|(_, item)| foreign(item)) {
        diagnostics.push(Diagnostic {
            code: "item.dropped",
            path: format!("input[{i}]"),
            message: "The reasoning was sealed for another provider.".into(),
        });
    }
    list(out, input.items().filter(|item| !foreign(item)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn through(profile: &str, body: &str) -> (String, usize) {
        let profile = Profile::parse("p", profile).unwrap();
        let mut tape = Tape::new();
        let request = tape.parse(body.as_bytes()).unwrap();
        let mut diagnostics = Vec::new();
        let out = rewrite(request, body.as_bytes(), "m", &profile, &mut diagnostics);
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
}
