//! What providers differ in: efforts, JSON modes, images, roles, ranges.

use super::bench::{Bench, Cell, items, of_role, of_type, same, text, user, want, weather};
use super::script::{DONE, TEXT};
use crate::dialects::Json;
use serde_json::{Map, Value, json};

const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";
const ADDRESS: &str = "https://pictures.example/a.png";
const NOTED: &str = "the model takes no such image; a note stands in its place, and it is said";

pub fn efforts(b: &mut Bench) -> Cell {
    const ASKED: [&str; 7] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];
    const CONTROLS: [&str; 6] = [
        "thinking",
        "reasoning_effort",
        "enable_thinking",
        "preserve_thinking",
        "chat_template_kwargs",
        "reasoning",
    ];
    let request =
        |effort: &str| json!({"stream":true,"reasoning":{"effort":effort},"input":[user("text")]});
    if b.passes() {
        return b.passed(&request("xhigh"));
    }
    for (asked, expected) in ASKED.iter().zip(b.d.efforts) {
        let (got, body) = b.ask(&request(asked))?;
        same("text", &json!(text(&got)), &json!(TEXT))?;
        let found: Map<String, Value> = CONTROLS
            .iter()
            .filter_map(|c| Some(((*c).to_owned(), body.get(*c)?.clone())))
            .collect();
        let expected: Value = serde_json::from_str(expected).map_err(|e| e.to_string())?;
        same(asked, &Value::Object(found), &expected)?;
    }
    // An effort of a client to come.
    b.ask(&request("ultra"))?;
    let (_, body) = b.ask(&json!({"stream":true,"input":[user("text")]}))?;
    want(
        body.get("reasoning_effort").is_none(),
        "nothing asked, nothing said",
    )?;
    Ok("")
}

