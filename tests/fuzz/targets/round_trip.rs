//! An answer there and back: what a provider says as chat chunks becomes Responses events, and
//! these become chat chunks (or the whole object) again, which say the same: reasoning, text,
//! calls, the reason to finish, usage. Both streams are cut anywhere.

use arbitrary::Arbitrary;
use strait_fuzz::fuzz_target;
use serde_json::{Value as Json, json};
use strait::auth::secret::SealKey;
use strait::translate::reverse;
use strait::translate::stream::{Sink, Translator, UpstreamEnd};
use strait_fuzz::reverse::Answer;

#[derive(Arbitrary, Debug)]
struct Said {
    options: u32,
    reasoning: Vec<Text>,
    text: Vec<Text>,
    calls: Vec<Call>,
    finish: u8,
    usage: Option<(u16, u16, u16, u16)>,
    done: bool,
}

#[derive(Arbitrary, Debug)]
enum Text {
    Common(u8),
    Own(String),
}

#[derive(Arbitrary, Debug)]
struct Call {
    name: u8,
    members: Vec<(u8, Text)>,
    input: Text,
    cuts: Vec<u8>,
}

impl Text {
    fn text(&self) -> String {
        const COMMON: [&str; 16] = [
            "",
            " ",
            "\n",
            "\t\r",
            "hello",
            "<think>",
            "</think>",
            "\"",
            "\\",
            "\\n",
            "\u{0}",
            "\u{7f}\u{2028}",
            "\u{e9}\u{1f980}",
            "data: x\n\n",
            "[DONE]",
            "{\"a\":",
        ];
        match self {
            Text::Common(n) => COMMON[usize::from(n & 15)].into(),
            Text::Own(text) => text.clone(),
        }
    }
}

fn all(pieces: &[Text]) -> String {
    pieces.iter().map(Text::text).collect()
}

impl Call {
    /// The name by which the provider knows the tool.
    fn name(&self) -> &'static str {
        const NAMES: [&str; 8] = ["f", "p", "get_weather", "a-b", "x1", "F", "p", "f"];
        NAMES[usize::from(self.name & 7)]
    }

    /// Whether it is a freeform tool, whose only argument is `input`.
    fn freeform(&self) -> bool {
        self.name() == "p"
    }

    fn arguments(&self) -> Json {
        if self.freeform() {
            return json!({"input": self.input.text()});
        }
        let member = |(key, value): &(u8, Text)| (format!("k{}", key & 7), value.text().into());
        let members = self.members.iter().map(member);
        Json::Object(members.collect())
    }

    /// The arguments in pieces.
    fn pieces(&self) -> Vec<String> {
        let text = self.arguments().to_string();
        let mut rest = text.as_str();
        let mut pieces = Vec::new();
        for cut in &self.cuts {
            let mut at = usize::from(*cut).min(rest.len());
            while !rest.is_char_boundary(at) {
                at -= 1;
            }
            let (piece, tail) = rest.split_at(at);
            pieces.push(piece.to_owned());
            rest = tail;
        }
        pieces.push(rest.to_owned());
        pieces
    }
}

impl Said {
    fn finish(&self) -> &'static str {
        let finish = ["stop", "tool_calls", "length", "content_filter"];
        match finish[usize::from(self.finish & 3)] {
            "tool_calls" if self.calls.is_empty() => "stop",
            finish => finish,
        }
    }

    fn chunks(&self) -> Vec<Json> {
        let mut chunks = Vec::new();
        let mut say = |delta: Json, finish: Option<&str>| {
            let choice = json!({"index": 0, "delta": delta, "finish_reason": finish});
            chunks.push(json!({"id": "c", "choices": [choice]}));
        };
        say(json!({"role": "assistant", "content": ""}), None);
        for piece in &self.reasoning {
            say(json!({"reasoning_content": piece.text()}), None);
        }
        for piece in &self.text {
            say(json!({"content": piece.text()}), None);
        }
        let pieces: Vec<Vec<String>> = self.calls.iter().map(Call::pieces).collect();
        let head = |i: usize, arguments: &str| {
            json!({"index": i, "id": format!("call_{i}"), "type": "function",
                "function": {"name": self.calls[i].name(), "arguments": arguments}})
        };
        let tail = |i: usize, piece: &str| json!({"index": i, "function": {"arguments": piece}});
        match self.finish & 4 {
            0 => {
                for (i, pieces) in pieces.iter().enumerate() {
                    say(json!({"tool_calls": [head(i, "")]}), None);
                    for piece in pieces {
                        say(json!({"tool_calls": [tail(i, piece)]}), None);
                    }
                }
            }
            // Calls whose pieces come in turns.
            _ => {
                let most = pieces.iter().map(Vec::len).max().unwrap_or(0);
                for n in 0..most {
                    let of = |(i, pieces): (usize, &Vec<String>)| {
                        let piece = pieces.get(n)?;
                        Some(if n == 0 {
                            head(i, piece)
                        } else {
                            tail(i, piece)
                        })
                    };
                    let calls: Vec<Json> = pieces.iter().enumerate().filter_map(of).collect();
                    say(json!({"tool_calls": calls}), None);
                }
            }
        }
        say(json!({}), Some(self.finish()));
        if let Some((input, cached, output, reasoning)) = self.usage {
            let (input, output) = (u32::from(input) + 1, u32::from(output) + 1);
            chunks.push(json!({"choices": [], "usage": {
                "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
                "prompt_tokens_details": {"cached_tokens": u32::from(cached).min(input)},
                "completion_tokens_details":
                    {"reasoning_tokens": u32::from(reasoning).min(output)}}}));
        }
        chunks
    }
}

