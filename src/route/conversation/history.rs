//! What was said on a connection, so that the next request need only say what is new.

use super::Create;
use crate::error::{Error, Kind, Source};
use crate::json::Value;
use crate::limits;
use crate::responses::items::{self, Input};
use crate::route::local;

/// All items up to the end of the last response, and what it is called. An older response, or one
/// of another connection, can only be continued from the store; without it the client then sends
/// its whole history.
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
    /// own. With a store (`stored`) one that continues from what is not known here is left to it.
    /// End what was begun with [`History::keep`] or [`History::undo`].
    pub fn begin(&mut self, message: Value<'_>, stored: bool) -> Result<Create, Error> {
        check(message)?;
        let previous = message.present("previous_response_id");
        let id = previous.and_then(|id| id.as_str()).map(|id| id.raw());
        let known = id.is_some() && id == self.id.as_deref();
        if let Some(previous) = previous
            && !known
            && !(stored && id.is_some())
        {
            return Err(local::no_previous(previous));
        }
        let input = Input::of(message)?;
        let kept = if known { self.items.len() } else { 0 };
        if kept + input.bytes() > limits::BODY_BYTES_MAX {
            return Err(local::too_long());
        }
        self.items.truncate(kept);
        self.before = kept;
        if !known {
            self.id = None;
        }
        input.append_to(&mut self.items);
        /// What only means something to the transport.
        const TRANSPORT: [&str; 5] = [
            "type",
            "generate",
            "stream",
            "stream_id",
            "previous_response_id",
        ];
        let elsewhere = previous.is_some() && !known;
        let without = &TRANSPORT[..TRANSPORT.len() - usize::from(elsewhere)];
        let wants_input = known || message.get("input").is_some();
        let items = wants_input.then_some(self.items.as_slice());
        Ok(Create {
            body: items::request_with(message, "\"stream\":true", without, items),
            generate: message.get("generate").and_then(|g| g.as_bool()) != Some(false),
            previous: id.filter(|_| known).map(<[u8]>::to_vec),
            lease: None,
        })
    }

    /// The response came to its end; `id` is escaped JSON text. `before` are the items that came
    /// from the store, before those that are known here.
    pub fn keep(&mut self, id: &[u8], before: &[u8], output: &[u8]) {
        if !before.is_empty() {
            let mut whole = before.to_vec();
            items::append(&mut whole, &self.items);
            self.items = whole;
        }
        items::append(&mut self.items, output);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;
    use serde_json::{Value as Json, json};

    fn begin(history: &mut History, message: &str) -> Result<(Json, bool), Error> {
        let mut tape = Tape::new();
        let create = history.begin(tape.parse(message.as_bytes()).unwrap(), false)?;
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
        history.keep(b"r1", b"", b"");

        let next = |id: &str, input: &str| {
            format!(
                r#"{{"type":"response.create","input":{input},"previous_response_id":"{id}","tools":[]}}"#
            )
        };
        let (body, generate) = begin(&mut history, &next("r1", r#""hi \"you\"""#)).unwrap();
        let hi = json!({"type":"message","role":"user","content":"hi \"you\""});
        assert_eq!(body["input"], json!([{"a":1}, hi]));
        assert!(generate && body.get("previous_response_id").is_none());
        history.keep(b"r2", b"", br#"{"o":1},{"o":2}"#);

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
        history.keep(b"r1", b"", b"");
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
        history.keep(b"r1", b"", b"");
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
        history.keep(b"r1", b"", long.as_bytes());
        let text = "x".repeat(400);
        let next =
            format!(r#"{{"type":"response.create","input":"{text}","previous_response_id":"r1"}}"#);
        assert_eq!(begin(&mut history, &next).unwrap_err().status(), 413);
        begin(&mut history, &next.replace(&text, "")).unwrap();
        history.keep(b"r2", b"", format!("{text:?}").as_bytes());
        assert_eq!(history.items.capacity(), 0);
        assert!(begin(&mut history, &next.replace("r1", "r2")).is_err());
    }
}
