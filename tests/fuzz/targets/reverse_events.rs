//! The machine of the way back on plausible Responses events: items of every kind whose ids
//! change or are missing, wrong indices, deltas that are lost or said again, parts that are only
//! said whole, ends of every kind, errors and noise, with the oracles of `reverse_stream`. A last
//! number of the input cuts the stream short.

use arbitrary::Arbitrary;
use strait_fuzz::fuzz_target;
use serde_json::{Map, Value as Json, json};

#[derive(Arbitrary, Debug)]
struct Stream {
    options: u32,
    named: bool,
    crlf: bool,
    events: Vec<Event>,
    end: Option<(u8, Response)>,
    done: bool,
    cut: Option<u16>,
}

#[derive(Arbitrary, Debug)]
enum Event {
    /// A whole item as most providers send it: added, its deltas, done.
    Item(u8, Item, Vec<Text>),
    Delta(u8, Place, Text, Loss),
    Whole(u8, Place, Text, Loss),
    Added(Place, Item),
    Done(Place, Item),
    Part(bool, Place, Part),
    Annotation(Place, u16),
    Other(u8),
    Error(u8),
    End(u8, Response),
}

/// Where an event belongs; ids change from event to event.
#[derive(Arbitrary, Debug)]
struct Place {
    output: u8,
    part: u8,
    id: u8,
}

/// A member of an event that is missing, `null` or of another type.
#[derive(Arbitrary, Debug)]
struct Loss {
    member: u8,
    kind: u8,
}

#[derive(Arbitrary, Debug)]
struct Item {
    kind: u8,
    id: u8,
    name: u8,
    arguments: Arguments,
    parts: Vec<Part>,
    status: u8,
}

#[derive(Arbitrary, Debug)]
enum Arguments {
    Absent,
    Text(Text),
    Object(Text),
}

#[derive(Arbitrary, Debug)]
enum Part {
    Text(Text, bool, Option<u16>),
    Refusal(Text),
    Thought(Text),
    Odd(u8),
}

#[derive(Arbitrary, Debug)]
enum Text {
    Common(u8),
    Own(String),
}

#[derive(Arbitrary, Debug)]
struct Response {
    output: Option<Vec<Item>>,
    usage: Option<(u32, u64, u8)>,
    reason: u8,
    status: u8,
}

impl Text {
    fn json(&self) -> String {
        const COMMON: [&str; 16] = [
            "",
            " ",
            "a",
            "aab",
            "ST",
            "OP",
            "STOP",
            "\n\n",
            "\n",
            "b",
            "\u{e9}",
            "\"",
            "{}",
            "{\"input\":\"x\"}",
            "hello",
            "\u{1f600}\\",
        ];
        match self {
            Text::Common(n) => COMMON[usize::from(n & 15)].into(),
            Text::Own(text) => text.clone(),
        }
    }

    /// The text as tokens of any length, with their probabilities.
    fn logprobs(&self) -> Json {
        let text = self.json();
        let entry = |token: String| {
            let top = json!([{"token": token, "logprob": -0.5}, 7]);
            json!({"token": token, "logprob": -1, "top_logprobs": top})
        };
        let mut list: Vec<Json> = Vec::new();
        let mut token = String::new();
        for c in text.chars() {
            token.push(c);
            if c != 'a' {
                list.push(entry(std::mem::take(&mut token)));
            }
        }
        list.push(match token.is_empty() {
            true => json!("odd"),
            false => entry(token),
        });
        Json::Array(list)
    }
}

fn output_index(n: u8) -> Option<Json> {
    Some(match n & 15 {
        n @ 0..=5 => json!(n),
        6 => json!(-1),
        7 => json!("0"),
        8 => json!(u64::MAX),
        9 => Json::Null,
        10 => json!(0),
        11 => json!(1.0),
        _ => return None,
    })
}

