//! Calls, their outputs, and the thoughts that belong to them.

use super::bench::{Bench, Cell, items, of_role, of_type, same, text, user, want, weather};
use super::script::{DONE, FOUND, PATCH, TEXT};
use crate::dialects::{Search, Shows, Wants, searched, signature, thoughts};
use serde_json::{Value, json};

fn asking(input: &[Value], tools: Value) -> Value {
    json!({"stream":true,"store":false,"reasoning":{"effort":"high","summary":"auto"},"include":["reasoning.encrypted_content"],
        "parallel_tool_calls":true,"tools":tools,"input":input})
}

fn output(call: &Value, text: &str) -> Value {
    json!({"type":"function_call_output","call_id":call["call_id"],"output":text})
}

/// Thoughts and calls of an assistant's message, as this provider wants them back.
fn replayed(b: &Bench, message: &Value, body: &Value) -> Result<(), String> {
    let thinks = b.d.thinks(body);
    match b.d.wants {
        Wants::Text(field) if thinks => same(
            "the thoughts that go back",
            &message[field],
            &json!(thoughts()),
        ),
        Wants::Details if thinks && b.d.shows == Shows::Cumulative => {
            let expected = json!([{"type":"reasoning.text","id":"reasoning-1","format":"MiniMax-response-v1","index":0,"text":thoughts()}]);
            same(
                "the details that go back",
                &message["reasoning_details"],
                &expected,
            )
        }
        Wants::Details if thinks => {
            let expected = json!([
                {"type":"reasoning.text","text":thoughts(),"format":"anthropic-claude-v1","index":0,"signature":"c2lnbmVk"},
                {"type":"reasoning.encrypted","data":"ZW5jcnlwdGVk","format":"anthropic-claude-v1","index":1}]);
            same(
                "the details that go back",
                &message["reasoning_details"],
                &expected,
            )
        }
        Wants::Parts if thinks => {
            let expected =
                json!({"type":"thinking","thinking":[{"type":"text","text":thoughts()}]});
            same("the part that goes back", &message["content"][0], &expected)
        }
        Wants::Signature => {
            let expected = json!({"google":{"thought_signature":signature(0)}});
            same(
                "the signature that goes back",
                &message["tool_calls"][0]["extra_content"],
                &expected,
            )
        }
        _ => {
            let odd = ["reasoning_content", "reasoning", "reasoning_details"];
            let odd = odd.iter().find(|f| message.get(**f).is_some());
            want(
                odd.is_none(),
                format!("thoughts go back where none are wanted: {message}"),
            )
        }
    }
}

