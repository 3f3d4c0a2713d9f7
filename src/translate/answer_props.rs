//! Random answers, cut anywhere: nothing is lost, invented or reordered, and the way back to a
//! chat stream gives what the provider said.

use super::reverse;
use super::stream::{Plan, Rules, Sink, Translator, UpstreamEnd};
use crate::responses::tool::{Tool, ToolKind, ToolTable};
use crate::sse::Frames;
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// What a provider says in one answer.
#[derive(Clone, Debug)]
struct Said {
    reasoning: Vec<String>,
    text: Vec<String>,
    calls: Vec<(String, Vec<String>)>,
    finish: &'static str,
    usage: Option<(u64, u64, u64)>,
    done: bool,
}

fn pieces() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ -~\\n\\t\"\\\\éß世🦀]{1,12}", 0..6)
}

fn arguments() -> impl Strategy<Value = Vec<String>> {
    (
        prop::collection::btree_map("[a-z]{1,5}", "[ -~\\n\"\\\\é🦀]{0,20}", 0..4),
        prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    )
        .prop_map(|(members, cuts)| {
            let text = json!(members).to_string();
            let chars: Vec<char> = text.chars().collect();
            let mut at: Vec<usize> = cuts.iter().map(|c| c.index(chars.len())).collect();
            at.extend([0, chars.len()]);
            at.sort_unstable();
            at.dedup();
            at.windows(2)
                .map(|w| chars[w[0]..w[1]].iter().collect())
                .collect()
        })
}

fn said() -> impl Strategy<Value = Said> {
    (
        pieces(),
        pieces(),
        prop::collection::vec(("[a-z_]{1,9}", arguments()), 0..4),
        prop::sample::select(vec!["stop", "tool_calls", "length", "content_filter"]),
        prop::option::of((1u64..9999, 1u64..9999, 0u64..99)),
        any::<bool>(),
    )
        .prop_map(|(reasoning, text, calls, finish, usage, done)| Said {
            reasoning,
            text,
            finish: if calls.is_empty() && finish == "tool_calls" {
                "stop"
            } else {
                finish
            },
            calls,
            usage,
            done,
        })
}

impl Said {
    /// As a chat stream.
    fn sse(&self) -> Vec<u8> {
        let mut out = String::new();
        let mut chunk = |delta: Json, finish: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            out.push_str(&format!(
                "data: {}\n\n",
                json!({"id": "c", "choices": [choice]})
            ));
        };
        chunk(json!({"role": "assistant", "content": ""}), None);
        for piece in &self.reasoning {
            chunk(json!({"reasoning_content": piece}), None);
        }
        for piece in &self.text {
            chunk(json!({"content": piece}), None);
        }
        for (i, (name, arguments)) in self.calls.iter().enumerate() {
            let head = json!({"index": i, "id": format!("call_{i}"), "type": "function", "function": {"name": name, "arguments": ""}});
            chunk(json!({"tool_calls": [head]}), None);
            for piece in arguments {
                chunk(
                    json!({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}),
                    None,
                );
            }
        }
        chunk(json!({}), Some(self.finish));
        if let Some((input, output, cached)) = self.usage {
            let usage = json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": cached.min(input)}});
            out.push_str(&format!(
                "data: {}\n\n",
                json!({"choices": [], "usage": usage})
            ));
        }
        if self.done {
            out.push_str("data: [DONE]\n\n");
        }
        out.into_bytes()
    }

    /// White space alone is no message.
    fn text(&self) -> String {
        let text = self.text.concat();
        match text.trim_matches([' ', '\n', '\t']).is_empty() {
            true => String::new(),
            false => text,
        }
    }
}

fn plan(sink: Sink, summary: bool) -> Plan {
    let mut tools = ToolTable::default();
    tools.push(Tool {
        flat: "Zzz".into(),
        namespace: None,
        name: "Zzz".into(),
        kind: ToolKind::Custom,
    });
    Plan {
        sink,
        response_id: "resp_1".into(),
        created_at: 1,
        echo: b"\"model\":\"m\"".to_vec(),
        tools,
        reasoning_summary: summary,
        seal: None,
        seed: [3; 32],
        rules: Rules::default(),
        web_search: false,
        refusal_as_text: false,
        hold_end: false,
    }
}