fn id(n: u8) -> Option<Json> {
    Some(match n & 7 {
        0 => json!(""),
        1 => Json::Null,
        2 => json!("x\"\u{e9}".repeat(30)),
        3 => json!(3),
        n @ 4..=6 => json!(format!("id_{n}")),
        _ => return None,
    })
}

fn insert(map: &mut Map<String, Json>, name: &str, value: Option<Json>) {
    map.extend(value.map(|value| (name.to_owned(), value)));
}

impl Place {
    fn event(&self, kind: &str) -> Map<String, Json> {
        let mut event = Map::new();
        event.insert("type".into(), kind.into());
        insert(&mut event, "output_index", output_index(self.output));
        insert(&mut event, "item_id", id(self.id));
        let part = output_index(self.part);
        insert(&mut event, "content_index", part.clone());
        insert(&mut event, "summary_index", part);
        event
    }
}

impl Loss {
    fn apply(&self, event: &mut Map<String, Json>) {
        let names: Vec<String> = event.keys().cloned().collect();
        // Most events lose nothing.
        let Some(name) = names.get(usize::from(self.member)) else {
            return;
        };
        match self.kind & 3 {
            0 => drop(event.shift_remove(name)),
            1 => drop(event.insert(name.clone(), Json::Null)),
            2 => drop(event.insert(name.clone(), json!(7))),
            _ => drop(event.insert(name.clone(), json!([{}]))),
        }
    }
}

impl Arguments {
    fn json(&self) -> Option<Json> {
        match self {
            Arguments::Absent => None,
            Arguments::Text(text) => Some(text.json().into()),
            Arguments::Object(text) => Some(json!({"x": text.json(), "n": [1.5, null]})),
        }
    }
}

fn citation(n: u16) -> Json {
    let (start, end) = (n & 15, n >> 4 & 15);
    match n >> 12 {
        0 => json!({"type": "file_citation", "file_id": "f"}),
        1 => json!({"type": "url_citation", "url_citation": {"url": "u\"", "start_index": start}}),
        2 => json!({"type": "url_citation", "start_index": u64::MAX, "end_index": -1}),
        3 => json!("odd"),
        _ => json!({"type": "url_citation", "url": "https://h/", "title": "\u{e9}",
            "start_index": start, "end_index": end}),
    }
}

impl Part {
    fn json(&self) -> Json {
        match self {
            Part::Text(text, probs, cited) => {
                let mut part = json!({"type": "output_text", "text": text.json()});
                let cited: Vec<Json> = cited.iter().map(|n| citation(*n)).collect();
                part["annotations"] = cited.into();
                if *probs {
                    part["logprobs"] = text.logprobs();
                }
                part
            }
            Part::Refusal(text) => json!({"type": "refusal", "refusal": text.json()}),
            Part::Thought(text) => json!({"type": "reasoning_text", "text": text.json()}),
            Part::Odd(n) => match n & 3 {
                0 => Json::Null,
                1 => json!("text"),
                2 => json!({"type": "summary_text", "text": "s"}),
                _ => json!({"type": "image"}),
            },
        }
    }
}

impl Item {
    fn kind(&self) -> &'static str {
        const KINDS: [&str; 8] = [
            "message",
            "reasoning",
            "function_call",
            "custom_tool_call",
            "message",
            "reasoning",
            "function_call",
            "web_search_call",
        ];
        KINDS[usize::from(self.kind & 7)]
    }

    fn json(&self, whole: bool) -> Json {
        const NAMES: [&str; 8] = ["f", "p", "q\u{e9}", "", "a.b", "f", "p", "\""];
        let mut item = Map::new();
        item.insert("type".into(), self.kind().into());
        insert(&mut item, "id", id(self.id));
        insert(&mut item, "call_id", id(self.id >> 3));
        let name = NAMES[usize::from(self.name & 7)];
        insert(&mut item, "name", (self.name & 8 == 0).then(|| name.into()));
        if self.name & 48 == 48 {
            item.insert("namespace".into(), "n.s".into());
        }
        if whole {
            insert(&mut item, "arguments", self.arguments.json());
            if self.kind & 8 == 0 {
                insert(&mut item, "input", self.arguments.json());
            }
            let parts: Vec<Json> = self.parts.iter().map(Part::json).collect();
            if self.kind & 16 == 0 {
                item.insert("content".into(), parts.clone().into());
            }
            if self.kind & 32 == 0 {
                item.insert("summary".into(), parts.into());
            }
            if self.status & 16 != 0 {
                item.insert("encrypted_content".into(), "gAAA\"\u{e9}".into());
            }
        }
        let status = ["completed", "incomplete", "in_progress", "x"];
        let status = status[usize::from(self.status & 3)];
        item.insert("status".into(), status.into());
        Json::Object(item)
    }
}

