//! Response objects as JSON that stays escaped: members are read and replaced, the rest is kept
//! byte for byte.

use crate::json::{Kind, Value, write};

/// The object with these members instead of its own, each a name and its JSON; one that it lacks
/// is added. Anything but an object stays as it is.
pub fn with(object: Value<'_>, members: &[(&str, &[u8])]) -> Vec<u8> {
    let raw = object.raw();
    if object.kind() != Kind::Object {
        return raw.to_vec();
    }
    let begin = object.span().start;
    let more: usize = members.iter().map(|(n, v)| n.len() + v.len() + 4).sum();
    let mut out = Vec::with_capacity(raw.len() + more);
    let mut from = 0;
    let mut empty = true;
    for (key, value) in object.entries() {
        empty = false;
        if let Some((_, new)) = members.iter().find(|(name, _)| key == **name) {
            let span = value.span();
            out.extend_from_slice(&raw[from..span.start - begin]);
            out.extend_from_slice(new);
            from = span.end - begin;
        }
    }
    out.extend_from_slice(&raw[from..raw.len() - 1]);
    for (name, value) in members
        .iter()
        .filter(|(name, _)| object.get(name).is_none())
    {
        if !std::mem::take(&mut empty) {
            out.push(b',');
        }
        write::string(&mut out, name);
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    #[test]
    fn what_is_not_named_stays_byte_for_byte() {
        type Members<'a> = &'a [(&'a str, &'a [u8])];
        let cases: [(&str, Members<'_>, &str); 5] = [
            (
                r#"{ "a" : 1 , "store":true,"x":{"store":true} }"#,
                &[("store", b"false")],
                r#"{ "a" : 1 , "store":false,"x":{"store":true} }"#,
            ),
            (
                r#"{"a":1}"#,
                &[("b", b"[2]"), ("a", b"3")],
                r#"{"a":3,"b":[2]}"#,
            ),
            ("{}", &[("b", b"2"), ("c", b"3")], r#"{"b":2,"c":3}"#),
            (
                r#"{"st\u006fre":1,"store":2}"#,
                &[("store", b"3")],
                r#"{"st\u006fre":3,"store":3}"#,
            ),
            ("[1]", &[("b", b"2")], "[1]"),
        ];
        for (object, members, expected) in cases {
            let whole = format!(" {object}");
            let mut tape = Tape::new();
            let out = with(tape.parse(whole.as_bytes()).unwrap(), members);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }
}