pub fn json(b: &mut Bench) -> Cell {
    let schema = json!({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"}},"required":["name","age"],"additionalProperties":false});
    let plain = json!({"stream":true,"input":[user("json")],"text":{"format":{"type":"json_schema","name":"person","strict":true,"schema":schema}}});
    if b.passes() {
        return b.passed(&plain);
    }
    let mut thinking = plain.clone();
    thinking["reasoning"] = json!({"effort":"high"});
    let mut beside = plain.clone();
    beside["tools"] = json!([weather(false)]);
    let d = b.d;
    for (what, request, expected) in [
        ("plain", &plain, d.json),
        ("thinking", &thinking, d.json_thinking),
        ("beside tools", &beside, d.json_tools),
    ] {
        let (got, body) = b.ask(request).map_err(|e| format!("{what}: {e}"))?;
        same(
            "text",
            &json!(text(&got)),
            &json!(r#"{"name":"Ada","age":36}"#),
        )?;
        let format = &body["response_format"];
        let words = body["messages"][0]["content"].as_str().unwrap_or("");
        let told = words.contains("integer")
            && words.contains("JSON")
            && body["messages"][0]["role"] != "user";
        let right = match expected {
            Json::Schema => {
                format["json_schema"]["schema"]["properties"]["age"]["type"] == "integer"
                    && format["json_schema"]["name"] == "person"
            }
            Json::Object => format["type"] == "json_object" && told,
            Json::Words => body.get("response_format").is_none() && told,
        };
        want(
            right,
            format!("{what}: expected {expected:?}, found {body}"),
        )?;
        if expected != Json::Schema {
            b.told(&got, "text.format.degraded")?;
        }
    }
    Ok("")
}

/// The images of a message, by address.
fn images(message: &Value) -> Vec<&str> {
    let parts = message["content"].as_array().into_iter().flatten();
    parts
        .filter_map(|p| p["image_url"]["url"].as_str())
        .collect()
}

pub fn image_in(b: &mut Bench) -> Cell {
    let request = |url: &str| {
        json!({"stream":true,"input":[{"type":"message","role":"user","content":[
            {"type":"input_text","text":"cue: text"},{"type":"input_image","image_url":url,"detail":"high"}]}]})
    };
    if b.passes() {
        return b.passed(&request(PIXEL));
    }
    for (url, taken) in [
        (PIXEL, b.d.images_user),
        (ADDRESS, b.d.images_user && b.d.images_http),
    ] {
        let (got, body) = b.ask(&request(url))?;
        let message = of_role(&body, "user")[0];
        if taken {
            want(images(message) == [url], format!("the image: {message}"))?;
            continue;
        }
        let words = message["content"].as_str().unwrap_or("");
        want(
            words.contains("[image omitted") && !words.contains("base64"),
            format!("a note: {message}"),
        )?;
        b.told(&got, "content.degraded")?;
    }
    Ok(match (b.d.images_user, b.d.images_http) {
        (true, true) => "",
        (true, false) => "images as data only; an address becomes a note, and it is said",
        _ => NOTED,
    })
}

pub fn image_out(b: &mut Bench) -> Cell {
    let mut input = vec![user("look")];
    let ask = |input: &[Value]| json!({"stream":true,"include":["reasoning.encrypted_content"],"tools":[weather(false)],"input":input});
    if b.passes() {
        return b.passed(&ask(&input));
    }
    let (got, _) = b.ask(&ask(&input))?;
    input.extend(items(&got));
    let id = of_type(&got, "function_call")[0]["call_id"].clone();
    input.push(json!({"type":"function_call_output","call_id":id,"output":[
        {"type":"input_text","text":"see"},{"type":"input_image","image_url":PIXEL}]}));
    let (got, body) = b.ask(&ask(&input))?;
    same("text", &json!(text(&got)), &json!(DONE))?;
    let tool = of_role(&body, "tool")[0];
    let last = of_role(&body, "user").pop().ok_or("no user")?;
    want(
        !tool["content"].as_str().unwrap_or("").contains("base64"),
        "bytes as text",
    )?;
    if b.d.images_tool {
        want(
            images(tool) == [PIXEL],
            format!("in the tool's message: {tool}"),
        )?;
        return Ok("");
    }
    want(
        tool["content"].is_string(),
        format!("text in the tool's message: {tool}"),
    )?;
    if b.d.images_user {
        want(
            images(last) == [PIXEL],
            format!("in a message behind it: {body}"),
        )?;
        return Ok("");
    }
    want(
        tool["content"]
            .as_str()
            .unwrap_or("")
            .contains("[image omitted"),
        format!("a note: {tool}"),
    )?;
    b.told(&got, "content.degraded")?;
    Ok(NOTED)
}

pub fn later(b: &mut Bench) -> Cell {
    let message = |role: &str, kind: &str, text: &str| json!({"type":"message","role":role,"content":[{"type":kind,"text":text}]});
    let request = json!({"stream":true,"instructions":"Be brief.","input":[
        message("developer", "input_text", "You may read."), message("developer", "input_text", "You may write."),
        message("user", "input_text", "hi"), message("assistant", "output_text", "Hello."),
        message("developer", "input_text", "Now you may run."), user("text")]});
    if b.passes() {
        return b.passed(&request);
    }
    let (got, body) = b.ask(&request)?;
    same("text", &json!(text(&got)), &json!(TEXT))?;
    let messages = body["messages"].as_array().ok_or("messages")?;
    let lead = if b.d.later == "developer" {
        "developer"
    } else {
        "system"
    };
    same("the first role", &messages[0]["role"], &json!(lead))?;
    same(
        "the first message",
        &messages[0]["content"],
        &json!("Be brief.\n\nYou may read.\n\nYou may write."),
    )?;
    let says = |m: &&Value| {
        m["content"]
            .as_str()
            .is_some_and(|c| c.contains("Now you may run."))
    };
    let note = messages.iter().find(says).ok_or("the note is lost")?;
    same("the role of the note", &note["role"], &json!(b.d.later))?;
    let at = |m: &Value| messages.iter().position(|x| x == m);
    let said = of_role(&body, "assistant")[0];
    want(at(note) > at(said), "the note keeps its place")?;
    Ok("")
}

pub fn sampling(b: &mut Bench) -> Cell {
    let request = |temperature: f64| json!({"stream":true,"input":[user("text")],"max_output_tokens":777,"temperature":temperature,"top_p":0.9,"top_logprobs":0});
    if b.passes() {
        return b.passed(&request(2.0));
    }
    for (asked, expected) in [0.0, 2.0].into_iter().zip(b.d.temperatures) {
        let (got, body) = b.ask(&request(asked))?;
        same("the limit", &body[b.d.limit], &json!(777))?;
        let found = body.get("temperature").and_then(Value::as_f64);
        want(
            found == expected,
            format!("temperature {asked}: expected {expected:?}, found {found:?}"),
        )?;
        if expected != Some(asked) {
            b.told(&got, "temperature")?;
        }
    }
    Ok(if b.d.temperatures == [None, None] {
        "sampling is fixed there; dropped, and said"
    } else {
        ""
    })
}
