//! What the provider says to the SDKs, and what it insists on: a user message names the scenario,
//! and every request is held against what that scenario must have become.

use crate::provider::{Answer, Seen, delta};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// The model behind a profile that serves everything.
pub const PLAIN: &str = "any-chat-model";
/// The model behind DeepSeek's profile.
pub const DEEP: &str = "deepseek-v4-pro";
/// What the clients present to Strait; the provider must never see it.
pub const CLIENT_KEY: &str = "client-key-of-the-sdk-suite";

const CUE: &str = "scenario: ";
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=";

/// The script, and what it found wrong.
#[derive(Clone, Default)]
pub struct Script {
    faults: Arc<Mutex<Vec<String>>>,
    asked: Arc<Mutex<HashMap<String, u32>>>,
}

impl Script {
    pub fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap().clone()
    }

    /// The answer to one request: a 400 that says what is wrong with it, if anything is.
    pub fn answer(&self, seen: &Seen) -> Answer {
        let cue = cue(&seen.body);
        let said = general(seen).and_then(|()| self.play(&cue, &seen.body));
        said.unwrap_or_else(|why| {
            let why = format!("{cue:?}: {why}; got {}", seen.body);
            self.faults.lock().unwrap().push(why.clone());
            Answer::Plain(400, "", json!({"error":{"message":why}}).to_string())
        })
    }

    fn play(&self, cue: &str, body: &Value) -> Result<Answer, String> {
        let name = cue.split(' ').next().unwrap_or("");
        if let Some(refused) = refusal(name) {
            return Ok(refused);
        }
        let streams = body["stream"] == true;
        let say = match name {
            "flaky" => {
                let mut asked = self.asked.lock().unwrap();
                let times = asked.entry(cue.to_owned()).or_default();
                *times += 1;
                if *times == 1 {
                    return Ok(error(503, "", "Busy.", "overloaded"));
                }
                Say::text("Back again.")
            }
            "mute" => return Ok(Answer::Mute),
            "silence" => {
                return Ok(Answer::Silence(vec![
                    delta(json!({"role":"assistant","content":""})),
                    delta(json!({"content":"Half "})),
                ]));
            }
            "cut" if streams => return Ok(Answer::Reset(Say::text("Half an answer").deltas())),
            "cut" => return Ok(Answer::Short(r#"{"id":"c","choices":[{"ind"#.into())),
            "gone" if streams => return Ok(Answer::Reset(Vec::new())),
            "gone" => return Ok(Answer::Short(String::new())),
            "broken" if streams => {
                let mut data = Say::text("Half an answer").deltas();
                data.push(json!({"error":{"message":"The engine fell over.","type":"server_error","code":500}}).to_string());
                return Ok(Answer::Stream(data));
            }
            "broken" => return Ok(error(500, "", "The engine fell over.", "500")),
            _ => scene(name, cue, body)?,
        };
        Ok(say.render(body))
    }
}

/// What follows `scenario: ` in the last message that has it.
fn cue(body: &Value) -> String {
    let text = text_of(&Turn::of(body).user["content"]);
    let at = text.find(CUE).map_or(text.len(), |at| at + CUE.len());
    text[at..].lines().next().unwrap_or("").to_owned()
}

fn is_cue(message: &Value) -> bool {
    message["role"] == "user" && text_of(&message["content"]).contains(CUE)
}

fn text_of(content: &Value) -> String {
    match content.as_array() {
        Some(parts) => parts.iter().filter_map(|p| p["text"].as_str()).collect(),
        None => content.as_str().unwrap_or("").to_owned(),
    }
}

/// What holds for every request.
fn general(seen: &Seen) -> Result<(), String> {
    let head = seen.head.to_ascii_lowercase();
    want(
        head.starts_with("post /v1/chat/completions http/1.1"),
        "the path",
    )?;
    let keys = head.contains("authorization: bearer sk-test-provider-key");
    want(keys && !head.contains(CLIENT_KEY), "the provider's own key")?;
    let model = seen.body["model"].as_str();
    want(model == Some(PLAIN) || model == Some(DEEP), "the model")?;
    if seen.body["stream"] == true {
        let usage = &seen.body["stream_options"]["include_usage"];
        want(usage != false, "usage with the stream")?;
    }
    let mut open: Vec<&str> = Vec::new();
    for message in seen.body["messages"].as_array().ok_or("no messages")? {
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or("");
            let at = open.iter().position(|o| *o == id);
            open.remove(at.ok_or_else(|| format!("a tool message without a call: {id}"))?);
            continue;
        }
        want(open.is_empty(), "an output for every call")?;
        let calls = message["tool_calls"].as_array();
        open = calls
            .into_iter()
            .flatten()
            .filter_map(|c| c["id"].as_str())
            .collect();
    }
    want(open.is_empty(), "an output for every call at the end")
}

