//! `translate::reverse::request` on lists of plausible messages in any order, with tools, choices
//! and fields of both generations of the API, right and wrong, for several dialects, with the
//! oracles of `reverse_request`.

use arbitrary::Arbitrary;
use strait_fuzz::fuzz_target;
use serde_json::{Map, Value as Json, json};

#[derive(Arbitrary, Debug)]
struct Request {
    messages: Vec<Message>,
    tools: Vec<Tool>,
    functions: Vec<Tool>,
    choice: u8,
    fields: Vec<(u8, Value)>,
}

#[derive(Arbitrary, Debug)]
struct Message {
    role: u8,
    content: Content,
    calls: Vec<(u8, u8, Value)>,
    legacy: Option<(u8, Value)>,
    answers: u8,
    reasoning: Option<(u8, Value)>,
    odd: Option<(u8, Value)>,
}

#[derive(Arbitrary, Debug)]
enum Content {
    Absent,
    Value(Value),
    Parts(Vec<Part>),
}

#[derive(Arbitrary, Debug)]
enum Part {
    Text(Value),
    Refusal(Value),
    Image(u8, Value),
    File(u8, Value),
    Odd(Value),
}

#[derive(Arbitrary, Debug)]
enum Tool {
    Function(u8, Option<Value>),
    Custom(u8, u8),
    Odd(Value),
}

#[derive(Arbitrary, Debug)]
enum Value {
    Common(u8),
    Text(String),
    Int(i64),
    Float(f64),
    List(Vec<Value>),
    Object(Vec<(u8, Value)>),
}

const FIELDS: [&str; 36] = [
    "audio",
    "chat_template_kwargs",
    "enable_thinking",
    "frequency_penalty",
    "function_call",
    "functions",
    "include_reasoning",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "metadata",
    "modalities",
    "model",
    "n",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "thinking",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "other\"",
];

impl Value {
    fn json(&self, depth: usize) -> Json {
        const KEYS: [&str; 16] = [
            "type",
            "effort",
            "summary",
            "enabled",
            "include_usage",
            "json_schema",
            "schema",
            "name",
            "function",
            "mode",
            "tools",
            "allowed_tools",
            "enable_thinking",
            "data",
            "text",
            "id",
        ];
        let common = |n: u8| match n & 31 {
            0 => Json::Null,
            1 => json!(true),
            2 => json!(false),
            3 => json!(1),
            4 => json!(0),
            5 => json!(""),
            6 => json!("auto"),
            7 => json!("none"),
            8 => json!("required"),
            9 => json!("function"),
            10 => json!("c1"),
            11 => json!("text"),
            12 => json!("json_object"),
            13 => json!("disabled"),
            14 => json!("high"),
            15 => json!("f"),
            16 => json!("{}"),
            17 => json!("{\"x\":1}"),
            18 => json!("gwr1.AAAA"),
            19 => json!("https://h/i.png"),
            20 => {
                json!({"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": true}})
            }
            21 => json!({"effort": "low", "summary": "auto", "enabled": true}),
            22 => json!({"include_usage": true}),
            23 => json!(["STOP", "", "x"]),
            24 => json!(["text"]),
            25 => json!(1.5),
            26 => json!([]),
            27 => json!({}),
            28 => json!({"enable_thinking": false}),
            29 => json!("\u{0}\"\n"),
            30 => json!("x".repeat(2000)),
            _ => json!({"type": "function", "function": {"name": "f"}}),
        };
        match self {
            Value::Common(n) => common(*n),
            Value::Text(text) => json!(text),
            Value::Int(n) => json!(n),
            Value::Float(n) => json!(n),
            _ if depth > 12 => Json::Null,
            Value::List(list) => list.iter().map(|v| v.json(depth + 1)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(k, v)| (KEYS[usize::from(k & 15)].to_owned(), v.json(depth + 1)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }
}

fn id(n: u8) -> Json {
    match n & 15 {
        0 => json!(""),
        1 => Json::Null,
        2 => json!("x\u{e9}".repeat(40)),
        3 => json!(5),
        4 => json!("call_legacy_1"),
        n => json!(format!("c{}", n % 4)),
    }
}

fn name(n: u8) -> &'static str {
    const NAMES: [&str; 8] = ["f", "g", "p", "a.b", "", "\u{e9}\"", "f", "p"];
    NAMES[usize::from(n & 7)]
}

impl Part {
    fn json(&self) -> Json {
        match self {
            Part::Text(v) => json!({"type": "text", "text": v.json(0)}),
            Part::Refusal(v) => json!({"type": "refusal", "refusal": v.json(0)}),
            Part::Image(n, v) => match n & 3 {
                0 => json!({"type": "image_url", "image_url": {"url": v.json(0), "detail": "low"}}),
                1 => json!({"type": "image_url", "image_url": v.json(0)}),
                2 => {
                    json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}})
                }
                _ => json!({"type": "input_audio", "input_audio": {}}),
            },
            Part::File(n, v) => match n & 3 {
                0 => json!({"type": "file", "file": {"file_data": v.json(0), "filename": "f"}}),
                1 => json!({"type": "file", "file": {"file_id": v.json(0)}}),
                2 => json!({"type": "file", "file_id": "i"}),
                _ => json!({"type": "file", "file": v.json(0)}),
            },
            Part::Odd(v) => v.json(0),
        }
    }
}

