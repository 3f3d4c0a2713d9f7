//! `translate::request` on lists of plausible items in any order, and on the repository's own
//! requests with some of their values replaced, for every profile, with the oracles of
//! `responses_request`.

use arbitrary::Arbitrary;
use strait_fuzz::fuzz_target;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::sync::LazyLock;
use strait::auth::secret::SealKey;
use strait::translate::seal::seal_summary;

#[derive(Arbitrary, Debug)]
enum Input {
    Items(Request),
    Mutated(u8, Vec<(u16, Replacement)>),
}

#[derive(Arbitrary, Debug)]
struct Request {
    instructions: Option<Text>,
    items: Vec<Item>,
    tools: Vec<Tool>,
    choice: u8,
    effort: u8,
    format: u8,
    flags: u8,
}

#[derive(Arbitrary, Debug)]
enum Text {
    Common(u8),
    Own(String),
}

#[derive(Arbitrary, Debug)]
enum Item {
    Message(u8, Vec<Part>, bool),
    Plain(u8, Text),
    Reasoning(u8, Text),
    Call(u8, u8, u8, Text),
    Output(u8, u8, Text),
    OutputParts(u8, u8, Vec<Part>),
    Compaction(u8, Text),
    Tools(Vec<Tool>),
    Odd(Replacement),
}

#[derive(Arbitrary, Debug)]
enum Part {
    Input(Text),
    Output(Text),
    Refusal(Text),
    Image(u8),
    File(u8),
    Odd(Replacement),
}

#[derive(Arbitrary, Debug)]
enum Tool {
    Function(u8, Option<Replacement>),
    Custom(u8),
    Namespace(u8, Vec<(u8, bool)>),
    Hosted(u8),
    Odd(Replacement),
}

#[derive(Arbitrary, Debug)]
enum Replacement {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text),
    List(Vec<Replacement>),
    Object(Vec<(u8, Replacement)>),
}

impl Text {
    fn json(&self) -> String {
        const COMMON: [&str; 16] = [
            "",
            "a",
            "{}",
            "{\"x\":1}",
            "[1]",
            "{\"x\":",
            "\n",
            "\"",
            "\u{0}",
            "c1",
            "<think>",
            "\u{1f600}",
            "gwr1.AAAA",
            "data:image/png;base64,AA==",
            "https://h/i.png",
            "{\"cmd\":\"\\ud800\"}",
        ];
        match self {
            Text::Common(n) => COMMON[usize::from(n & 15)].into(),
            Text::Own(text) => text.clone(),
        }
    }
}

fn role(n: u8) -> &'static str {
    const ROLES: [&str; 8] = [
        "user",
        "assistant",
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "x",
    ];
    ROLES[usize::from(n & 7)]
}

fn id(n: u8) -> Json {
    match n & 15 {
        0 => json!(""),
        1 => Json::Null,
        2 => json!("c1_2"),
        3 => json!("x".repeat(100)),
        4 => json!(5),
        5 => json!("c\u{e9} \""),
        n => json!(format!("c{}", n % 4)),
    }
}

fn name(n: u8) -> String {
    const NAMES: [&str; 12] = [
        "f",
        "g",
        "p",
        "a.b",
        "",
        "\u{e9}",
        "f__g",
        "n__f",
        "shell",
        "apply_patch",
        "tool_search",
        "a b",
    ];
    match NAMES.get(usize::from(n & 15)) {
        Some(name) => (*name).into(),
        None => format!("{}{}", "long_".repeat(14), n & 1),
    }
}

impl Replacement {
    fn json(&self, depth: usize) -> Json {
        const KEYS: [&str; 16] = [
            "type",
            "id",
            "call_id",
            "name",
            "content",
            "text",
            "arguments",
            "output",
            "input",
            "role",
            "parameters",
            "properties",
            "action",
            "commands",
            "summary",
            "namespace",
        ];
        match self {
            Replacement::Null => Json::Null,
            Replacement::Bool(b) => json!(b),
            Replacement::Int(n) => json!(n),
            Replacement::Float(n) => json!(n),
            Replacement::Text(text) => json!(text.json()),
            _ if depth > 20 => Json::Null,
            Replacement::List(list) => list.iter().map(|r| r.json(depth + 1)).collect(),
            Replacement::Object(members) => members
                .iter()
                .map(|(k, v)| (KEYS[usize::from(k & 15)].to_owned(), v.json(depth + 1)))
                .collect::<serde_json::Map<_, _>>()
                .into(),
        }
    }
}