pub fn call(b: &mut Bench) -> Cell {
    let tools = json!([weather(true)]);
    let mut input = vec![user("tool")];
    if b.passes() {
        return b.passed(&asking(&input, tools));
    }
    let (got, body) = b.ask(&asking(&input, tools.clone()))?;
    let function = &body["tools"][0]["function"];
    let strict = if b.d.strict { json!(true) } else { Value::Null };
    same("strict", &function["strict"], &strict)?;
    if b.d.family == "zhipu" {
        same("tool_stream", &body["tool_stream"], &json!(true))?;
    }
    let calls = of_type(&got, "function_call");
    want(calls.len() == 1, format!("one call, not {calls:?}"))?;
    want(of_type(&got, "message").is_empty(), "a message of nothing")?;
    same("name", &calls[0]["name"], &json!("get_weather"))?;
    same(
        "arguments",
        &calls[0]["arguments"],
        &json!(r#"{"city":"Oslo"}"#),
    )?;
    let id = calls[0]["call_id"].as_str().unwrap_or("");
    let legal = |c: u8| c.is_ascii_alphanumeric() || c == b'_' || c == b'-';
    want(
        !id.is_empty() && id.len() <= 64 && id.bytes().all(legal),
        format!("the id {id:?}"),
    )?;

    input.extend(items(&got));
    input.push(output(&calls[0], "12 degrees"));
    let (got, body) = b.ask(&asking(&input, tools.clone()))?;
    same("text", &json!(text(&got)), &json!(DONE))?;
    let said = of_role(&body, "assistant");
    want(said.len() == 1, format!("one assistant's message: {body}"))?;
    same(
        "the id that goes back",
        &said[0]["tool_calls"][0]["id"],
        &json!(b.d.call_id("get_weather", 0)),
    )?;
    replayed(b, said[0], &body)?;
    same(
        "the output",
        &of_role(&body, "tool")[0]["content"],
        &json!("12 degrees"),
    )?;

    // The next turn, in which the client offers no tools.
    input.extend(items(&got));
    input.push(user("text"));
    let mut next = asking(&input, tools);
    next.as_object_mut()
        .ok_or("no object")?
        .shift_remove("tools");
    next.as_object_mut()
        .ok_or("no object")?
        .shift_remove("parallel_tool_calls");
    let (got, body) = b.ask(&next)?;
    same("text", &json!(text(&got)), &json!(TEXT))?;
    replayed(b, of_role(&body, "assistant")[0], &body)?;

    // A client that keeps no reasoning items.
    let lost: Vec<Value> = input
        .iter()
        .filter(|i| i["type"] != "reasoning")
        .cloned()
        .collect();
    let (got, _) = b.ask(&asking(&lost, json!([weather(false)])))?;
    same("text without thoughts", &json!(text(&got)), &json!(TEXT))?;
    Ok("")
}

pub fn parallel(b: &mut Bench) -> Cell {
    let tools = json!([weather(false)]);
    let mut input = vec![user("two")];
    if b.passes() {
        return b.passed(&asking(&input, tools));
    }
    let (got, _) = b.ask(&asking(&input, tools.clone()))?;
    let calls = of_type(&got, "function_call");
    want(calls.len() == 2, format!("two calls, not {calls:?}"))?;
    same(
        "the second",
        &calls[1]["arguments"],
        &json!(r#"{"city":"Århus"}"#),
    )?;
    want(calls[0]["call_id"] != calls[1]["call_id"], "ids differ")?;
    input.extend(items(&got));
    input.push(output(&calls[1], "9 degrees"));
    // Codex puts notes between outputs.
    input.push(json!({"type":"message","role":"developer","content":[{"type":"input_text","text":"A note."}]}));
    input.push(output(&calls[0], "12 degrees"));
    let (got, body) = b.ask(&asking(&input, tools))?;
    same("text", &json!(text(&got)), &json!(DONE))?;
    let answers = of_role(&body, "tool");
    let said: Vec<_> = answers
        .iter()
        .map(|m| (&m["tool_call_id"], &m["content"]))
        .collect();
    let ids = [0, 1].map(|n| json!(b.d.call_id("get_weather", n)));
    let expected = vec![
        (&ids[0], json!("12 degrees")),
        (&ids[1], json!("9 degrees")),
    ];
    let right = said
        .iter()
        .zip(&expected)
        .all(|(a, b)| a.0 == b.0 && *a.1 == b.1);
    want(right && said.len() == 2, format!("the answers: {said:?}"))?;
    replayed(b, of_role(&body, "assistant")[0], &body)?;
    Ok("")
}

pub fn freeform(b: &mut Bench) -> Cell {
    let grammar = "start: begin_patch hunk+ end_patch\nbegin_patch: \"*** Begin Patch\" LF\n";
    let tools = json!([{"type":"custom","name":"apply_patch","description":"Patches files.","format":{"type":"grammar","syntax":"lark","definition":grammar}}]);
    let mut input = vec![user("patch")];
    if b.passes() {
        return b.passed(&asking(&input, tools));
    }
    let (got, body) = b.ask(&asking(&input, tools.clone()))?;
    let tool = &body["tools"][0];
    let described = match b.d.freeform {
        true => tool["custom"]["format"]["grammar"]["definition"] == grammar,
        false => tool["function"]["description"]
            .as_str()
            .is_some_and(|d| d.contains(grammar)),
    };
    want(
        described,
        format!("the grammar does not reach the model: {tool}"),
    )?;
    let calls = of_type(&got, "custom_tool_call");
    want(
        calls.len() == 1,
        format!("one freeform call, not {:?}", items(&got)),
    )?;
    same("input", &calls[0]["input"], &json!(PATCH))?;
    input.extend(items(&got));
    input.push(
        json!({"type":"custom_tool_call_output","call_id":calls[0]["call_id"],"output":"Done!"}),
    );
    let (got, body) = b.ask(&asking(&input, tools))?;
    same("text", &json!(text(&got)), &json!(DONE))?;
    let call = &of_role(&body, "assistant")[0]["tool_calls"][0];
    let back = match b.d.freeform {
        true => call["custom"]["input"].clone(),
        false => {
            let arguments = call["function"]["arguments"].as_str().unwrap_or("");
            let arguments: Value = serde_json::from_str(arguments).map_err(|e| e.to_string())?;
            arguments["input"].clone()
        }
    };
    same("the patch that goes back", &back, &json!(PATCH))?;
    Ok("")
}

pub fn choice(b: &mut Bench) -> Cell {
    let other =
        json!({"type":"function","name":"other","parameters":{"type":"object","properties":{}}});
    let request = |choice: Value, effort: Option<&str>| {
        let mut request = json!({"stream":true,"tools":[weather(false), other],"tool_choice":choice,"input":[user("tool")]});
        if let Some(effort) = effort {
            request["reasoning"] = json!({"effort":effort});
        }
        request
    };
    let named = json!({"type":"function","name":"get_weather"});
    if b.passes() {
        return b.passed(&request(named, None));
    }
    for effort in [None, Some("none"), Some("high")] {
        let (got, body) = b.ask(&request(json!("required"), effort))?;
        want(of_type(&got, "function_call").len() == 1, "a call")?;
        // Without thinking more is possible than is promised here; the rules hold in any case.
        let free = effort == Some("none") && !b.d.thinks(&body);
        match (b.d.required, free) {
            (Some(word), _) => same("required", &body["tool_choice"], &json!(word))?,
            (None, false) => b.told(&got, "tool_choice.degraded")?,
            (None, true) => {}
        }
        let (_, body) = b.ask(&request(named.clone(), effort))?;
        let alone = body["tools"]
            .as_array()
            .is_some_and(|t| t.len() == 1 && t[0]["function"]["name"] == "get_weather");
        let forced = body["tool_choice"]["function"]["name"] == "get_weather";
        want(
            if b.d.named {
                forced
            } else {
                alone || free && forced
            },
            format!("named: {body}"),
        )?;
    }
    let (_, body) = b.ask(&{
        let mut none = request(json!("none"), None);
        none["input"] = json!([user("text")]);
        none
    })?;
    let none = body["tool_choice"] == "none" || body.get("tools").is_none();
    want(none, format!("none: {body}"))?;
    Ok(if b.d.required.is_some() {
        ""
    } else {
        "the provider cannot be forced while it thinks, if ever; only the wanted tool is offered, and it is said"
    })
}

pub fn search(b: &mut Bench) -> Cell {
    let tools = json!([weather(false), {"type":"web_search","external_web_access":true}]);
    let request = |stream: bool| json!({"stream":stream,"tools":tools,"input":[user("search")]});
    if b.passes() {
        let cell = b.passed(&request(true));
        return cell;
    }
    for stream in [true, false] {
        let (got, body) = b.ask(&request(stream))?;
        let own: Vec<&Value> = body["tools"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|t| t["type"] == "web_search")
            .collect();
        let Some(search) = b.d.search else {
            want(own.is_empty(), "the client's tool came along")?;
            b.told(&got, "tool.dropped tools[1]")?;
            want(
                of_type(&got, "web_search_call").is_empty(),
                "a search from nowhere",
            )?;
            continue;
        };
        want(
            own.len() == 1,
            format!("the provider's search is on: {body}"),
        )?;
        if search == Search::Glm {
            same("enable", &own[0]["web_search"]["enable"], &json!(true))?;
            same(
                "search_result",
                &own[0]["web_search"]["search_result"],
                &json!(true),
            )?;
        }
        let calls = of_type(&got, "web_search_call");
        want(
            calls.len() == 1,
            format!("one search, not {:?}", items(&got)),
        )?;
        let urls = searched().map(|(url, _)| json!({"type":"url","url":url}));
        same("sources", &calls[0]["action"]["sources"], &json!(urls))?;
        let message = &of_type(&got, "message")[0]["content"][0];
        same("text", &message["text"], &json!(FOUND))?;
        let cited = message["annotations"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let cited: Vec<_> = cited.iter().map(|a| (&a["url"], &a["title"])).collect();
        let right = cited
            .iter()
            .zip(searched())
            .all(|(a, b)| *a.0 == b.0 && *a.1 == b.1);
        want(right && cited.len() == 2, format!("annotations: {message}"))?;
    }
    Ok(if b.d.search.is_some() {
        ""
    } else {
        "no search of its own; dropped, and said"
    })
}

/// Recorded requests of Codex: names of tools, notes, images, sealed thoughts of others.
pub fn codex(b: &mut Bench) -> Cell {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/codex_bodies");
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .map_err(|e| e.to_string())?
        .flatten()
        .map(|f| f.path())
        .collect();
    files.sort();
    for file in files {
        let name = file
            .file_stem()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let text = std::fs::read_to_string(&file).map_err(|e| e.to_string())?;
        let request: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
        match b.passes() {
            true => drop(b.passed(&request).map_err(|e| format!("{name}: {e}"))?),
            false => {
                let (got, _) = b.ask(&request).map_err(|e| format!("{name}: {e}"))?;
                same(&name, &json!(super::bench::text(&got)), &json!(TEXT))?;
            }
        }
    }
    Ok("")
}

/// What this provider's model says, to be asked about at others: a call with thoughts, sealed for
/// this one, under an id that only it would choose.
pub fn said(b: &mut Bench) -> Result<Vec<Value>, String> {
    let (got, _) = b.ask(&asking(&[user("tool")], json!([weather(false)])))?;
    Ok(items(&got))
}

/// The user changes the model in mid conversation.
pub fn switched(b: &mut Bench) -> Cell {
    let mut input = vec![user("tool")];
    input.extend_from_slice(b.elsewhere);
    let sealed = input.iter().any(|i| i["encrypted_content"].is_string());
    want(sealed, "nothing is sealed")?;
    input.push(output(&input[input.len() - 1], "12 degrees"));
    input.push(json!({"type":"reasoning","id":"rs_of_openai","summary":[],"encrypted_content":"gAAAAABforeign"}));
    let long = format!("call_{}", "x".repeat(59));
    input.push(json!({"type":"function_call","call_id":long,"name":"gone__tool","arguments":""}));
    input.push(json!({"type":"function_call_output","call_id":long,"output":"x"}));
    input.push(json!({"type":"message","role":"assistant","content":[{"type":"output_text","text":"Well."}]}));
    input.push(user("text"));
    let request = asking(&input, json!([weather(false)]));
    if b.passes() {
        // What Strait sealed for another one is taken out; everything else passes.
        let (got, mut seen) = b.post(&request);
        let body = seen.pop().ok_or("the provider was not asked")?.body;
        want(got.status == 200, format!("{}", got.status))?;
        want(
            !body.to_string().contains("gwr1."),
            "sealed thoughts came along",
        )?;
        let length = body["input"].as_array().map_or(0, Vec::len);
        same("items", &json!(length), &json!(input.len() - 1))?;
        return b.told(&got, "item.dropped").map(|()| "");
    }
    let (got, body) = b.ask(&request)?;
    same("text", &json!(text(&got)), &json!(TEXT))?;
    let messages = body["messages"].to_string();
    want(
        !messages.contains("gAAAA") && !messages.contains("gwr1."),
        "sealed thoughts came along",
    )?;
    let leaks = messages.contains(thoughts()) && b.d.profile != "kimi";
    want(
        !leaks,
        format!("the thoughts of another came along: {messages}"),
    )?;
    Ok("")
}
