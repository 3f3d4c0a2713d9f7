//! JSON Schemas on their way to a provider: without what it would refuse (SPEC 1.4, 5.4).

use super::snapshot::compact;
use crate::json::{Kind, Str, Value};
use crate::provider::Profile;

/// The parameters of a function that takes none.
pub(super) const NONE: &[u8] = br#"{"type":"object","properties":{}}"#;

/// Members whose own members are named by the schema's author.
const BY_AUTHOR: [&str; 5] = [
    "$defs",
    "definitions",
    "dependentSchemas",
    "patternProperties",
    "properties",
];

/// Members that hold data, not schemas.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// Appends the schema of a function's parameters. They are an object whatever the client says or
/// leaves out (MCP servers do), and many providers refuse a schema that does not say so.
pub(super) fn parameters(out: &mut Vec<u8>, given: Option<Value<'_>>, profile: &Profile) {
    let given = given.filter(|s| s.kind() == Kind::Object && s.entries().next().is_some());
    let Some(given) = given else {
        return out.extend_from_slice(NONE);
    };
    if given.str("type").is_some_and(|t| t == "object") {
        return write(out, given, profile);
    }
    out.extend_from_slice(b"{\"type\":\"object\"");
    let mut members = Vec::new();
    write(&mut members, given, profile);
    let mut tape = crate::json::Tape::new();
    if let Ok(written) = tape.parse(&members) {
        for (key, value) in written.entries().filter(|(key, _)| *key != "type") {
            out.extend_from_slice(b",\"");
            key.splice(out);
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.raw());
        }
    }
    out.push(b'}');
}

/// Appends a schema without what the provider refuses, and without Codex's own keyword
/// `"encrypted": bool`, which every strict provider does.
pub(super) fn write(out: &mut Vec<u8>, schema: Value<'_>, profile: &Profile) {
    value(out, schema, profile, false);
}

/// `names` says that the members of `schema` are named by the schema's author, as under
/// `properties`, where `encrypted` is a property like any other.
fn value(out: &mut Vec<u8>, schema: Value<'_>, profile: &Profile, names: bool) {
    match schema.kind() {
        Kind::Object => {
            out.push(b'{');
            let mut first = true;
            let rules = Rules::of(schema, profile, names);
            for (key, member) in schema.entries() {
                if rules.refuses(key, member) {
                    continue;
                }
                if !std::mem::take(&mut first) {
                    out.push(b',');
                }
                out.push(b'"');
                key.splice(out);
                out.extend_from_slice(b"\":");
                let is = |known: &[&str]| !names && known.iter().any(|k| key == *k);
                if is(&DATA) {
                    compact(out, member);
                } else if is(&["type"])
                    && member.kind() == Kind::Array
                    && !profile.schema_type_lists
                {
                    one_type(out, member);
                } else {
                    value(out, member, profile, is(&BY_AUTHOR));
                }
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (i, item) in schema.items().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                value(out, item, profile, false);
            }
            out.push(b']');
        }
        _ => compact(out, schema),
    }
}

/// The first type of a list that is not null: the nearest thing for a provider without lists.
fn one_type(out: &mut Vec<u8>, types: Value<'_>) {
    let mut known = types.items().filter_map(|t| t.as_str());
    let first = known.find(|t| *t != "null");
    out.push(b'"');
    first.unwrap_or(Str::plain("string")).splice(out);
    out.push(b'"');
}

/// Which members of one schema must not reach the provider.
struct Rules<'a> {
    profile: &'a Profile,
    names: bool,
    /// A keyword beside which nothing else may stand.
    alone: Option<&'a str>,
    /// Keywords that others rule out.
    apart: Vec<&'a str>,
}

impl<'a> Rules<'a> {
    fn of(schema: Value<'_>, profile: &'a Profile, names: bool) -> Self {
        let has = |key: &&String| schema.get(key).is_some();
        let apart = profile.schema_apart.iter();
        let apart = apart.filter(|(first, _)| has(&first));
        Rules {
            profile,
            names,
            alone: profile.schema_alone.iter().find(has).map(String::as_str),
            apart: apart.map(|(_, second)| second.as_str()).collect(),
        }
    }

    fn refuses(&self, key: Str<'_>, member: Value<'_>) -> bool {
        if self.names {
            return false;
        }
        // `"type": null` says nothing, and is refused by most.
        (key == "encrypted" && member.kind() == Kind::Bool)
            || (key == "type" && member.is_null())
            || self.profile.schema_drop.iter().any(|k| key == **k)
            || self.alone.is_some_and(|k| key != *k)
            || self.apart.iter().any(|k| key == **k)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn through(profile: &str, schema: Json) -> Json {
        let profile = Profile::parse("p", profile).unwrap();
        let source = schema.to_string();
        let mut tape = crate::json::Tape::new();
        let mut out = Vec::new();
        write(&mut out, tape.parse(source.as_bytes()).unwrap(), &profile);
        serde_json::from_slice(&out).unwrap()
    }

    #[test]
    fn what_a_provider_refuses_does_not_reach_it() {
        let schema = json!({"type":"object","$schema":"x","additionalProperties":false,
            "properties":{"additionalProperties":{"type":["null","integer"]},
            "a":{"type":null,"description":"d","encrypted":true},
            "b":{"$ref":"#/$defs/B","description":"d"},
            "c":{"anyOf":[{"type":"string"}],"type":"string"}},
            "default":{"$schema":1}});
        assert_eq!(
            through("", schema.clone())["properties"]["a"],
            json!({"description":"d"})
        );
        let strict = through(
            "schema_drop = ['$schema','additionalProperties']\nschema_type_lists = false",
            schema.clone(),
        );
        assert_eq!(strict.get("$schema"), None);
        assert_eq!(strict.get("additionalProperties"), None);
        assert_eq!(
            strict["properties"]["additionalProperties"]["type"],
            "integer"
        );
        assert_eq!(strict["default"], json!({"$schema":1}));
        let lone = through(
            "schema_alone = ['$ref']\nschema_apart = [['anyOf','type']]",
            schema,
        );
        assert_eq!(lone["properties"]["b"], json!({"$ref":"#/$defs/B"}));
        assert_eq!(
            lone["properties"]["c"],
            json!({"anyOf":[{"type":"string"}]})
        );
        assert_eq!(lone["type"], "object");
    }
}