impl Part {
    fn json(&self) -> Json {
        match self {
            Part::Input(text) => json!({"type": "input_text", "text": text.json()}),
            Part::Output(text) => {
                json!({"type": "output_text", "text": text.json(), "annotations": []})
            }
            Part::Refusal(text) => json!({"type": "refusal", "refusal": text.json()}),
            Part::Image(n) => match n & 3 {
                0 => json!({"type": "input_image", "image_url": "data:image/png;base64,AA=="}),
                1 => json!({"type": "input_image", "file_id": "f"}),
                2 => {
                    json!({"type": "input_image", "image_url": {"url": "https://h/i.png"}, "detail": "low"})
                }
                _ => json!({"type": "input_image"}),
            },
            Part::File(n) => match n & 1 {
                0 => json!({"type": "input_file", "file_data": "AA", "filename": "f"}),
                _ => json!({"type": "input_file", "file_id": "f"}),
            },
            Part::Odd(r) => r.json(0),
        }
    }
}

impl Item {
    fn json(&self) -> Json {
        const CALLS: [&str; 8] = [
            "function_call",
            "function_call",
            "custom_tool_call",
            "local_shell_call",
            "shell_call",
            "apply_patch_call",
            "tool_search_call",
            "mcp_call",
        ];
        match self {
            Item::Message(r, parts, typed) => {
                let content: Vec<Json> = parts.iter().map(Part::json).collect();
                let mut item = json!({"role": role(*r), "content": content});
                if *typed {
                    item["type"] = json!("message");
                }
                item
            }
            Item::Plain(r, text) => json!({"role": role(*r), "content": text.json()}),
            Item::Reasoning(form, text) => {
                let text = text.json();
                match form & 3 {
                    0 => {
                        json!({"type": "reasoning", "summary": [{"type": "summary_text", "text": text}]})
                    }
                    1 => {
                        json!({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": text}]})
                    }
                    2 => json!({"type": "reasoning", "summary": [], "encrypted_content": text}),
                    _ => json!({"type": "reasoning", "content": text}),
                }
            }
            Item::Call(kind, i, n, text) => {
                let text = text.json();
                json!({
                    "type": CALLS[usize::from(kind & 7)], "call_id": id(*i), "name": name(*n),
                    "namespace": (kind & 8 != 0).then_some("n"), "arguments": text, "input": text,
                    "action": {"type": "exec", "command": [text], "commands": [text]},
                    "operation": {"type": "delete_file", "path": text},
                })
            }
            Item::Output(kind, i, text) => {
                let kind = format!("{}_output", CALLS[usize::from(kind & 7)]);
                json!({"type": kind, "call_id": id(*i), "output": text.json()})
            }
            Item::OutputParts(kind, i, parts) => {
                let kind = format!("{}_output", CALLS[usize::from(kind & 7)]);
                let output: Vec<Json> = parts.iter().map(Part::json).collect();
                json!({"type": kind, "call_id": id(*i), "output": output})
            }
            Item::Compaction(form, text) => match form & 3 {
                0 => json!({"type": "compaction_trigger"}),
                1 => json!({"type": "compaction", "encrypted_content": text.json()}),
                _ => {
                    let text = json!(text.json()).to_string();
                    let escaped = text[1..text.len() - 1].as_bytes().to_vec();
                    let envelope = seal_summary(&SealKey::new([7; 32]), [*form; 12], escaped);
                    json!({"type": "compaction", "encrypted_content": envelope})
                }
            },
            Item::Tools(tools) => {
                let tools: Vec<Json> = tools.iter().map(Tool::json).collect();
                json!({"type": "additional_tools", "role": "developer", "tools": tools})
            }
            Item::Odd(r) => r.json(0),
        }
    }
}

impl Tool {
    fn json(&self) -> Json {
        let function = |n: u8| {
            json!({"type": "function", "name": name(n), "description": "d",
            "strict": true, "parameters": {"type": "object", "properties": {}}})
        };
        match self {
            Tool::Function(n, parameters) => {
                let mut tool = function(*n);
                if let Some(parameters) = parameters {
                    tool["parameters"] = parameters.json(0);
                }
                tool
            }
            Tool::Custom(n) => json!({"type": "custom", "name": name(*n), "description": "d",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: x"}}),
            Tool::Namespace(n, tools) => {
                let inner = |(n, custom): &(u8, bool)| match custom {
                    true => json!({"type": "custom", "name": name(*n)}),
                    false => function(*n),
                };
                let tools: Vec<Json> = tools.iter().map(inner).collect();
                json!({"type": "namespace", "name": name(*n), "description": "", "tools": tools})
            }
            Tool::Hosted(n) => {
                const KINDS: [&str; 8] = [
                    "web_search",
                    "local_shell",
                    "shell",
                    "apply_patch",
                    "tool_search",
                    "image_generation",
                    "mcp",
                    "file_search",
                ];
                json!({"type": KINDS[usize::from(n & 7)]})
            }
            Tool::Odd(r) => r.json(0),
        }
    }
}

impl Request {
    fn json(&self) -> Json {
        let items: Vec<Json> = self.items.iter().map(Item::json).collect();
        let tools: Vec<Json> = self.tools.iter().map(Tool::json).collect();
        let mut request = json!({"model": "m", "input": items, "tools": tools});
        if let Some(text) = &self.instructions {
            request["instructions"] = json!(text.json());
        }
        let pick = usize::from(self.choice >> 3);
        request["tool_choice"] = match self.choice & 7 {
            0 => json!("auto"),
            1 => json!("none"),
            2 => json!("required"),
            3 => json!({"type": "function", "name": name(pick as u8)}),
            4 => json!({"type": "custom", "name": name(pick as u8)}),
            5 => json!({"type": "allowed_tools", "mode": "required", "tools": tools}),
            6 => json!({"type": "web_search"}),
            _ => Json::Null,
        };
        const EFFORTS: [&str; 8] = [
            "none", "minimal", "low", "medium", "high", "xhigh", "max", "odd",
        ];
        if self.effort & 8 == 0 {
            let effort = EFFORTS[usize::from(self.effort & 7)];
            request["reasoning"] = json!({"effort": effort, "summary": "auto"});
        }
        request["text"] = match self.format & 3 {
            0 => {
                json!({"format": {"type": "json_schema", "name": "s", "schema": {"type": "object"}, "strict": true}})
            }
            1 => json!({"format": {"type": "json_object"}, "verbosity": "low"}),
            2 => json!({"format": {"type": "text"}}),
            _ => Json::Null,
        };
        request["stream"] = json!(self.flags & 1 != 0);
        request["parallel_tool_calls"] = json!(self.flags & 2 != 0);
        request["temperature"] = json!(f64::from(self.flags) / 100.0);
        request["max_output_tokens"] = json!(self.flags);
        request["prompt_cache_key"] = json!("k");
        request
    }
}

/// The requests of the repository: the vectors' and those that Codex sent.
static BASES: LazyLock<Vec<Json>> = LazyLock::new(|| {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/");
    let mut bases = Vec::new();
    for folder in ["vectors_req", "codex_bodies"] {
        let folder = std::fs::read_dir(tests.join(folder)).expect("a folder of requests");
        let mut files: Vec<_> = folder.map(|f| f.expect("a file").path()).collect();
        files.retain(|f| f.metadata().is_ok_and(|m| m.len() < 32 * 1024));
        files.sort();
        for file in files
            .iter()
            .filter(|f| f.extension().is_some_and(|e| e == "json"))
        {
            let text = std::fs::read(file).expect("a file");
            let mut json: Json = serde_json::from_slice(&text).expect("JSON");
            if let Some(request) = json.get_mut("request") {
                json = request.take();
            }
            bases.push(json);
        }
    }
    bases
});

/// Puts `with` in the place of the `at`th value below `value`.
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

fn count(value: &Json) -> usize {
    1 + match value {
        Json::Array(items) => items.iter().map(count).sum::<usize>(),
        Json::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

fuzz_target!(|input: Input| {
    let request = match &input {
        Input::Items(request) => request.json(),
        Input::Mutated(base, places) => {
            let mut request = BASES[usize::from(*base) % BASES.len()].clone();
            for (at, with) in places {
                let mut at = usize::from(*at) % count(&request);
                replace(&mut request, &mut at, &with.json(0));
            }
            request
        }
    };
    let text = request.to_string();
    let all = matches!(input, Input::Items(_));
    strait_fuzz::request::check_bytes(text.as_bytes(), all);
});