/// Errors that a provider answers with at once.
fn refusal(name: &str) -> Option<Answer> {
    Some(match name {
        "error-400" => error(400, "", "That is not a thing.", "bad_thing"),
        "error-401" => error(401, "", "Wrong key.", "invalid_api_key"),
        "error-402" => error(402, "", "Insufficient Balance", "unknown"),
        "error-403" => error(403, "", "Not for you.", "forbidden"),
        "error-404" => error(404, "", "No such model.", "model_not_found"),
        "error-429" => error(429, "retry-after: 7\r\n", "Too fast.", "slow_down"),
        "error-500" => error(500, "", "Oops.", "internal"),
        "error-503" => error(503, "", "Busy.", "overloaded"),
        "error-overflow" => error(
            400,
            "",
            "This model's maximum context length is 4096 tokens.",
            "invalid_request_error",
        ),
        _ => return None,
    })
}

fn error(status: u16, fields: &'static str, message: &str, code: &str) -> Answer {
    let body = json!({"error":{"message":message,"type":"x","param":null,"code":code}});
    Answer::Plain(status, fields, body.to_string())
}

/// The scenarios with an answer of the model's.
fn scene(name: &str, cue: &str, body: &Value) -> Result<Say, String> {
    let turn = Turn::of(body);
    let deep = body["model"] == DEEP;
    Ok(match name {
        "text" => Say::text("Hello from the other side."),
        "compact" => {
            const SUMMARY: &str = "It went well; two is left.";
            let last = turn.since.last().map(|m| text_of(&m["content"]));
            match last.is_some_and(|text| text.contains("write a handover")) {
                true => Say::text(SUMMARY),
                false => {
                    let mut told = turn.before.iter().map(|m| text_of(&m["content"]));
                    want(told.any(|t| t.ends_with(SUMMARY)), "the summary")?;
                    Say::text("Going on.")
                }
            }
        }
        "echo" => Say::text(cue),
        "long" => Say::text(&long()),
        "unicode" => Say::text("Grüße, 世界 🦀👩‍🔧 \u{2028} \"q\" \\ \t end\n"),
        "instructions" => {
            equal(
                &body["messages"][0],
                &json!({"role":"system","content":"Be brief."}),
            )?;
            equal(&body["messages"][1]["role"], &json!("user"))?;
            Say::text("Brief.")
        }
        "settings" => {
            equal(&body["temperature"], &json!(0.25))?;
            equal(&body["top_p"], &json!(0.5))?;
            equal(&body["max_tokens"], &json!(77))?;
            Say::text("As you wish.")
        }
        "logprobs" => {
            equal(&body["logprobs"], &json!(true))?;
            equal(&body["top_logprobs"], &json!(2))?;
            Say {
                logprobs: true,
                ..Say::text("Yes")
            }
        }
        "tool" => {
            has_tool(body, "get_weather", "city")?;
            match turn.outputs.is_empty() {
                true => Say::calls(&[("call_w1", "get_weather", json!({"city":"Oslo"}))]),
                false => {
                    turn.had("call_w1", "get_weather", &json!({"city":"Oslo"}))?;
                    turn.got("call_w1", "12 degrees")?;
                    Say::text("It is 12 degrees in Oslo.")
                }
            }
        }
        "parallel" => {
            has_tool(body, "get_weather", "city")?;
            match turn.outputs.is_empty() {
                true => Say {
                    text: "Two at once.".into(),
                    ..Say::calls(&[
                        ("call_p1", "get_weather", json!({"city":"Oslo"})),
                        ("call_p2", "get_weather", json!({"city":"Århus"})),
                    ])
                },
                false => {
                    turn.had("call_p1", "get_weather", &json!({"city":"Oslo"}))?;
                    turn.had("call_p2", "get_weather", &json!({"city":"Århus"}))?;
                    turn.got("call_p1", "12 degrees")?;
                    turn.got("call_p2", "9 degrees")?;
                    Say::text("Oslo is warmer.")
                }
            }
        }
        "forced" => {
            has_tool(body, "get_weather", "city")?;
            equal(
                &body["tool_choice"],
                &json!({"type":"function","function":{"name":"get_weather"}}),
            )?;
            equal(&body["parallel_tool_calls"], &json!(false))?;
            Say::calls(&[("call_f1", "get_weather", json!({"city":"Rome"}))])
        }
        "required" => {
            equal(&body["tool_choice"], &json!("required"))?;
            Say::calls(&[("call_r1", "get_weather", json!({"city":"Rome"}))])
        }
        "parse" => {
            let format = &body["response_format"];
            let schema = match deep {
                true => {
                    equal(format, &json!({"type":"json_object"}))?;
                    let system = body["messages"][0]["content"].as_str().unwrap_or("");
                    let at = system.find('{').ok_or("no schema in the system message")?;
                    serde_json::from_str(&system[at..]).map_err(|e| e.to_string())?
                }
                false => {
                    equal(&format["type"], &json!("json_schema"))?;
                    equal(&format["json_schema"]["strict"], &json!(true))?;
                    let name = format["json_schema"]["name"].as_str().unwrap_or("");
                    want(!name.is_empty(), "a name of the schema")?;
                    format["json_schema"]["schema"].clone()
                }
            };
            equal(&schema["properties"]["age"]["type"], &json!("integer"))?;
            equal(&schema["required"], &json!(["name", "age"]))?;
            equal(&schema["additionalProperties"], &json!(false))?;
            Say::text(r#"{"name": "Ada", "age": 36}"#)
        }
        "reason" => {
            thinking(body)?;
            Say {
                reasoning: "I weigh it, twice.",
                ..Say::text("It is heavy.")
            }
        }
        "replay" => {
            let said = turn
                .before
                .iter()
                .rfind(|m| m["role"] == "assistant")
                .ok_or("no earlier answer")?;
            equal(&said["reasoning_content"], &json!("I weigh it, twice."))?;
            equal(&said["content"], &json!("It is heavy."))?;
            Say::text("As I thought.")
        }
        "reason-tool" => {
            thinking(body)?;
            match turn.outputs.is_empty() {
                true => Say {
                    reasoning: "I must look outside.",
                    ..Say::calls(&[("call_t1", "get_weather", json!({"city":"Oslo"}))])
                },
                false => {
                    turn.had("call_t1", "get_weather", &json!({"city":"Oslo"}))?;
                    turn.got("call_t1", "12 degrees")?;
                    let said = turn.since.iter().find(|m| m["role"] == "assistant");
                    equal(
                        &said.unwrap_or(&Value::Null)["reasoning_content"],
                        &json!("I must look outside."),
                    )?;
                    Say {
                        reasoning: "Now I know.",
                        ..Say::text("It is 12 degrees in Oslo.")
                    }
                }
            }
        }
        "custom" => {
            has_tool(body, "run_sql", "input")?;
            let sql = json!({"input":"SELECT 1;\n-- ü \"q\""});
            match turn.outputs.is_empty() {
                true => Say::calls(&[("call_c1", "run_sql", sql)]),
                false => {
                    turn.had("call_c1", "run_sql", &sql)?;
                    turn.got("call_c1", "1 row")?;
                    Say::text("One row.")
                }
            }
        }
        "patch" => {
            let tools = body["tools"].as_array().ok_or("no tools")?;
            equal(&tools[0]["function"]["name"], &json!("apply_patch"))?;
            let change = json!({"type":"create_file","path":"a.txt","diff":"+hello\n"});
            match turn.outputs.is_empty() {
                true => Say::calls(&[("call_d1", "apply_patch", change)]),
                false => {
                    turn.output("call_d1")?;
                    Say::text("Patched.")
                }
            }
        }
        "shell" => {
            let tools = body["tools"].as_array().ok_or("no tools")?;
            equal(&tools[0]["function"]["name"], &json!("shell"))?;
            match turn.outputs.is_empty() {
                true => Say::calls(&[("call_s1", "shell", json!({"commands":["echo hi"]}))]),
                false => {
                    let output = turn.output("call_s1")?;
                    want(output.contains("hi there"), "the shell's output")?;
                    Say::text("It said hi.")
                }
            }
        }
        "image" => {
            let image = json!({"type":"image_url","image_url":{"url":PIXEL,"detail":"low"}});
            let parts = turn.user["content"].as_array();
            want(parts.is_some_and(|p| p.contains(&image)), "the image")?;
            want(parts.is_some_and(|p| p.len() == 2), "text and image")?;
            Say::text("A pixel.")
        }
        "file" => {
            let text = text_of(&turn.user["content"]);
            want(
                text.contains("<file name=\"notes.txt\">Grüße, \"you\"</file>"),
                "the file's text",
            )?;
            Say::text("Your notes.")
        }
        "hosted" => {
            let tools = body["tools"].as_array().ok_or("no tools")?;
            want(tools.len() == 1, "one tool: hosted ones are dropped")?;
            has_tool(body, "get_weather", "city")?;
            Say::text("No web for me.")
        }
        "namespace" => {
            has_tool(body, "crm__lookup", "name")?;
            let ada = json!({"name":"Ada"});
            match turn.outputs.is_empty() {
                true => Say::calls(&[("call_n1", "crm__lookup", ada)]),
                false => {
                    turn.had("call_n1", "crm__lookup", &ada)?;
                    turn.got("call_n1", "found Ada")?;
                    Say::text("She is known.")
                }
            }
        }
        "camera" => {
            let tools = body["tools"].as_array().ok_or("no tools")?;
            equal(&tools[0]["function"]["name"], &json!("camera"))?;
            match turn.outputs.is_empty() {
                true => Say::calls(&[("call_i1", "camera", json!({}))]),
                false => {
                    turn.had("call_i1", "camera", &json!({}))?;
                    turn.got("call_i1", "[image 1: see next message]")?;
                    let image =
                        json!({"type":"image_url","image_url":{"url":PIXEL,"detail":"low"}});
                    let last = turn.since.last().unwrap_or(&Value::Null);
                    equal(&last["role"], &json!("user"))?;
                    let parts = last["content"].as_array();
                    want(parts.is_some_and(|p| p.contains(&image)), "the image")?;
                    Say::text("A pixel, again.")
                }
            }
        }
        "blind" => {
            let text = text_of(&turn.user["content"]);
            want(
                text.contains("[image omitted: model has no vision input]"),
                "a note in the image's place",
            )?;
            Say::text("I see nothing.")
        }
        "refusal" => Say {
            refusal: "I will not do that.",
            ..Say::default()
        },
        "length" => Say {
            finish: "length",
            ..Say::text("It goes on and")
        },
        "filter" => Say {
            finish: "content_filter",
            ..Say::text("It was about to")
        },
        "handoff" => {
            let system = body["messages"][0]["content"].as_str().unwrap_or("");
            match turn.outputs.is_empty() {
                true => {
                    equal(&json!(system), &json!("You triage."))?;
                    Say::calls(&[("call_h1", "transfer_to_specialist", json!({}))])
                }
                false => {
                    equal(&json!(system), &json!("You know it all."))?;
                    turn.had("call_h1", "transfer_to_specialist", &json!({}))?;
                    Say::text("The specialist speaks.")
                }
            }
        }
        "second" => {
            let said: Vec<_> = turn
                .before
                .iter()
                .filter(|m| m["role"] == "assistant")
                .collect();
            let texts: Vec<_> = said.iter().map(|m| text_of(&m["content"])).collect();
            want(
                texts.iter().any(|t| t == "It is 12 degrees in Oslo."),
                "the first turn's answer",
            )?;
            let calls = said.iter().find(|m| m["tool_calls"].is_array());
            let id = calls.map(|m| &m["tool_calls"][0]["id"]);
            want(id == Some(&json!("call_w1")), "the first turn's call")?;
            Say::text("Still 12.")
        }
        _ => return Err("no such scenario".into()),
    })
}

/// More than one read or write of anything on the way.
fn long() -> String {
    (0..4000).map(|n| format!("{n} ")).collect()
}

fn thinking(body: &Value) -> Result<(), String> {
    equal(&body["thinking"], &json!({"type":"enabled"}))?;
    equal(&body["reasoning_effort"], &json!("high"))
}

fn want(holds: bool, what: &str) -> Result<(), String> {
    holds.then_some(()).ok_or_else(|| format!("wanted: {what}"))
}

fn equal(got: &Value, wanted: &Value) -> Result<(), String> {
    (got == wanted)
        .then_some(())
        .ok_or_else(|| format!("wanted {wanted} where {got} is"))
}

/// The request offers a function with that one required parameter.
fn has_tool(body: &Value, name: &str, parameter: &str) -> Result<(), String> {
    let tools = body["tools"].as_array().ok_or("no tools")?;
    let tool = tools
        .iter()
        .find(|t| t["type"] == "function" && t["function"]["name"] == name)
        .ok_or_else(|| format!("no tool {name}"))?;
    let schema = &tool["function"]["parameters"];
    equal(&schema["type"], &json!("object"))?;
    equal(&schema["required"], &json!([parameter]))?;
    equal(&schema["properties"][parameter]["type"], &json!("string"))
}

/// The history around the user message with the cue.
struct Turn<'a> {
    before: &'a [Value],
    user: &'a Value,
    since: &'a [Value],
    outputs: Vec<&'a Value>,
}