/// The options of the way there that change nothing of what is said: the echo, the form of
/// reasoning, sealing, refusals, lenient streams.
const HARMLESS: u32 = 1 | 2 | 4 | 16 | 256;

fn there(said: &Said) -> Vec<u8> {
    let mut upstream = String::new();
    for chunk in said.chunks() {
        upstream.push_str(&format!("data: {chunk}\n\n"));
    }
    if said.done {
        upstream.push_str("data: [DONE]\n\n");
    }
    let plan = strait_fuzz::chat::plan(Sink::Sse, said.options & HARMLESS);
    let (mut translator, mut out) = (Translator::new(plan), Vec::new());
    for piece in strait_fuzz::pieces(upstream.as_bytes()) {
        translator.feed(piece, &mut out).expect("a plain answer");
    }
    let ended = translator.finish(UpstreamEnd::Clean, &mut out);
    ended.expect("a plain answer");
    out
}

fn plan(said: &Said, sink: Sink) -> reverse::stream::Plan {
    reverse::stream::Plan {
        sink,
        id: "chatcmpl-1".into(),
        created: 1,
        model: "m\"".into(),
        include_usage: said.options & 1 << 12 != 0,
        custom_tools: match said.options & 1 << 13 {
            0 => Vec::new(),
            _ => vec!["p".into()],
        },
        legacy_functions: false,
        stop: match said.options & 1 << 14 {
            0 => Vec::new(),
            // Never said whole, but begun all the time.
            _ => vec!["hello\u{fffd}\u{fffe}".into(), "\"\u{fffd}\u{fffe}".into()],
        },
        seed: [1; 32],
        seal: (said.options & 1 << 15 != 0).then(|| (SealKey::new([7; 32]), "p".into())),
    }
}

fn compare(said: &Said, answer: &Answer, events: &str) {
    assert_eq!(answer.reasoning, all(&said.reasoning), "{events}");
    // White space alone is no message.
    let text = all(&said.text);
    let blank = text.chars().all(|c| matches!(c, ' ' | '\n' | '\r' | '\t'));
    assert_eq!(answer.text, if blank { "" } else { &text }, "{events}");
    assert_eq!(answer.refusal, "");
    assert_eq!(answer.calls.len(), said.calls.len(), "{events}");
    for (n, (call, told)) in said.calls.iter().zip(&answer.calls).enumerate() {
        assert_eq!(told.0, format!("call_{n}"));
        if call.freeform() && said.options & 1 << 13 != 0 {
            assert_eq!(told.1, "custom");
            assert_eq!(told.3, call.input.text(), "{events}");
            continue;
        }
        // A freeform tool of a namespace is known by both names.
        let name = told.2.as_str();
        assert!(name == call.name() || call.freeform(), "{name}");
        assert_eq!(told.1, "function");
        let arguments: Json = serde_json::from_str(&told.3).expect("whole arguments");
        assert_eq!(arguments, call.arguments(), "{events}");
    }
    let finish = match said.finish() {
        "stop" | "tool_calls" if said.calls.is_empty() => "stop",
        "stop" | "tool_calls" => "tool_calls",
        cut => cut,
    };
    assert_eq!(answer.finish.as_deref(), Some(finish), "{events}");
    assert!(!answer.failed);
}

fuzz_target!(|said: Said| {
    let text = all(&said.text);
    if said.options & 1 << 14 != 0 && text.contains("\u{fffd}\u{fffe}") {
        return;
    }
    let out = there(&said);
    strait_fuzz::check_stream(&out);
    let events = String::from_utf8_lossy(&out);
    let run = |sink, pieces: &[&[u8]]| {
        let run = strait_fuzz::reverse::run(plan(&said, sink), pieces, false, false);
        assert_eq!(run.error, None);
        run.out
    };
    let stream = run(Sink::Sse, &strait_fuzz::pieces(&out));
    let told = Answer::of_stream(&stream).expect("plain JSON");
    compare(&said, &told, &events);
    let object = Answer::of_object(&run(Sink::Json, &[&out])).expect("plain JSON");
    compare(&said, &object, &events);
    let Some((input, cached, output, reasoning)) = said.usage else {
        return assert!(told.usage.is_none() && object.usage.is_none());
    };
    assert_eq!(told.usage.is_some(), said.options & 1 << 12 != 0);
    let (input, output) = (u32::from(input) + 1, u32::from(output) + 1);
    for usage in told.usage.iter().chain(&object.usage) {
        assert_eq!(usage["prompt_tokens"], input);
        assert_eq!(usage["completion_tokens"], output);
        let cached = u32::from(cached).min(input);
        assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], cached);
        let reasoning = u32::from(reasoning).min(output);
        assert_eq!(
            usage["completion_tokens_details"]["reasoning_tokens"],
            reasoning
        );
    }
});
