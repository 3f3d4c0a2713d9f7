//! A provider that speaks Responses itself: what it says depends on nothing but the request, so
//! that the bytes that arrive can be held against the bytes that were sent.

use super::script::{DONE, JSON, PATCH, RUN, TEXT};
use serde_json::{Value, json};

/// The last cue, and how many outputs came since.
fn scene(asked: &Value) -> (String, usize) {
    let only = [asked["input"].clone()];
    let items = asked["input"].as_array().map_or(&only[..], Vec::as_slice);
    let says = |item: &Value| item.get("output").is_none() && item.to_string().contains("cue: ");
    let at = items.iter().rposition(says).unwrap_or(0);
    let text = items.get(at).map_or(String::new(), Value::to_string);
    let word = text.split("cue: ").nth(1).unwrap_or("");
    let cue = word.chars().take_while(char::is_ascii_lowercase).collect();
    let outputs = items.iter().skip(at).filter(|i| i.get("output").is_some());
    (cue, outputs.count())
}

fn message(text: &str) -> Value {
    json!({"id":"msg_1","type":"message","role":"assistant","status":"completed","content":[{"type":"output_text","text":text,"annotations":[],"logprobs":[]}]})
}

fn call(name: &str, arguments: &Value) -> Value {
    json!({"id":"fc_1","type":"function_call","status":"completed","call_id":"call_1","name":name,"arguments":arguments.to_string()})
}

/// What it answers.
pub fn canned(stream: bool, asked: &Value) -> Vec<u8> {
    let (cue, outputs) = scene(asked);
    let item = match (cue.as_str(), outputs) {
        ("tool" | "two", 0) => call("get_weather", &json!({"city":"Oslo"})),
        ("session", 0) => call("exec_command", &json!({"cmd":RUN})),
        ("session", 1) => {
            json!({"id":"ctc_1","type":"custom_tool_call","status":"completed","call_id":"call_2","name":"apply_patch","input":PATCH})
        }
        ("tool" | "two" | "session", _) => message(DONE),
        ("json", _) => message(JSON),
        _ => message(TEXT),
    };
    let failed = cue == "midway";
    let status = if failed { "failed" } else { "completed" };
    let error = json!({"code":"server_error","message":"The server had an error while processing your request."});
    let response = |status: &str, output: &Value, usage: Value| {
        json!({"id":"resp_77","object":"response","created_at":1_760_000_000,"model":asked["model"],"status":status,"odd":[1, 2],
            "error":if failed && status == "failed" { error.clone() } else { Value::Null },"incomplete_details":null,
            "instructions":null,"metadata":{},"parallel_tool_calls":true,"temperature":1.0,"top_p":1.0,"tool_choice":"auto",
            "tools":[],"output":output,"usage":usage})
    };
    let usage = json!({"input_tokens":100,"input_tokens_details":{"cached_tokens":40},"output_tokens":20,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":120});
    let whole = response(status, &json!([item]), usage);
    if !stream {
        return whole.to_string().into_bytes();
    }
    let mut events = vec![
        json!({"type":"response.created","response":response("in_progress", &json!([]), Value::Null)}),
        json!({"type":"response.in_progress","response":response("in_progress", &json!([]), Value::Null)}),
        json!({"type":"response.output_item.added","output_index":0,"item":opened(&item)}),
    ];
    events.extend(deltas(&item));
    events.push(json!({"type":"response.output_item.done","output_index":0,"item":item}));
    events.push(json!({"type":format!("response.{status}"),"response":whole}));
    let mut out = b": hi\n\n".to_vec();
    for (n, mut event) in events.into_iter().enumerate() {
        event["sequence_number"] = json!(n);
        let kind = event["type"].as_str().unwrap_or("").to_owned();
        out.extend_from_slice(format!("event: {kind}\ndata:  {event}\n\n").as_bytes());
    }
    out
}

/// The item before anything was said.
fn opened(item: &Value) -> Value {
    let mut item = item.clone();
    item["status"] = json!("in_progress");
    for (name, empty) in [
        ("content", json!([])),
        ("arguments", json!("")),
        ("input", json!("")),
    ] {
        if item.get(name).is_some() {
            item[name] = empty;
        }
    }
    item
}

fn deltas(item: &Value) -> Vec<Value> {
    let id = &item["id"];
    let content = |name: &str, event: &str, done: &str| {
        let text = &item[name];
        vec![
            json!({"type":format!("response.{event}.delta"),"item_id":id,"output_index":0,"delta":text}),
            json!({"type":format!("response.{event}.done"),"item_id":id,"output_index":0,done:text,"name":item["name"]}),
        ]
    };
    match item["type"].as_str() {
        Some("function_call") => content("arguments", "function_call_arguments", "arguments"),
        Some("custom_tool_call") => content("input", "custom_tool_call_input", "input"),
        _ => {
            let part = &item["content"][0];
            let at = json!({"item_id":id,"output_index":0,"content_index":0});
            let event = |kind: &str, name: &str, value: Value| {
                let mut event = at.clone();
                event["type"] = json!(format!("response.{kind}"));
                event[name] = value;
                if kind.starts_with("output_text") {
                    event["logprobs"] = json!([]);
                }
                event
            };
            let empty = json!({"type":"output_text","text":"","annotations":[],"logprobs":[]});
            vec![
                event("content_part.added", "part", empty),
                event("output_text.delta", "delta", part["text"].clone()),
                event("output_text.done", "text", part["text"].clone()),
                event("content_part.done", "part", part.clone()),
            ]
        }
    }
}