impl Response {
    fn json(&self) -> Json {
        const STATUS: [&str; 8] = [
            "completed",
            "incomplete",
            "failed",
            "cancelled",
            "in_progress",
            "queued",
            "completed",
            "x",
        ];
        let mut response = json!({"id": "r", "status": STATUS[usize::from(self.status & 7)]});
        if let Some(output) = &self.output {
            response["output"] = output.iter().map(|i| i.json(true)).collect();
        }
        if let Some((input, output, reasoning)) = &self.usage {
            response["usage"] = json!({"input_tokens": input, "output_tokens": output,
                "output_tokens_details": {"reasoning_tokens": reasoning}});
        }
        let reason = ["max_output_tokens", "content_filter"][usize::from(self.reason & 1)];
        if self.reason & 2 != 0 {
            response["incomplete_details"] = json!({"reason": reason});
        }
        if self.reason & 4 != 0 {
            let code = ["rate_limit_exceeded", "invalid_prompt"][usize::from(self.reason >> 3 & 1)];
            response["error"] = json!({"code": code, "message": "no"});
        }
        response
    }

    fn end(&self, n: u8) -> Json {
        const ENDS: [&str; 8] = [
            "completed",
            "incomplete",
            "failed",
            "done",
            "cancelled",
            "completed",
            "completed",
            "incomplete",
        ];
        let kind = format!("response.{}", ENDS[usize::from(n & 7)]);
        match n & 64 {
            0 => json!({"type": kind, "response": self.json()}),
            _ => {
                let mut bare = self.json();
                bare["type"] = kind.into();
                bare
            }
        }
    }
}

const DELTAS: [&str; 8] = [
    "response.output_text.delta",
    "response.refusal.delta",
    "response.reasoning_text.delta",
    "response.reasoning_summary_text.delta",
    "response.function_call_arguments.delta",
    "response.custom_tool_call_input.delta",
    "response.output_text.delta",
    "response.reasoning.delta",
];
const WHOLES: [&str; 8] = [
    "response.output_text.done",
    "response.refusal.done",
    "response.reasoning_text.done",
    "response.reasoning_summary_text.done",
    "response.function_call_arguments.done",
    "response.custom_tool_call_input.done",
    "response.reasoning_summary_part.done",
    "response.reasoning.done",
];

