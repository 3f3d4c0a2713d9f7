//! The event machine on plausible chunks: content, reasoning in every field that providers use,
//! tool calls with odd indices, ids and fragments, finish reasons, usage, errors and noise, with
//! the oracles of `chat_stream`. A last byte of the input cuts the stream short.

use arbitrary::Arbitrary;
use strait_fuzz::fuzz_target;
use serde_json::{Map, Value as Json, json};

#[derive(Arbitrary, Debug)]
struct Stream {
    options: u32,
    crlf: bool,
    chunks: Vec<Chunk>,
    done: bool,
    whole: bool,
    cut: Option<u16>,
}

#[derive(Arbitrary, Debug)]
enum Chunk {
    Delta(Delta),
    Calls(Vec<Call>),
    Legacy(u8, Fragment),
    Finish(u8, Option<Usage>),
    Usage(Usage),
    Error(u8),
    Comment,
    Named(u8),
    OtherChoice(Delta),
}

#[derive(Arbitrary, Debug)]
struct Delta {
    content: Option<Text>,
    parts: bool,
    reasoning: Option<(u8, Text)>,
    refusal: Option<Text>,
    logprobs: Option<(Text, f32, bool)>,
    message: bool,
    calls: Vec<Call>,
}

#[derive(Arbitrary, Debug)]
struct Call {
    index: u8,
    id: u8,
    name: u8,
    arguments: Fragment,
}

#[derive(Arbitrary, Debug)]
enum Fragment {
    Absent,
    Null,
    Piece(u8),
    Pieces(Vec<u8>),
    Object(Text),
    Text(Text),
}

#[derive(Arbitrary, Debug)]
enum Text {
    Common(u8),
    Own(String),
    Unit(u16),
}

#[derive(Arbitrary, Debug)]
struct Usage {
    input: u32,
    output: u64,
    reasoning: u8,
    total: Option<u64>,
}

/// Replaced in the serialised stream by an escape that serde_json would never write.
const MARK: &str = "\u{e000}";

impl Text {
    fn json(&self, units: &mut Vec<u16>) -> String {
        const COMMON: [&str; 16] = [
            "",
            " ",
            "\n",
            "a",
            "Hello",
            "<think>",
            "</think>",
            "<thi",
            "nk>",
            "\n\n",
            "<",
            "\"",
            "\\",
            "\u{1f600}",
            "\u{0}",
            "</think>\n\nx",
        ];
        match self {
            Text::Common(n) => COMMON[usize::from(n & 15)].into(),
            Text::Own(text) => text.replace(MARK, ""),
            Text::Unit(unit) => {
                units.push(*unit);
                MARK.into()
            }
        }
    }
}

impl Fragment {
    fn json(&self, units: &mut Vec<u16>) -> Option<Json> {
        const PIECES: [&str; 16] = [
            "{",
            "}",
            "{}",
            "{\"x\":1}",
            "\"input\"",
            ":",
            "\"",
            "{\"input\":\"",
            "\\n",
            "\\",
            "\\u00",
            "e9",
            "[",
            "]",
            "{\"command\":[\"ls\"],",
            "\"commands\":[\"a\"]",
        ];
        let piece = |n: &u8| PIECES[usize::from(n & 15)];
        Some(match self {
            Fragment::Absent => return None,
            Fragment::Null => Json::Null,
            Fragment::Piece(n) => piece(n).into(),
            Fragment::Pieces(list) => list.iter().map(piece).collect::<String>().into(),
            Fragment::Object(text) => json!({"input": text.json(units), "n": [1.5, null]}),
            Fragment::Text(text) => text.json(units).into(),
        })
    }
}

fn name(n: u8) -> Option<Json> {
    const OTHERS: [&str; 6] = [
        "",
        "unknown",
        "exec",
        "f\"",
        "\u{e9}",
        "multi_tool_use.parallel",
    ];
    let n = usize::from(n & 15);
    match strait_fuzz::chat::TOOLS.get(n) {
        Some((name, _)) => Some((*name).into()),
        None => OTHERS.get(n - 6).map(|name| (*name).into()),
    }
}

impl Call {
    fn json(&self, units: &mut Vec<u16>) -> Json {
        let mut call = Map::new();
        let index = match self.index & 15 {
            n @ 0..=3 => Some(json!(n)),
            4 => Some(json!(-1)),
            5 => Some(json!(1.0)),
            6 => Some(json!("0")),
            7 => Some(Json::Null),
            8 => Some(json!(u64::MAX)),
            9 => Some(json!(1e300)),
            10 => Some(json!(0)),
            11 => Some(json!(1)),
            _ => None,
        };
        call.extend(index.map(|i| ("index".into(), i)));
        let long = "c".repeat(70);
        let id = match self.id & 15 {
            0 => Some(json!("")),
            1 => Some(Json::Null),
            2 => Some(json!(long)),
            3 => Some(json!("a b\"")),
            n @ 4..=8 => Some(json!(format!("call_{n}"))),
            9 => Some(json!(7)),
            _ => None,
        };
        call.extend(id.map(|i| ("id".into(), i)));
        let mut function = Map::new();
        function.extend(name(self.name).map(|n| ("name".into(), n)));
        function.extend(self.arguments.json(units).map(|a| ("arguments".into(), a)));
        call.insert("function".into(), Json::Object(function));
        Json::Object(call)
    }
}

