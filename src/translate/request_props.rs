//! Properties of the request translator that hold for any input.

use super::request_tests::{body, files, legal, legal_name, messages, replaying, run};
use super::snapshot::{Place, echo};
use crate::json::Tape;
use crate::provider::profile::{MidSystem, Replay};
use crate::provider::{Profile, builtin};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::collections::HashSet;

/// Puts `with` in the place of the `at`th value below `value`, or renames nothing.
fn replace(value: &mut Json, at: &mut usize, with: &Json) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Json::Array(items) => items.iter_mut().for_each(|v| replace(v, at, with)),
        Json::Object(map) => map.values_mut().for_each(|v| replace(v, at, with)),
        _ => {}
    }
}

fn item() -> impl Strategy<Value = Json> {
    let id = prop::sample::select(vec!["c1", "c2", "c3", "c1_2"]);
    let text = prop::sample::select(vec!["", "a", "b\n\"q\"", "é"]);
    (0..13u8, id, text).prop_map(|(kind, id, text)| match kind {
        0 => json!({"role": "user", "content": text}),
        1 => json!({"type": "message", "role": "developer", "content": [{"type": "input_text", "text": text}]}),
        2 | 3 => json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}),
        4 => json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}),
        5 | 6 => json!({"type": "function_call", "call_id": id, "name": "f", "namespace": "n", "arguments": text}),
        7 => json!({"type": "custom_tool_call", "call_id": id, "name": "p", "input": text}),
        8 | 9 => json!({"type": "function_call_output", "call_id": id, "output": text}),
        10 => json!({"type": "custom_tool_call_output", "call_id": id, "output": [
            {"type": "input_text", "text": text}, {"type": "input_image", "image_url": "data:x"}]}),
        11 => json!({"type": "shell_call", "call_id": id, "action": {"commands": [text]}}),
        _ => json!({"type": "something_new", "text": text}),
    })
}

/// A turn as Codex appends it: what the model did, what came of it, and who speaks next.
fn turn() -> impl Strategy<Value = Vec<Json>> {
    let one = (
        any::<bool>(),
        0..4usize,
        any::<bool>(),
        any::<bool>(),
        ".{0,8}",
    );
    one.prop_map(|(reasoning, calls, speaks, user, text)| {
        let mut items = Vec::new();
        if reasoning {
            items.push(json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]}));
        }
        if speaks || calls == 0 {
            items.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "said"}]}));
        }
        for i in 0..calls {
            items.push(json!({"type": "function_call", "call_id": format!("c{i}"), "name": "f", "arguments": "{}"}));
        }
        for i in (0..calls).rev() {
            items.push(json!({"type": "function_call_output", "call_id": format!("c{i}"), "output": text}));
        }
        if user || calls == 0 {
            items.push(json!({"role": "developer", "content": "mind"}));
            items.push(json!({"role": "user", "content": "next"}));
        }
        items
    })
}