impl Event {
    fn json(&self, all: &mut Vec<Json>) {
        match self {
            Event::Item(output, item, deltas) => item_events(*output, item, deltas, all),
            Event::Delta(kind, place, text, loss) => {
                let mut event = place.event(DELTAS[usize::from(kind & 7)]);
                event.insert("delta".into(), text.json().into());
                if kind & 8 != 0 {
                    event.insert("logprobs".into(), text.logprobs());
                }
                loss.apply(&mut event);
                all.push(event.into());
            }
            Event::Whole(kind, place, text, loss) => {
                let mut event = place.event(WHOLES[usize::from(kind & 7)]);
                for name in ["text", "refusal", "arguments", "input"] {
                    event.insert(name.into(), text.json().into());
                }
                event.insert("part".into(), json!({"text": text.json()}));
                loss.apply(&mut event);
                all.push(event.into());
            }
            Event::Added(place, item) => {
                let mut event = place.event("response.output_item.added");
                event.insert("item".into(), item.json(place.id & 8 != 0));
                all.push(event.into());
            }
            Event::Done(place, item) => {
                let mut event = place.event("response.output_item.done");
                event.insert("item".into(), item.json(true));
                all.push(event.into());
            }
            Event::Part(added, place, part) => {
                let mut event = place.event(match added {
                    true => "response.content_part.added",
                    false => "response.content_part.done",
                });
                event.insert("part".into(), part.json());
                all.push(event.into());
            }
            Event::Annotation(place, n) => {
                let mut event = place.event("response.output_text.annotation.added");
                event.insert("annotation".into(), citation(*n));
                all.push(event.into());
            }
            Event::Other(n) => all.push(match n & 7 {
                0 => json!({"type": "response.created", "response": {"id": "r", "output": []}}),
                1 => json!({"type": "response.queued"}),
                2 => json!({"type": "keepalive"}),
                3 => json!([]),
                4 => json!({"type": 7}),
                5 => json!({}),
                6 => json!({"type": "response.web_search_call.searching", "output_index": 0}),
                _ => json!({"type": "response.reasoning_summary_part.added", "summary_index": 1}),
            }),
            Event::Error(n) => all.push(match n & 7 {
                0 => json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow"}),
                1 => json!({"type": "error", "error": {"message": "no", "code": "x"}}),
                2 => json!({"type": "response.error", "message": "no"}),
                3 => json!({"error": {"message": "\"", "param": "input"}, "status": 400}),
                4 => json!({"error": "no"}),
                5 => json!({"type": "error"}),
                6 => json!({"type": "error", "error": {"code": "invalid_prompt", "param": "i\""}}),
                _ => json!({"type": "error", "error": null, "message": 5}),
            }),
            Event::End(n, response) => all.push(response.end(*n)),
        }
    }
}

/// Added, deltas, done: as it should be, but for whatever the item itself gets wrong.
fn item_events(output: u8, item: &Item, deltas: &[Text], all: &mut Vec<Json>) {
    let place = Place {
        output: output & 7,
        part: 0,
        id: output >> 3,
    };
    let mut added = place.event("response.output_item.added");
    added.insert("item".into(), item.json(false));
    all.push(added.into());
    let kind = match item.kind() {
        "message" => 0,
        "reasoning" => 2 + (item.name & 1),
        "function_call" => 4,
        _ => 5,
    };
    for text in deltas {
        let mut event = place.event(DELTAS[usize::from(kind)]);
        event.insert("delta".into(), text.json().into());
        all.push(event.into());
    }
    let mut done = place.event("response.output_item.done");
    done.insert("item".into(), item.json(true));
    all.push(done.into());
}

fuzz_target!(|stream: Stream| {
    let mut events = Vec::new();
    for event in &stream.events {
        event.json(&mut events);
    }
    if let Some((n, response)) = &stream.end {
        events.push(response.end(*n));
        let whole = response.json().to_string();
        strait_fuzz::reverse::check_whole(whole.as_bytes(), stream.options);
    }
    let mut upstream = String::new();
    let end = if stream.crlf { "\r\n" } else { "\n" };
    for event in &events {
        if let Some(kind) = event["type"].as_str().filter(|_| stream.named) {
            upstream.push_str(&format!("event: {kind}{end}"));
        }
        upstream.push_str(&format!("data: {event}{end}{end}"));
    }
    if stream.done {
        upstream.push_str(&format!("data: [DONE]{end}{end}"));
    }
    let mut upstream = upstream.into_bytes();
    if let Some(cut) = stream.cut {
        upstream.truncate(usize::from(cut));
    }
    strait_fuzz::reverse::check(&upstream, stream.options);
});