impl Usage {
    fn json(&self) -> Json {
        json!({
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.total,
            "completion_tokens_details": {"reasoning_tokens": self.reasoning},
        })
    }
}

impl Delta {
    fn json(&self, units: &mut Vec<u16>) -> Json {
        let mut delta = Map::new();
        if let Some((field, text)) = &self.reasoning {
            let text = text.json(units);
            match field & 7 {
                0 | 1 => delta.insert("reasoning_content".into(), text.into()),
                2 => delta.insert("reasoning".into(), text.into()),
                3 => delta.insert("reasoning_text".into(), text.into()),
                4 => delta.insert(
                    "reasoning_details".into(),
                    json!([{"type": "reasoning.text", "text": text}]),
                ),
                5 => delta.insert(
                    "reasoning_details".into(),
                    json!([{"summary": text}, {"data": "x"}]),
                ),
                6 => delta.insert(
                    "content".into(),
                    json!([{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]),
                ),
                _ => delta.insert(
                    "content".into(),
                    json!([{"type": "thinking", "thinking": text}]),
                ),
            };
        }
        if let Some(text) = &self.content {
            let text: Json = text.json(units).into();
            let content = match self.parts {
                true => json!([{"type": "text", "text": text}]),
                false => text,
            };
            delta.insert("content".into(), content);
        }
        if let Some(text) = &self.refusal {
            delta.insert("refusal".into(), text.json(units).into());
        }
        if !self.calls.is_empty() {
            let calls = self.calls.iter().map(|c| c.json(units)).collect();
            delta.insert("tool_calls".into(), Json::Array(calls));
        }
        let mut choice = Map::new();
        let at = if self.message { "message" } else { "delta" };
        choice.insert(at.into(), Json::Object(delta));
        if let Some((token, logprob, bytes)) = &self.logprobs {
            let token = token.json(units);
            let bytes = bytes.then(|| json!([104, 105]));
            let top = json!([{"token": token, "logprob": -0.5}]);
            choice.insert(
                "logprobs".into(),
                json!({"content": [
                {"token": token, "logprob": logprob, "bytes": bytes, "top_logprobs": top}]}),
            );
        }
        Json::Object(choice)
    }
}

impl Chunk {
    fn json(&self, units: &mut Vec<u16>) -> Json {
        let of = |choice: Json| json!({"choices": [choice]});
        match self {
            Chunk::Delta(delta) => of(delta.json(units)),
            Chunk::OtherChoice(delta) => {
                let mut choice = delta.json(units);
                choice["index"] = json!(1);
                of(choice)
            }
            Chunk::Calls(calls) => {
                let calls: Vec<Json> = calls.iter().map(|c| c.json(units)).collect();
                of(json!({"index": 0, "delta": {"tool_calls": calls}}))
            }
            Chunk::Legacy(n, fragment) => {
                let call = json!({"name": name(*n), "arguments": fragment.json(units)});
                of(json!({"delta": {"function_call": call}}))
            }
            Chunk::Finish(n, usage) => {
                const REASONS: [&str; 8] = [
                    "stop",
                    "tool_calls",
                    "length",
                    "content_filter",
                    "network_error",
                    "eos",
                    "",
                    "stop",
                ];
                let reason = REASONS[usize::from(n & 7)];
                let mut chunk = of(json!({"delta": {}, "finish_reason": reason}));
                if let Some(usage) = usage {
                    chunk["usage"] = usage.json();
                }
                chunk
            }
            Chunk::Usage(usage) => json!({"choices": [], "usage": usage.json()}),
            Chunk::Error(n) => match n & 3 {
                0 => json!({"error": {"message": "no", "code": 429}}),
                1 => json!({"base_resp": {"status_code": 1002, "status_msg": "slow"}}),
                2 => json!({"object": "error", "message": "x"}),
                _ => json!([{"error": "x"}]),
            },
            Chunk::Comment | Chunk::Named(_) => json!({"choices": null}),
        }
    }
}

/// Puts the marked code units in, as the escapes that only sloppy servers write.
fn unmark(text: &str, units: &[u16]) -> String {
    let mut units = units.iter();
    let mut pieces = text.split(MARK);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let unit = units.next().copied().unwrap_or(0x41);
        out.push_str(&format!("\\u{unit:04x}{piece}"));
    }
    out
}

fuzz_target!(|stream: Stream| {
    let mut upstream = String::new();
    let end = if stream.crlf { "\r\n" } else { "\n" };
    for chunk in &stream.chunks {
        match chunk {
            Chunk::Comment => upstream.push_str(": ping"),
            Chunk::Named(n) => {
                upstream
                    .push_str(["event: error", "event: x", "id: 1", "data:"][usize::from(n & 3)]);
                upstream.push_str(end);
                continue;
            }
            _ => {
                let mut units = Vec::new();
                let text = chunk.json(&mut units).to_string();
                upstream.push_str("data: ");
                upstream.push_str(&unmark(&text, &units));
                if stream.whole {
                    let text = unmark(&text, &units);
                    strait_fuzz::chat::check_whole(text.as_bytes(), stream.options);
                }
            }
        }
        upstream.push_str(end);
        upstream.push_str(end);
    }
    if stream.done {
        upstream.push_str("data: [DONE]");
        upstream.push_str(end);
        upstream.push_str(end);
    }
    let mut upstream = upstream.into_bytes();
    if let Some(cut) = stream.cut {
        upstream.truncate(usize::from(cut));
    }
    strait_fuzz::chat::check(&upstream, stream.options);
});
