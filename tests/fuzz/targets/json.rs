//! `json::Tape` against serde_json: the same documents are accepted (but for the depth limit,
//! which is ours), every value reads the same, and what the writers make of a document parses
//! back to the same value.

use strait_fuzz::fuzz_target;
use serde_json::Value as Json;
use strait::json::scan::DEPTH_MAX;
use strait::json::{Kind, Str, Tape, Value, write};

fuzz_target!(|data: &[u8]| {
    let mut tape = Tape::new();
    let root = match tape.parse(data) {
        Ok(root) => root,
        Err(e) => {
            assert!(e.at <= data.len());
            let deep = e.what.contains("deeply") && deepest(data) > DEPTH_MAX;
            assert!(deep || !strait_fuzz::is_json(data), "{e}");
            return;
        }
    };
    assert!(
        strait_fuzz::is_json(data),
        "accepted what serde_json refuses"
    );
    assert_eq!(root.raw(), data.trim_ascii());

    let mut again = b"\"".to_vec();
    write::escape_again(&mut again, root.raw());
    again.push(b'"');
    let text: String = serde_json::from_slice(&again).expect("escaped JSON is a string");
    assert_eq!(text.as_bytes(), root.raw());

    let mut compact = Vec::new();
    emit(root, &mut compact);
    assert!(strait_fuzz::is_json(&compact));
    // serde_json's own tree refuses numbers beyond f64, unpaired surrogates and 128 levels.
    if let Ok(theirs) = serde_json::from_slice::<Json>(data) {
        same(root, &theirs);
        let back: Json = serde_json::from_slice(&compact).expect("what was emitted is JSON");
        assert_eq!(back, theirs);
    }
});

/// The depth of brackets outside of strings.
fn deepest(data: &[u8]) -> usize {
    let (mut depth, mut most, mut in_string, mut escaped) = (0usize, 0, false, false);
    for byte in data {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        most = most.max(depth);
    }
    most
}

/// Writes `value` without white space, with the writers that the translators use.
fn emit(value: Value<'_>, out: &mut Vec<u8>) {
    match value.kind() {
        Kind::Object => {
            out.push(b'{');
            for (n, (key, member)) in value.entries().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                string(key, out);
                out.push(b':');
                emit(member, out);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (n, item) in value.items().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                emit(item, out);
            }
            out.push(b']');
        }
        Kind::String => string(value.as_str().expect("a string"), out),
        _ => out.extend_from_slice(value.raw()),
    }
}

/// Splices a string, and checks that the unescaped way of writing it says the same.
fn string(text: Str<'_>, out: &mut Vec<u8>) {
    let from = out.len();
    out.push(b'"');
    text.splice(out);
    out.push(b'"');
    let spliced: String = serde_json::from_slice(&out[from..]).expect("a spliced string");
    assert_eq!(spliced, text.text());
    let mut written = Vec::new();
    write::string(&mut written, &text.text());
    assert_eq!(
        serde_json::from_slice::<String>(&written).ok(),
        Some(spliced)
    );
}

fn same(ours: Value<'_>, theirs: &Json) {
    match theirs {
        Json::Null => assert!(ours.is_null()),
        Json::Bool(b) => assert_eq!(ours.as_bool(), Some(*b)),
        Json::Number(n) => {
            assert!(ours.as_f64().is_some());
            if let Some(n) = n.as_u64() {
                assert_eq!(ours.as_u64(), Some(n));
            }
        }
        Json::String(s) => {
            let text = ours.as_str().expect("a string");
            assert_eq!(text.text(), s.as_str());
            assert!(text == *s.as_str());
            assert_eq!(text.is_empty(), s.is_empty());
        }
        Json::Array(items) => {
            assert_eq!(ours.items().count(), items.len());
            ours.items().zip(items).for_each(|(o, t)| same(o, t));
        }
        Json::Object(map) => {
            for (key, _) in ours.entries() {
                assert!(map.contains_key(&*key.text()));
            }
            for (key, value) in map {
                same(ours.get(key).expect("a member"), value);
            }
        }
    }
}
