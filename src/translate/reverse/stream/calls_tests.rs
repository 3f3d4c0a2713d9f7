//! Calls, however they come.

use super::tests::*;
use super::*;
use serde_json::{Value as Json, json};

#[test]
fn calls_are_told_however_they_come() {
    let begun = json!({"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}});
    let first = json!({"role": "assistant", "content": null, "tool_calls": [begun]});
    let rest = |text: &str| tool(json!({"index": 0, "function": {"arguments": text}}));
    let all = json!({"type": "response.function_call_arguments.done", "output_index": 0, "arguments": "{\"a\":1}"});
    let expected = [first.clone(), rest("{\"a\":1}"), json!("tool_calls")];
    let (late, early) = (done(0, call("{\"a\":1}")), added(0, call("")));
    for events in [
        vec![early.clone(), all.clone(), late.clone(), completed()],
        vec![early.clone(), late.clone(), completed()],
        vec![arguments(0, "{"), all.clone(), late.clone(), completed()],
        vec![early.clone(), all.clone(), completed()],
        vec![json!({"type": "response.completed", "response": {"output": [call("{\"a\":1}")]}})],
        vec![
            early.clone(),
            json!({"type": "response.completed", "response": {"output": [call("{\"a\":1}")]}}),
        ],
    ] {
        assert_eq!(said(plan, &events), expected, "{events:?}");
    }
    let none = [first, rest("{}"), json!("tool_calls")];
    assert_eq!(
        said(plan, &[early.clone(), done(0, call("")), completed()]),
        none
    );
    assert_eq!(said(plan, &[early.clone(), completed()]), none);
    // Arguments that are an object, and a call without an id.
    let odd = json!({"type": "function_call", "name": "f", "arguments": {"a": "\"x\\"}});
    let message = message(plan, &[done(0, odd), completed()]);
    assert_eq!(
        message["tool_calls"][0]["function"]["arguments"],
        "{\"a\":\"\\\"x\\\\\"}"
    );
    assert!(
        message["tool_calls"][0]["id"]
            .as_str()
            .unwrap()
            .starts_with("call_")
    );
}

#[test]
fn a_call_that_is_cut_stays_cut() {
    let mut item = call("{\"a\":");
    item["status"] = json!("incomplete");
    let cut = json!({"type": "response.incomplete", "response": {"incomplete_details": {"reason": "max_output_tokens"}}});
    let events = [
        added(0, call("")),
        arguments(0, "{\"a\":"),
        done(0, item),
        cut.clone(),
    ];
    let message = message(plan, &events);
    assert_eq!(message["tool_calls"][0]["function"]["arguments"], "{\"a\":");
    assert_eq!(message["finish"], "length");
    let events = [added(0, call("")), cut];
    let chunks = said(plan, &events);
    assert_eq!(chunks.len(), 2);
}

#[test]
fn parallel_calls_keep_their_places_and_ids_may_change() {
    let mut second = call("");
    second["call_id"] = json!("c2");
    let mut events = vec![
        delta(0, "x"),
        added(1, call("")),
        added(3, second.clone()),
        arguments(3, "{\"b\""),
        arguments(1, "{}"),
        arguments(3, ":1}"),
        done(1, call("{}")),
        done(3, second),
        completed(),
    ];
    for (n, event) in events.iter_mut().enumerate() {
        event["item_id"] = json!(format!("item_{n}"));
        event["item"]["id"] = json!(format!("item_{n}"));
    }
    let message = message(plan, &events);
    let said: Vec<_> = (0..2)
        .map(|k| &message["tool_calls"][k])
        .map(|c| {
            (
                c["id"].as_str().unwrap(),
                c["function"]["arguments"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(said, [("c1", "{}"), ("c2", "{\"b\":1}")]);
}

#[test]
fn custom_calls_are_what_the_client_declared() {
    let item = |input: &str| json!({"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": input});
    let piece = |d: &str| json!({"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": d});
    let declared = |sink| Plan {
        custom_tools: vec!["patch".into()],
        ..plan(sink)
    };
    let streamed = [
        added(0, item("")),
        piece("a\n"),
        piece("\"é\\"),
        done(0, item("a\n\"é\\")),
        completed(),
    ];
    let at_once = [done(0, item("a\n\"é\\")), completed()];
    for events in [&streamed[..], &at_once] {
        let custom = message(declared, events);
        let expected =
            json!({"id": "c1", "type": "custom", "custom": {"name": "patch", "input": "a\n\"é\\"}});
        assert_eq!(custom["tool_calls"][0], expected);
        let function = message(plan, events);
        let arguments = function["tool_calls"][0]["function"]["arguments"]
            .as_str()
            .unwrap();
        let arguments: Json = serde_json::from_str(arguments).unwrap();
        assert_eq!(arguments, json!({"input": "a\n\"é\\"}));
    }
    for events in [
        vec![done(0, item("")), completed()],
        vec![added(0, item("")), completed()],
    ] {
        let function = message(plan, &events);
        assert_eq!(
            function["tool_calls"][0]["function"]["arguments"],
            "{\"input\":\"\"}"
        );
        assert_eq!(
            message(declared, &events)["tool_calls"][0]["custom"]["input"],
            ""
        );
    }
}

#[test]
fn older_clients_get_one_function_call() {
    let legacy = |sink| Plan {
        legacy_functions: true,
        ..plan(sink)
    };
    let mut second = call("{\"b\":2}");
    second["call_id"] = json!("c2");
    let events = [
        added(0, call("")),
        arguments(0, "{}"),
        done(0, call("{}")),
        done(1, second),
        completed(),
    ];
    let begun = json!({"name": "f", "arguments": ""});
    let expected = [
        json!({"role": "assistant", "content": null, "function_call": begun}),
        json!({"function_call": {"arguments": "{}"}}),
        json!("function_call"),
    ];
    assert_eq!(said(legacy, &events), expected);
}
