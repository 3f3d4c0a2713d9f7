//! What was said on a connection, so that the next request need only say what is new.

use super::Create;
use crate::error::{Error, Kind, Source};
use crate::json::{Kind as JsonKind, Value};
use crate::limits;

/// All items up to the end of the last response, and what it is called. An older response cannot
/// be continued, nor one of another connection: the client then sends its whole history.
#[derive(Debug, Default)]
pub(super) struct History {
    /// The last response's id, as escaped JSON text.
    id: Option<Vec<u8>>,
    /// Input and output items, comma separated.
    items: Vec<u8>,
    /// How much of them stood there before the request that is under way.
    before: usize,
}

impl History {
    /// Makes a `response.create` message whole: the items that it continues from come before its
    /// own. End what was begun with [`History::keep`] or [`History::undo`].
    pub fn begin(&mut self, message: Value<'_>) -> Result<Create, Error> {
        check(message)?;
        let previous = message.present("previous_response_id");
        if let Some(previous) = previous {
            let known = previous.as_str().map(|id| id.raw());
            if known.is_none() || known != self.id.as_deref() {
                return Err(not_found(previous));
            }
        }
        let input = Input::of(message)?;
        let kept = previous.map_or(0, |_| self.items.len());
        if kept + input.len() > limits::BODY_BYTES_MAX {
            let mib = limits::BODY_BYTES_MAX >> 20;
            let what = format!("The request with all that it continues is over {mib} MiB.");
            return Err(Error::new(Source::Downstream, Kind::BodyTooLarge, what));
        }
        self.items.truncate(kept);
        self.before = kept;
        if previous.is_none() {
            self.id = None;
        }
        input.append_to(&mut self.items);
        let wants_input = previous.is_some() || message.get("input").is_some();
        Ok(Create {
            body: self.body(message, wants_input),
            generate: message.get("generate").and_then(|g| g.as_bool()) != Some(false),
        })
    }

    /// The response came to its end; `id` is escaped JSON text.
    pub fn keep(&mut self, id: &[u8], output: &[u8]) {
        append(&mut self.items, output);
        if self.items.len() > limits::BODY_BYTES_MAX {
            // Nothing can follow on it, so it need not be kept.
            *self = History::default();
            return;
        }
        self.before = self.items.len();
        self.id = Some(id.to_vec());
    }

    /// The response failed: what it continued from can be continued again.
    pub fn undo(&mut self) {
        self.items.truncate(self.before);
    }

    /// The message as the body of a POST.
    fn body(&self, message: Value<'_>, wants_input: bool) -> Vec<u8> {
        /// What only means something to the transport.
        const TRANSPORT: [&str; 5] = [
            "type",
            "previous_response_id",
            "generate",
            "stream",
            "stream_id",
        ];
        let mut body = Vec::with_capacity(self.items.len() + message.raw().len() + 32);
        body.extend_from_slice(b"{\"stream\":true");
        let mut told = !wants_input;
        for (key, value) in message.entries() {
            if TRANSPORT.iter().any(|t| key == *t) {
                continue;
            }
            if key == "input" {
                if !std::mem::replace(&mut told, true) {
                    self.write_items(&mut body);
                }
                continue;
            }
            body.extend_from_slice(b",\"");
            body.extend_from_slice(key.raw());
            body.extend_from_slice(b"\":");
            body.extend_from_slice(value.raw());
        }
        if !told {
            self.write_items(&mut body);
        }
        body.push(b'}');
        body
    }

    fn write_items(&self, body: &mut Vec<u8>) {
        body.extend_from_slice(b",\"input\":[");
        body.extend_from_slice(&self.items);
        body.push(b']');
    }
}