impl<'a> Turn<'a> {
    fn of(body: &'a Value) -> Turn<'a> {
        let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
        let at = messages.iter().rposition(is_cue).unwrap_or(0);
        let since = messages.get(at + 1..).unwrap_or(&[]);
        Turn {
            before: &messages[..at],
            user: messages.get(at).unwrap_or(&Value::Null),
            since,
            outputs: since.iter().filter(|m| m["role"] == "tool").collect(),
        }
    }

    fn had(&self, id: &str, name: &str, arguments: &Value) -> Result<(), String> {
        let calls = self.since.iter().filter_map(|m| m["tool_calls"].as_array());
        let call = calls
            .flatten()
            .find(|c| c["id"] == id)
            .ok_or_else(|| format!("the call {id} did not come back"))?;
        equal(&call["type"], &json!("function"))?;
        equal(&call["function"]["name"], &json!(name))?;
        let text = call["function"]["arguments"].as_str().unwrap_or("");
        let came: Value = serde_json::from_str(text).map_err(|e| format!("{e}: {text}"))?;
        equal(&came, arguments)
    }

    fn output(&self, id: &str) -> Result<String, String> {
        let output = self.outputs.iter().find(|m| m["tool_call_id"] == id);
        let output = output.ok_or_else(|| format!("no output for {id}"))?;
        Ok(text_of(&output["content"]))
    }

    fn got(&self, id: &str, text: &str) -> Result<(), String> {
        equal(&json!(self.output(id)?), &json!(text))
    }
}

/// What the model says.
#[derive(Default)]
struct Say {
    reasoning: &'static str,
    text: String,
    refusal: &'static str,
    calls: Vec<(&'static str, &'static str, String)>,
    finish: &'static str,
    logprobs: bool,
}

impl Say {
    fn text(text: &str) -> Say {
        Say {
            text: text.into(),
            ..Say::default()
        }
    }

