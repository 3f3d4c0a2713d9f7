//! The scan against serde_json, and what it refuses.

use super::*;
use proptest::prelude::*;

#[test]
fn walks_and_splices() {
    let mut tape = Tape::new();
    let src = br#" {"a":[1,{"b":"x\n\u00e9"},null],"c":true,"a2":"\ud83d\ude00","a":7} "#;
    let v = tape.parse(src).unwrap();
    assert_eq!(v.get("a").unwrap().as_u64(), Some(7));
    let first = v.entries().next().unwrap().1;
    let items: Vec<_> = first.items().collect();
    assert_eq!(items.len(), 3);
    assert_eq!(items[1].str("b").unwrap().text(), "x\né");
    assert!(items[2].is_null());
    assert_eq!(v.str("a2").unwrap().text(), "😀");
    assert_eq!(v.entries().count(), 4);
}

#[test]
fn lone_surrogates_become_replacement_characters() {
    let mut tape = Tape::new();
    let v = tape
        .parse(br#""a\ud83dz\ude00\\ud83d\ud83d\ude00""#)
        .unwrap();
    let mut out = Vec::new();
    v.as_str().unwrap().splice(&mut out);
    assert_eq!(out, br"a\ufffdz\ufffd\\ud83d\ud83d\ude00");
}

#[test]
fn refuses_what_is_not_json() {
    for bad in [
        "",
        "{",
        "[1,]",
        "{\"a\"}",
        "01",
        "1.",
        "1e",
        "-",
        "tru",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a",
        "\"\u{1}\"",
        "1 2",
        "{\"a\":1,}",
        "{a:1}",
        "nul",
        "+1",
        "\u{feff}1",
    ] {
        assert!(Tape::new().parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
    assert!(Tape::new().parse(b"\"\xff\"").is_err());
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert!(Tape::new().parse(deep.as_bytes()).is_err());
}

proptest! {
    #[test]
    fn accepts_exactly_what_serde_accepts(src in "[\\[\\]{}:,\"\\\\ntrufalse0-9.eE+ -]{0,24}") {
        let ours = Tape::new().parse(src.as_bytes()).is_ok();
        let theirs = serde_json::from_str::<serde_json::Value>(&src).is_ok()
            ;
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn numbers_are_those_of_serde(src in "-?[0-9]{0,20}[.eE:/]?[+-]?[0-9]{0,10}[ ,:/]?", tail in " {0,9}") {
        let src = src + &tail;
        let ours = Tape::new().parse(src.as_bytes()).is_ok();
        // A number beyond f64 is one nevertheless.
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&src);
        prop_assert_eq!(ours, theirs.is_ok());
    }

    #[test]
    fn long_strings_are_those_of_serde(
        text in "([a-zé]{0,70}(\\\\[\"\\\\/nu]|\\\\u[0-9a-f]{4}|\\\\ud83d\\\\ude00|[\"\n])?){1,4}",
        tail in " {0,70}",
    ) {
        let src = format!("\"{text}\"{tail}");
        let mut tape = Tape::new();
        let ours = tape.parse(src.as_bytes());
        // serde_json refuses surrogates without their partners when it unescapes.
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&src);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{}", src);
        if let (Ok(ours), Ok(theirs)) = (ours, serde_json::from_str::<String>(&src)) {
            prop_assert_eq!(ours.as_str().unwrap().text(), theirs);
        }
    }

    #[test]
    fn strings_unescape_as_serde_does(text in ".{0,40}") {
        let src = serde_json::to_string(&text).unwrap();
        let mut tape = Tape::new();
        let v = tape.parse(src.as_bytes()).unwrap();
        prop_assert_eq!(v.as_str().unwrap().text().into_owned(), text);
    }

    #[test]
    fn a_string_on_its_own_is_what_the_scan_makes_of_it(
        bytes in prop::collection::vec(prop::sample::select(b"ab\"\\u0dD8c123n\x01\xc3\xa9\xe4\xb8\x96 ".to_vec()), 0..40),
    ) {
        let len = crate::json::Content::of(&bytes).map(|c| c.len());
        let end = (0..bytes.len()).filter(|i| bytes[*i] == b'"').find(|i| {
            let document = [b"\"", &bytes[..*i], b"\""].concat();
            Tape::new().parse(&document).is_ok()
        });
        let lone = |end: usize| {
            let document = [b"\"", &bytes[..end], b"\""].concat();
            let mut tape = Tape::new();
            let value = tape.parse(&document).unwrap();
            value.as_str().is_some_and(|s| s.flags & LONE_SURROGATE != 0)
        };
        match (len, end) {
            (Some(len), _) => prop_assert_eq!(Some(len), end),
            (None, Some(end)) => prop_assert!(lone(end)),
            (None, None) => {}
        }
    }
}
