//! One dialect on the bench: what a client asks, what the provider saw, what the client got.

use crate::client::{Answer as Got, Connection, post_with};
use crate::dialects::{Dialect, Wire};
use crate::provider::{Provider, Seen};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// `ok` is empty; a note says why there is nothing to prove, or what was lost.
pub type Cell = Result<&'static str, String>;

pub struct Bench<'a> {
    pub d: &'a Dialect,
    provider: &'a Provider,
    connection: Connection,
    /// What another provider's model said.
    pub elsewhere: &'a [Value],
    /// What goes before the judges.
    pub judged: Vec<Vec<u8>>,
}

/// Fails with what was found unless it is what was expected.
pub fn same(what: &str, found: &Value, expected: &Value) -> Result<(), String> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("{what}: expected {expected}, found {found}")),
    }
}

pub fn want(holds: bool, why: impl Into<String>) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(why.into()),
    }
}

/// The output items of an answer, streamed or not.
pub fn items(got: &Got) -> Vec<Value> {
    let response = response(got);
    response["output"].as_array().cloned().unwrap_or_default()
}

/// The final response of an answer.
pub fn response(got: &Got) -> Value {
    match got.body.starts_with(b"event: ") {
        true => got.events().pop().unwrap_or_default()["response"].clone(),
        false => got.json(),
    }
}

/// The text of all messages.
pub fn text(got: &Got) -> String {
    let items = items(got);
    let messages = items.iter().filter(|i| i["type"] == "message");
    let parts = messages.flat_map(|m| m["content"].as_array().cloned().unwrap_or_default());
    parts
        .filter_map(|p| p["text"].as_str().map(str::to_owned))
        .collect()
}

/// The items of a type.
pub fn of_type(got: &Got, kind: &str) -> Vec<Value> {
    items(got)
        .into_iter()
        .filter(|i| i["type"] == kind)
        .collect()
}

/// The messages of a chat request with that role.
pub fn of_role<'a>(body: &'a Value, role: &str) -> Vec<&'a Value> {
    let messages = body["messages"].as_array();
    messages
        .into_iter()
        .flatten()
        .filter(|m| m["role"] == role)
        .collect()
}

pub fn user(cue: &str) -> Value {
    json!({"type":"message","role":"user","content":[{"type":"input_text","text":format!("cue: {cue}")}]})
}

pub fn weather(strict: bool) -> Value {
    json!({"type":"function","name":"get_weather","description":"The weather.","strict":strict,"parameters":{
        "$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","required":["city"],"additionalProperties":false,
        "properties":{"city":{"type":"string","encrypted":true},
            "unit":{"type":["string","null"],"enum":["c","f"]},
            "place":{"$ref":"#/$defs/Place","description":"where"},
            "when":{"type":"string","anyOf":[{"type":"string","format":"date"},{"type":"string","maxLength":9}]},
            "days":{"type":"integer","exclusiveMinimum":0}},
        "$defs":{"Place":{"type":"object","properties":{"lat":{"type":"number"}}}}}})
}

impl<'a> Bench<'a> {
    pub fn new(
        d: &'a Dialect,
        provider: &'a Provider,
        address: SocketAddr,
        elsewhere: &'a [Value],
    ) -> Self {
        Bench {
            d,
            provider,
            connection: Connection::open(address),
            elsewhere,
            judged: Vec::new(),
        }
    }

    /// Whether requests are passed through.
    pub fn passes(&self) -> bool {
        self.d.wire == Wire::Responses
    }

    fn named(&self, request: &Value) -> Value {
        let mut request = request.clone();
        request["model"] = json!(format!("{}/{}", self.d.name, self.d.model));
        request
    }

    /// What the client gets, and what the provider saw.
    pub fn post(&mut self, request: &Value) -> (Got, Vec<Seen>) {
        let body = self.named(request).to_string();
        let fields =
            "authorization: Bearer the-client-key\r\noriginator: codex_exec\r\nsession_id: s\r\n";
        let post = post_with("/v1/responses", fields, body.as_bytes());
        self.connection.send(post);
        let got = self.connection.answer();
        (got, self.provider.take_seen())
    }

    /// The same for a request that has to succeed at once.
    pub fn ask(&mut self, request: &Value) -> Result<(Got, Value), String> {
        let (got, mut seen) = self.post(request);
        if got.status != 200 {
            let said = String::from_utf8_lossy(&got.body).into_owned();
            return Err(format!(
                "{} {said} to {}",
                got.status,
                seen.pop().map_or(Value::Null, |s| s.body)
            ));
        }
        want(
            seen.len() == 1,
            format!("{} requests instead of one", seen.len()),
        )?;
        // What was recorded of Codex is judged elsewhere: `stream` has all of it.
        if request["client_metadata"].is_null() {
            self.judged.push(got.body.clone());
        }
        let ended = response(&got);
        same("status", &ended["status"], &json!("completed"))?;
        Ok((got, seen.remove(0).body))
    }

    /// A request to a provider that speaks the client's dialect: its bytes and those of the answer
    /// are untouched, but for the model's name and what the documents say that it refuses.
    pub fn passed(&mut self, request: &Value) -> Cell {
        let (got, seen) = self.post(request);
        let seen = seen.first().ok_or("the provider was not asked")?;
        let mut expected = request.clone();
        expected["model"] = json!(self.d.model);
        let mut exact = self.named(request).to_string();
        exact = exact.replace(
            &format!("\"{}/{}\"", self.d.name, self.d.model),
            &format!("{:?}", self.d.model),
        );
        if self.d.profile == "deepseek-responses" {
            for lost in [
                "client_metadata",
                "include",
                "previous_response_id",
                "store",
            ] {
                expected
                    .as_object_mut()
                    .ok_or("no object")?
                    .shift_remove(lost);
            }
            if let Some(tools) = expected["tools"].as_array_mut() {
                tools.retain(|t| t["type"] == "function" || t["type"] == "custom");
            }
            if expected["tools"].is_null() {
                expected
                    .as_object_mut()
                    .ok_or("no object")?
                    .shift_remove("tools");
            }
            // It makes no compactions, so it can read none.
            let mut noted = 0;
            let items = expected["input"].as_array_mut();
            for item in items
                .into_iter()
                .flatten()
                .filter(|i| i["type"] == "compaction")
            {
                let note = r"[The conversation up to here was compacted by another service, in a form that cannot be read here. What was said and done is not known, except for the messages above: look at the files, or ask, before doing anything anew.]";
                *item = json!({"type":"message","role":"user","content":[{"type":"input_text","text":note}]});
                noted += 1;
            }
            if noted > 0 {
                self.told(&got, "item.degraded")?;
            }
            same("the request", &seen.body, &expected)?;
        } else {
            let raw = String::from_utf8_lossy(&seen.raw);
            want(
                raw == exact,
                format!("the request: expected {exact}, found {raw}"),
            )?;
        }
        let sent = super::responses::canned(request["stream"] == true, &seen.body);
        want(
            got.status == 200 && got.body == sent,
            "the answer's bytes changed",
        )?;
        Ok("")
    }

    /// Whether the client was told of something that was left out or changed.
    pub fn told(&self, got: &Got, code: &str) -> Result<(), String> {
        let field = got
            .head
            .lines()
            .find(|l| l.starts_with("x-strait-diagnostics:"));
        want(
            field.is_some_and(|f| f.contains(code)),
            format!("no diagnostic {code}: {field:?}"),
        )
    }
}
