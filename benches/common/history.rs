//! Requests as Codex sends them: a captured one (tests/codex_bodies) for its tools, settings and
//! first messages, and behind them turn after turn of reasoning, calls, their outputs, patches
//! and messages, until the body is as long as asked.

#![allow(dead_code, reason = "each program uses its own part")]

use serde_json::{Value, json};

const CAPTURED: &str = include_str!("../../tests/codex_bodies/03-007.json");
/// What the commands of a coding session print: source, with its quotes, escapes and indents.
const PRINTED: [&str; 3] = [
    include_str!("../../src/translate/usage.rs"),
    include_str!("../../src/json/write.rs"),
    include_str!("../../src/http/coding.rs"),
];

/// The messages of the captured request that come before its first turn.
const BEFORE: usize = 4;

/// A body of about `bytes` bytes, never less.
pub fn body(bytes: usize) -> Vec<u8> {
    let mut request: Value = serde_json::from_str(CAPTURED).expect("a capture is JSON");
    let input = request["input"].as_array_mut().expect("items");
    input.truncate(BEFORE);
    let mut items = std::mem::take(input);
    let without = |request: &Value| request.to_string().len();
    // Codex never sends so little; the tools make room.
    while without(&request) + size(&items) > bytes {
        let tools = request["tools"].as_array_mut().expect("tools");
        assert!(tools.pop().is_some(), "{bytes} bytes are too few");
    }
    let mut total = without(&request) + size(&items);
    for turn in 0.. {
        for item in self::turn(turn) {
            if total >= bytes {
                break;
            }
            total += item.to_string().len() + 1;
            items.push(item);
        }
        if total >= bytes {
            break;
        }
    }
    request["input"] = Value::Array(items);
    request.to_string().into_bytes()
}

fn size(items: &[Value]) -> usize {
    items.iter().map(|i| i.to_string().len() + 1).sum()
}

/// What one turn adds. Commands print from a few lines to a whole file.
fn turn(n: usize) -> Vec<Value> {
    let printed = PRINTED[n % PRINTED.len()];
    let lines: Vec<&str> = printed
        .lines()
        .skip(n * 7 % 40)
        .take(12 + n * 31 % 90)
        .collect();
    let shown = lines.join("\n");
    let (read, patch) = (format!("call_{n:06}_r"), format!("call_{n:06}_p"));
    let added: String = lines.iter().take(9).map(|l| format!("+{l}\n")).collect();
    let arguments = json!({
        "cmd": format!("sed -n '{},{}p' src/part_{n}.rs && git status --short", n % 90, n % 90 + 80),
        "workdir": "/home/dev/project",
        "yield_time_ms": 1000,
    });
    vec![
        json!({
            "type": "reasoning", "id": format!("rs_{n:06}"), "summary": [],
            "content": [{"type": "reasoning_text", "text": format!(
                "Step {n}: the failing test reads part_{n}.rs, so look at it before changing anything. \
                 The borrow ends too early; \"take\" the buffer and give it back.\n\nThen run the tests."
            )}],
            "encrypted_content": null,
        }),
        json!({
            "type": "function_call", "id": format!("fc_{n:06}"), "status": "completed",
            "name": "exec_command", "arguments": arguments.to_string(), "call_id": read,
        }),
        json!({
            "type": "function_call_output", "id": format!("fco_{n:06}"), "call_id": read,
            "output": format!(
                "Chunk ID: {n:06x}\nWall time: 0.1400 seconds\nProcess exited with code 0\n\
                 Original token count: 400\nOutput:\n{shown}\n"
            ),
        }),
        json!({
            "type": "custom_tool_call", "id": format!("ctc_{n:06}"), "status": "completed",
            "call_id": patch, "name": "apply_patch",
            "input": format!(
                "*** Begin Patch\n*** Update File: src/part_{n}.rs\n@@\n-let old = {n};\n{added}*** End Patch\n"
            ),
        }),
        json!({
            "type": "custom_tool_call_output", "id": format!("ctco_{n:06}"), "call_id": patch,
            "output": format!(
                "Exit code: 0\nWall time: 0 seconds\nOutput:\nSuccess. Updated the following files:\nM src/part_{n}.rs\n"
            ),
        }),
        json!({
            "type": "message", "id": format!("msg_{n:06}"), "status": "completed", "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "text": format!(
                "The change to `src/part_{n}.rs` is in; the tests of that part pass — 12 of 12."
            )}],
        }),
    ]
}