/// Every dialect that is built in, each model's own included.
fn dialects() -> Vec<Profile> {
    let own = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for name in builtin::tables().keys() {
        let table = builtin::table(name, &own).unwrap();
        let profile = Profile::from_table(name, table).unwrap();
        all.extend(profile.variants.values().map(|v| Profile::clone(v)));
        all.push(profile);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn every_dialect_gets_a_legal_history_that_grows_only_at_its_end(
        pick in any::<prop::sample::Index>(),
        items in prop::collection::vec(item(), 1..14),
        turns in prop::collection::vec(turn(), 1..4),
    ) {
        static DIALECTS: std::sync::OnceLock<Vec<Profile>> = std::sync::OnceLock::new();
        let all = DIALECTS.get_or_init(dialects);
        let profile = &all[pick.index(all.len())];
        legal(profile, &body(profile, &json!({"model": "m", "input": items})), &profile.name);
        if profile.merge_adjacent {
            // What is joined to the last message is no prefix of it.
            return Ok(());
        }
        let mut input = vec![json!({"role": "system", "content": "s"}), json!({"role": "user", "content": "q"})];
        let mut before = messages(profile, &json!({"model": "m", "input": input}));
        for turn in turns {
            input.extend(turn);
            let now = messages(profile, &json!({"model": "m", "input": input}));
            prop_assert!(now.starts_with(&before), "{}\n{before}\n{now}", profile.name);
            before = now;
        }
    }

    #[test]
    fn any_items_become_a_legal_history(
        items in prop::collection::vec(item(), 1..14),
        images_tool: bool,
        mid in any::<bool>(),
    ) {
        let profile = Profile {
            images_tool,
            mid_system: if mid { MidSystem::Ok } else { MidSystem::User },
            ..replaying(Replay::Required)
        };
        let body = body(&profile, &json!({"model": "m", "input": items}));
        legal(&profile, &body, "random");
    }

    #[test]
    fn histories_grow_only_at_the_end(turns in prop::collection::vec(turn(), 1..6)) {
        let profile = replaying(Replay::Optional);
        let mut input = vec![json!({"role": "system", "content": "s"}), json!({"role": "user", "content": "q"})];
        let mut before = messages(&profile, &json!({"model": "m", "input": input}));
        for turn in turns {
            input.extend(turn);
            let now = messages(&profile, &json!({"model": "m", "input": input}));
            prop_assert!(now.starts_with(&before), "{before}\n{now}");
            before = now;
        }
    }

    #[test]
    fn flat_names_are_injective_and_stable(
        names in prop::collection::vec(("[a._]{1,3}|[ab]{60,70}", prop::option::of("[a_.]{1,3}")), 1..12),
    ) {
        let tools: Vec<Json> = names
            .iter()
            .map(|(name, space)| {
                let tool = json!({"type": "function", "name": name});
                match space {
                    Some(s) => json!({"type": "namespace", "name": s, "description": "", "tools": [tool]}),
                    None => tool,
                }
            })
            .collect();
        let some = tools[..tools.len() / 2].to_vec();
        let all = run(&Profile::default(), &json!({"model": "m", "input": "x", "tools": tools})).unwrap().tools;
        let some = run(&Profile::default(), &json!({"model": "m", "input": "x", "tools": some})).unwrap().tools;
        let flats: HashSet<_> = all.iter().map(|t| t.flat.clone()).collect();
        let clients: HashSet<_> = names.iter().collect();
        prop_assert_eq!(flats.len(), clients.len());
        for tool in all.iter() {
            legal_name(&tool.flat);
        }
        for tool in some.iter() {
            let later = all.by_name(tool.namespace.as_deref(), &tool.name).unwrap();
            prop_assert_eq!(&later.flat, &tool.flat);
        }
    }

    #[test]
    fn nothing_from_outside_panics(
        pick in any::<prop::sample::Index>(),
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..8usize), 1..6),
    ) {
        let vectors = files("vectors_req");
        let mut request = vectors[pick.index(vectors.len())].1["request"].clone();
        let values = [json!(null), json!(true), json!(-1.5), json!("t\u{0}"), json!([]), json!({}),
            json!([{"type": "input_file", "file_data": "AA"}]), json!({"type": "message", "role": "user", "content": [1]})];
        for (at, value) in places {
            let mut at = at.index(40) + 1;
            replace(&mut request, &mut at, &values[value]);
        }
        let src = serde_json::to_vec(&request).unwrap();
        let mut tape = Tape::new();
        let root = tape.parse(&src).unwrap();
        let members = echo(root, "m", &[], false, Place::default());
        let text = format!("{{{}}}", String::from_utf8(members).unwrap());
        prop_assert!(serde_json::from_str::<Json>(&text).is_ok());
        let profile = replaying(Replay::Required);
        match run(&profile, &request) {
            Ok(t) => legal(&profile, &serde_json::from_slice(&t.body).unwrap(), "mutated"),
            Err(error) => prop_assert!(error.status() == 400 && error.param.is_some(), "{error}"),
        }
    }
}