/// The items that a message brings.
enum Input<'a> {
    /// The inside of an array.
    Items(&'a [u8]),
    /// A string in its quotes: what the user says.
    Text(&'a [u8]),
}

impl<'a> Input<'a> {
    const TEXT: (&'static [u8], &'static [u8]) = (
        b"{\"type\":\"message\",\"role\":\"user\",\"content\":",
        b"}",
    );

    fn of(message: Value<'a>) -> Result<Input<'a>, Error> {
        let Some(input) = message.present("input") else {
            return Ok(Input::Items(b""));
        };
        let raw = input.raw();
        match input.kind() {
            JsonKind::Array => Ok(Input::Items(raw[1..raw.len() - 1].trim_ascii())),
            JsonKind::String => Ok(Input::Text(raw)),
            _ => {
                let what = "Invalid type for 'input': expected a string or an array.";
                let error = Error::bad_request(what).with_param("input");
                Err(error.with_code("invalid_type"))
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Input::Items(items) => items.len() + 1,
            Input::Text(text) => Self::TEXT.0.len() + text.len() + Self::TEXT.1.len() + 1,
        }
    }

    fn append_to(&self, items: &mut Vec<u8>) {
        match self {
            Input::Items(more) => append(items, more),
            Input::Text(text) => append(items, &[Self::TEXT.0, text, Self::TEXT.1].concat()),
        }
    }
}

fn append(items: &mut Vec<u8>, more: &[u8]) {
    if more.is_empty() {
        return;
    }
    if !items.is_empty() {
        items.push(b',');
    }
    items.extend_from_slice(more);
}

fn check(message: Value<'_>) -> Result<(), Error> {
    if message
        .str("type")
        .is_none_or(|kind| kind != "response.create")
    {
        let what = "A message must be a JSON object of type 'response.create'.";
        return Err(Error::bad_request(what).with_param("type"));
    }
    if message.present("stream_id").is_some() {
        let what = "Responses come one after the other here: 'stream_id' is not supported.";
        let error = Error::new(Source::Downstream, Kind::Unsupported, what);
        return Err(error.with_param("stream_id"));
    }
    Ok(())
}

/// Codex answers to this code with its whole history, on a new connection, without a word.
fn not_found(previous: Value<'_>) -> Error {
    let id: String = match previous.as_str() {
        Some(id) => id.text().chars().take(128).collect(),
        None => String::new(),
    };
    let what = format!(
        "Previous response with id {id:?} not found: only the last one on this connection can be continued."
    );
    Error::bad_request(what)
        .with_param("previous_response_id")
        .with_code("previous_response_not_found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;
    use serde_json::{Value as Json, json};

    fn begin(history: &mut History, message: &str) -> Result<(Json, bool), Error> {
        let mut tape = Tape::new();
        let create = history.begin(tape.parse(message.as_bytes()).unwrap())?;
        Ok((
            serde_json::from_slice(&create.body).unwrap(),
            create.generate,
        ))
    }

    #[test]
    fn what_is_new_stands_behind_what_was_said() {
        let mut history = History::default();
        let first = r#"{"type":"response.create","model":"m","input":[ {"a":1} ],"stream":false,"generate":false}"#;
        let (body, generate) = begin(&mut history, first).unwrap();
        let expected = json!({"stream":true,"model":"m","input":[{"a":1}]});
        assert_eq!((body, generate), (expected, false));
        history.keep(b"r1", b"");

        let next = |id: &str, input: &str| {
            format!(
                r#"{{"type":"response.create","input":{input},"previous_response_id":"{id}","tools":[]}}"#
            )
        };
        let (body, generate) = begin(&mut history, &next("r1", r#""hi \"you\"""#)).unwrap();
        let hi = json!({"type":"message","role":"user","content":"hi \"you\""});
        assert_eq!(body["input"], json!([{"a":1}, hi]));
        assert!(generate && body.get("previous_response_id").is_none());
        history.keep(b"r2", br#"{"o":1},{"o":2}"#);

        // The same once more after a failure; not at all under an older name.
        for _ in 0..2 {
            let (body, _) = begin(&mut history, &next("r2", r#"[{"b":2}]"#)).unwrap();
            let whole = json!([{"a":1}, hi, {"o":1}, {"o":2}, {"b":2}]);
            assert_eq!(body["input"], whole);
            history.undo();
        }
        let error = begin(&mut history, &next("r1", "[]")).unwrap_err();
        assert_eq!(
            (error.status(), error.api_code()),
            (400, "previous_response_not_found")
        );
        // Nothing new is fine; a request that names nothing begins anew.
        let (body, _) = begin(&mut history, &next("r2", "[]")).unwrap();
        assert_eq!(body["input"].as_array().unwrap().len(), 4);
        history.undo();
        let (body, _) = begin(&mut history, first).unwrap();
        assert_eq!(body["input"], json!([{"a":1}]));
        history.undo();
        assert!(begin(&mut history, &next("r2", "[]")).is_err());
    }

    #[test]
    fn what_is_no_request_changes_nothing() {
        let mut history = History::default();
        begin(&mut history, r#"{"type":"response.create","input":"a"}"#).unwrap();
        history.keep(b"r1", b"");
        for (message, param) in [
            (r#"[1]"#, "type"),
            (r#"{"type":"response.cancel"}"#, "type"),
            (r#"{"type":"response.create","input":7}"#, "input"),
            (r#"{"type":"response.create","stream_id":"s"}"#, "stream_id"),
            (
                r#"{"type":"response.create","previous_response_id":7}"#,
                "previous_response_id",
            ),
        ] {
            let error = begin(&mut history, message).unwrap_err();
            assert_eq!((error.status(), error.param.as_deref()), (400, Some(param)));
        }
        let next = r#"{"type":"response.create","previous_response_id":"r1"}"#;
        let (body, _) = begin(&mut history, next).unwrap();
        assert_eq!(body["input"].as_array().unwrap().len(), 1);
        // Without input and without a history the ordinary path says what is missing.
        let (body, _) = begin(&mut history, r#"{"type":"response.create"}"#).unwrap();
        assert!(body.get("input").is_none());
    }

    #[test]
    fn a_response_without_items_can_be_continued_again_after_a_failure() {
        let mut history = History::default();
        begin(&mut history, r#"{"type":"response.create","input":[]}"#).unwrap();
        history.keep(b"r1", b"");
        let next = r#"{"type":"response.create","previous_response_id":"r1","input":[1]}"#;
        for _ in 0..2 {
            assert_eq!(begin(&mut history, next).unwrap().0["input"], json!([1]));
            history.undo();
        }
    }

    #[test]
    fn a_history_over_the_limit_is_not_kept() {
        let mut history = History::default();
        begin(&mut history, r#"{"type":"response.create","input":"a"}"#).unwrap();
        let long = format!("{:?}", "y".repeat(limits::BODY_BYTES_MAX - 350));
        history.keep(b"r1", long.as_bytes());
        let text = "x".repeat(400);
        let next =
            format!(r#"{{"type":"response.create","input":"{text}","previous_response_id":"r1"}}"#);
        assert_eq!(begin(&mut history, &next).unwrap_err().status(), 413);
        begin(&mut history, &next.replace(&text, "")).unwrap();
        history.keep(b"r2", format!("{text:?}").as_bytes());
        assert_eq!(history.items.capacity(), 0);
        assert!(begin(&mut history, &next.replace("r1", "r2")).is_err());
    }
}