/// Feeds `bytes` cut at `cuts`.
fn translate(plan: Plan, bytes: &[u8], cuts: &[prop::sample::Index]) -> Vec<u8> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    let (mut translator, mut out) = (Translator::new(plan), Vec::new());
    for pair in at.windows(2) {
        translator.feed(&bytes[pair[0]..pair[1]], &mut out).unwrap();
    }
    translator.finish(UpstreamEnd::Clean, &mut out).unwrap();
    out
}

fn frames(out: &[u8]) -> Vec<Json> {
    let mut seen = Vec::new();
    let mut on = |f: crate::sse::Frame<'_>| -> Result<(), ()> {
        if f.data != b"[DONE]" {
            seen.push(serde_json::from_slice(f.data).expect("frames are JSON"));
        }
        Ok(())
    };
    let mut frames = Frames::new();
    frames.feed(out, &mut on).unwrap();
    frames.finish(&mut on).unwrap();
    seen
}

fn joined(events: &[Json], kind: &str) -> String {
    let of_kind = events.iter().filter(|e| e["type"] == kind);
    of_kind.map(|e| e["delta"].as_str().unwrap()).collect()
}

/// A chat stream put together again: reasoning, text, calls, finish, usage.
type Gathered = (
    String,
    String,
    Vec<(String, String)>,
    String,
    Option<(u64, u64)>,
);

fn gathered(out: &[u8]) -> Gathered {
    let (mut reasoning, mut text, mut finish) = (String::new(), String::new(), String::new());
    let mut calls: Vec<(String, String)> = Vec::new();
    let mut usage = None;
    for chunk in frames(out) {
        if let Some(input) = chunk["usage"]["prompt_tokens"].as_u64() {
            usage = Some((input, chunk["usage"]["completion_tokens"].as_u64().unwrap()));
        }
        let choice = &chunk["choices"][0];
        let delta = &choice["delta"];
        reasoning.push_str(delta["reasoning_content"].as_str().unwrap_or(""));
        text.push_str(delta["content"].as_str().unwrap_or(""));
        finish.push_str(choice["finish_reason"].as_str().unwrap_or(""));
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = call["index"].as_u64().unwrap() as usize;
            if at == calls.len() {
                calls.push((
                    call["function"]["name"].as_str().unwrap().to_owned(),
                    String::new(),
                ));
            }
            calls[at]
                .1
                .push_str(call["function"]["arguments"].as_str().unwrap_or(""));
        }
    }
    (reasoning, text, calls, finish, usage)
}