    fn calls(calls: &[(&'static str, &'static str, Value)]) -> Say {
        Say {
            calls: calls
                .iter()
                .map(|(i, n, a)| (*i, *n, a.to_string()))
                .collect(),
            ..Say::default()
        }
    }

    fn finish(&self) -> &str {
        match self.finish {
            "" if self.calls.is_empty() => "stop",
            "" => "tool_calls",
            other => other,
        }
    }

    fn logprobs(&self) -> Value {
        let top = json!([{"token":"Yes","logprob":-0.1,"bytes":[89,101,115]},{"token":"No","logprob":-2.5,"bytes":[78,111]}]);
        match self.logprobs {
            true => {
                json!({"content":[{"token":"Yes","logprob":-0.1,"bytes":[89,101,115],"top_logprobs":top}],"refusal":null})
            }
            false => Value::Null,
        }
    }

    fn usage() -> Value {
        json!({"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,"prompt_tokens_details":{"cached_tokens":40},"completion_tokens_details":{"reasoning_tokens":5}})
    }

    /// Every piece but the end.
    fn deltas(&self) -> Vec<String> {
        let mut data = vec![delta(json!({"role":"assistant","content":""}))];
        for piece in self.reasoning.split_inclusive(' ') {
            data.push(delta(json!({"reasoning_content":piece})));
        }
        for piece in self.text.split_inclusive(' ') {
            let mut chunk: Value = serde_json::from_str(&delta(json!({"content":piece}))).unwrap();
            chunk["choices"][0]["logprobs"] = self.logprobs();
            data.push(chunk.to_string());
        }
        for piece in self.refusal.split_inclusive(' ') {
            data.push(delta(json!({"refusal":piece})));
        }
        for (i, (id, name, arguments)) in self.calls.iter().enumerate() {
            data.push(delta(json!({"tool_calls":[{"index":i,"id":id,"type":"function","function":{"name":name,"arguments":""}}]})));
            let chars: Vec<char> = arguments.chars().collect();
            for piece in chars.chunks(5) {
                let piece: String = piece.iter().collect();
                data.push(delta(
                    json!({"tool_calls":[{"index":i,"function":{"arguments":piece}}]}),
                ));
            }
        }
        data
    }

    /// A stream or an object, as the request asks; usage in a stream only where asked for.
    fn render(&self, body: &Value) -> Answer {
        let base = json!({"id":"chatcmpl-9","created":1,"model":body["model"]});
        let with = |object: &str, more: Value| {
            let mut whole = base.clone();
            whole["object"] = json!(object);
            for (key, value) in more.as_object().into_iter().flatten() {
                whole[key] = value.clone();
            }
            whole.to_string()
        };
        let finish = self.finish();
        if body["stream"] != true {
            let calls: Vec<Value> = self.calls.iter().map(|(id, name, arguments)| json!({"id":id,"type":"function","function":{"name":name,"arguments":arguments}})).collect();
            let mut message = json!({"role":"assistant","content":null,"refusal":null});
            for (key, text) in [
                ("content", self.text.as_str()),
                ("refusal", self.refusal),
                ("reasoning_content", self.reasoning),
            ] {
                if !text.is_empty() {
                    message[key] = json!(text);
                }
            }
            if !calls.is_empty() {
                message["tool_calls"] = json!(calls);
            }
            let choice = json!({"index":0,"message":message,"logprobs":self.logprobs(),"finish_reason":finish});
            let more = json!({"choices":[choice],"usage":Say::usage()});
            return Answer::Plain(200, "", with("chat.completion", more));
        }
        let chunk = "chat.completion.chunk";
        let mut data = self.deltas();
        let last = json!([{"index":0,"delta":{},"logprobs":null,"finish_reason":finish}]);
        data.push(with(chunk, json!({"choices":last})));
        if body["stream_options"]["include_usage"] == true {
            data.push(with(chunk, json!({"choices":[],"usage":Say::usage()})));
        }
        data.push("[DONE]".into());
        Answer::Stream(data)
    }
}