impl Message {
    fn json(&self) -> Json {
        const ROLES: [&str; 16] = [
            "user",
            "assistant",
            "tool",
            "system",
            "developer",
            "function",
            "user",
            "assistant",
            "tool",
            "assistant",
            "assistant",
            "tool",
            "user",
            "user",
            "x",
            "",
        ];
        let mut message = json!({"role": ROLES[usize::from(self.role & 15)]});
        match &self.content {
            Content::Absent => {}
            Content::Value(v) => message["content"] = v.json(0),
            Content::Parts(parts) => {
                message["content"] = parts.iter().map(Part::json).collect();
            }
        }
        if !self.calls.is_empty() {
            let call = |(i, n, arguments): &(u8, u8, Value)| match n & 8 {
                0 => json!({"id": id(*i), "type": "function",
                    "function": {"name": name(*n), "arguments": arguments.json(0)}}),
                _ => json!({"id": id(*i), "type": "custom",
                    "custom": {"name": name(*n), "input": arguments.json(0)}}),
            };
            message["tool_calls"] = self.calls.iter().map(call).collect();
        }
        if let Some((n, arguments)) = &self.legacy {
            message["function_call"] = json!({"name": name(*n), "arguments": arguments.json(0)});
        }
        if self.answers & 16 == 0 {
            message["tool_call_id"] = id(self.answers);
        }
        if let Some((n, v)) = &self.reasoning {
            let v = v.json(0);
            let formats = ["openai-responses-v1", "gwr1", "x", "anthropic-claude-v1"];
            let format = formats[usize::from(n >> 3 & 3)];
            match n & 7 {
                0 => message["reasoning_content"] = v,
                1 => message["reasoning"] = v,
                2 => message["reasoning_details"] = v,
                3 => message["reasoning_details"] = json!([{"type": "reasoning.text", "text": v}]),
                4 => message["reasoning_details"] = json!([{"data": v}, {"summary": "s"}]),
                _ => {
                    message["reasoning_details"] =
                        json!([{"data": v, "format": format, "id": "rs_1"}]);
                }
            }
        }
        if let Some((n, v)) = &self.odd {
            const ODD: [&str; 8] = [
                "name",
                "audio",
                "refusal",
                "tool_calls",
                "function_call",
                "role",
                "tool_call_id",
                "x",
            ];
            message[ODD[usize::from(n & 7)]] = v.json(0);
        }
        message
    }
}

impl Tool {
    fn inner(&self) -> Json {
        match self {
            Tool::Function(n, parameters) => {
                let mut tool = json!({"name": name(*n), "description": "d", "strict": true});
                if let Some(parameters) = parameters {
                    tool["parameters"] = parameters.json(0);
                }
                tool
            }
            Tool::Custom(n, format) => {
                let mut tool = json!({"name": name(*n), "description": "\""});
                let grammar = json!({"syntax": "lark", "definition": "start: \"x\""});
                match format & 3 {
                    0 => tool["format"] = json!({"type": "grammar", "grammar": grammar}),
                    1 => tool["format"] = json!({"type": "text"}),
                    2 => tool["format"] = grammar,
                    _ => {}
                }
                tool
            }
            Tool::Odd(v) => v.json(0),
        }
    }

    fn json(&self) -> Json {
        match self {
            Tool::Function(..) => json!({"type": "function", "function": self.inner()}),
            Tool::Custom(..) => json!({"type": "custom", "custom": self.inner()}),
            Tool::Odd(v) => v.json(0),
        }
    }
}

fuzz_target!(|request: Request| {
    let messages: Vec<Json> = request.messages.iter().map(Message::json).collect();
    let mut body = json!({"model": "m", "messages": messages});
    if !request.tools.is_empty() {
        body["tools"] = request.tools.iter().map(Tool::json).collect();
    }
    if !request.functions.is_empty() {
        body["functions"] = request.functions.iter().map(Tool::inner).collect();
    }
    let own = name(request.choice >> 3);
    body["tool_choice"] = match request.choice & 7 {
        0 => json!("auto"),
        1 => json!("none"),
        2 => json!("required"),
        3 => json!({"type": "function", "function": {"name": own}}),
        4 => json!({"type": "custom", "custom": {"name": own}}),
        5 => json!({"type": "allowed_tools", "allowed_tools": {"mode": "required",
            "tools": [{"type": "function", "function": {"name": own}}]}}),
        6 => json!({"name": own}),
        _ => Json::Null,
    };
    for (n, value) in &request.fields {
        body[FIELDS[usize::from(*n) % FIELDS.len()]] = value.json(0);
    }
    let text = body.to_string();
    strait_fuzz::reverse::check_bytes(text.as_bytes(), true);
});