#[test]
fn long_streams_are_known_by_heart() {
    let words: Vec<String> = (0..200).map(|i| format!("wörd {i}\n")).collect();
    let said = Said {
        reasoning: words.clone(),
        text: words.clone(),
        calls: vec![
            ("f".into(), vec!["{\"a\":\"".into()]),
            ("Zzz".into(), vec!["{\"input\":\"".into()]),
        ],
        finish: "length",
        usage: None,
        done: true,
    };
    let mut said = said;
    for (_, arguments) in &mut said.calls {
        arguments.extend(words.iter().map(|w| w.replace('\n', "")));
        arguments.push("\"}".into());
    }
    let (mut translator, mut out) = (Translator::new(plan(Sink::Sse, true)), Vec::new());
    translator.feed(&said.sse(), &mut out).unwrap();
    // All but the first ones of each kind, and the last of each call.
    assert!(
        translator.predicted_frames() > 4 * 195,
        "{}",
        translator.predicted_frames()
    );
    let slow = Translator::new(plan(Sink::Sse, true)).without_prediction();
    let mut slow = slow;
    let mut expected = Vec::new();
    slow.feed(&said.sse(), &mut expected).unwrap();
    assert_eq!(slow.predicted_frames(), 0);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        String::from_utf8(expected).unwrap()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn nothing_is_lost_invented_or_reordered(
        said in said(), summary: bool, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
    ) {
        let bytes = said.sse();
        let out = translate(plan(Sink::Sse, summary), &bytes, &cuts);
        // Segmentation does not matter.
        prop_assert_eq!(&out, &translate(plan(Sink::Sse, summary), &bytes, &[]));
        let events = frames(&out);
        for (n, event) in events.iter().enumerate() {
            prop_assert_eq!(event["sequence_number"].as_u64(), Some(n as u64));
        }
        let thoughts = if summary { "response.reasoning_summary_text.delta" } else { "response.reasoning_text.delta" };
        prop_assert_eq!(joined(&events, thoughts), said.reasoning.concat());
        prop_assert_eq!(joined(&events, "response.output_text.delta"), said.text());
        let last = events.last().unwrap();
        let output = last["response"]["output"].as_array().unwrap();
        let kinds: Vec<&str> = output.iter().map(|i| i["type"].as_str().unwrap()).collect();
        let mut expected = Vec::new();
        if !said.reasoning.is_empty() { expected.push("reasoning"); }
        if !said.text().is_empty() { expected.push("message"); }
        expected.extend(said.calls.iter().map(|_| "function_call"));
        prop_assert_eq!(kinds, expected);
        let calls: Vec<(&str, &str)> = output.iter().filter(|i| i["type"] == "function_call")
            .map(|i| (i["name"].as_str().unwrap(), i["arguments"].as_str().unwrap())).collect();
        let spoken: Vec<(&str, String)> = said.calls.iter().map(|(n, a)| (n.as_str(), a.concat())).collect();
        prop_assert_eq!(calls.len(), spoken.len());
        for (ours, theirs) in calls.iter().zip(&spoken) {
            prop_assert_eq!((ours.0, ours.1), (theirs.0, theirs.1.as_str()));
        }
        // The object is the stream's last snapshot.
        let object: Json = serde_json::from_slice(&translate(plan(Sink::Json, summary), &bytes, &cuts)).unwrap();
        prop_assert_eq!(&object["output"], &last["response"]["output"]);
        prop_assert_eq!(&object["usage"], &last["response"]["usage"]);
    }

    #[test]
    fn fast_equals_slow_whatever_is_broken(
        said in said(), summary: bool, freeform in prop::option::of(1usize..9),
        end in prop::sample::select(vec!["\n\n", "\r\n\r\n"]),
        broken in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"\"\\{}:,x \n\x01\xff".to_vec())), 0..3),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let mut said = said;
        if let Some(len) = freeform {
            let input = json!({"input": said.text.concat()}).to_string();
            let chars: Vec<char> = input.chars().collect();
            let pieces = chars.chunks(len).map(|c| c.iter().collect()).collect();
            said.calls.push(("zzz".into(), pieces));
        }
        let mut bytes = String::from_utf8(said.sse()).unwrap().replace("\n\n", end).into_bytes();
        for (at, byte) in broken {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
        at.extend([0, bytes.len()]);
        at.sort_unstable();
        let run = |mut translator: Translator| {
            let mut out = Vec::new();
            let mut result = Ok(());
            for pair in at.windows(2) {
                if let Err(e) = translator.feed(&bytes[pair[0]..pair[1]], &mut out) {
                    result = Err(e.to_string());
                    break;
                }
            }
            if result.is_ok() {
                result = translator.finish(UpstreamEnd::Clean, &mut out).map_err(|e| e.to_string());
            }
            (out, result, translator.usage())
        };
        let fast = run(Translator::new(plan(Sink::Sse, summary)));
        let slow = run(Translator::new(plan(Sink::Sse, summary)).without_prediction());
        prop_assert_eq!(fast, slow);
    }

    #[test]
    fn the_way_back_gives_what_the_provider_said(
        said in said(), summary: bool, cut in any::<prop::sample::Index>(),
    ) {
        let events = translate(plan(Sink::Sse, summary), &said.sse(), &[]);
        let mut back = reverse::stream::Translator::new(reverse::stream::Plan {
            sink: Sink::Sse, id: "chatcmpl-1".into(), created: 1, model: "m".into(), include_usage: true,
            custom_tools: Vec::new(), legacy_functions: false, stop: Vec::new(), seed: [1; 32], seal: None,
        });
        let mut out = Vec::new();
        let (a, b) = events.split_at(cut.index(events.len()));
        back.feed(a, &mut out).unwrap();
        back.feed(b, &mut out).unwrap();
        back.finish(UpstreamEnd::Clean, &mut out).unwrap();
        let (reasoning, text, calls, finish, usage) = gathered(&out);
        prop_assert_eq!(reasoning, said.reasoning.concat());
        prop_assert_eq!(text, said.text());
        let spoken: Vec<(String, String)> = said.calls.iter().map(|(n, a)| (n.clone(), a.concat())).collect();
        prop_assert_eq!(calls, spoken);
        let whole = matches!(said.finish, "stop" | "tool_calls");
        let expected = match (whole, said.calls.is_empty()) {
            (true, true) => "stop",
            (true, false) => "tool_calls",
            _ => said.finish,
        };
        prop_assert_eq!(finish, expected);
        prop_assert_eq!(usage, said.usage.map(|(input, output, _)| (input, output)));
    }
}
