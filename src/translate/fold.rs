//! A Responses stream folded into the one object that a client asked for which wants no stream.
//!
//! The object is the one of the terminal event. Where that lists no output (the Codex backend
//! leaves it to the events before), the items stand in it that `response.output_item.done` told,
//! in order of `output_index`; of whatever kind they are, byte for byte.

use super::ending::Ending;
use super::reverse::stream::failure;
use super::stream::{UpstreamEnd, Usage};
use super::usage;
use crate::error::Error;
use crate::json::{Tape, Value};
use crate::limits;
use crate::sse::{FeedError, Frames};

/// The machine: one stream becomes one object. `feed(a ++ b)` is the same as `feed(a); feed(b)`.
#[derive(Debug, Default)]
pub struct Fold {
    frames: Frames,
    tape: Tape,
    items: Vec<(u64, Vec<u8>)>,
    /// Bytes of all items.
    kept: usize,
    usage: Option<Usage>,
    ending: Ending,
    status: Option<&'static str>,
}

impl Fold {
    /// A machine for one exchange.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next bytes of the stream; `true` once the object was appended. An error is to
    /// be answered with an HTTP status: nothing was appended.
    pub fn feed(&mut self, upstream: &[u8], out: &mut Vec<u8>) -> Result<bool, Error> {
        let mut frames = std::mem::take(&mut self.frames);
        let result = frames.feed(upstream, |frame| self.frame(frame.data, out));
        self.frames = frames;
        self.settle(result)
    }

    /// The upstream body has ended; appends the object if its last frame held it.
    pub fn finish(&mut self, end: UpstreamEnd, out: &mut Vec<u8>) -> Result<(), Error> {
        let mut frames = std::mem::take(&mut self.frames);
        let result = match end {
            UpstreamEnd::Clean => frames.finish(|frame| self.frame(frame.data, out)),
            UpstreamEnd::Broken(error) => Err(FeedError::Frame(error)),
        };
        if self.settle(result)? {
            return Ok(());
        }
        self.status = Some("failed");
        Err(failure::truncated())
    }

    /// Takes a whole object, which came instead of a stream.
    pub fn feed_object(&mut self, body: &[u8], out: &mut Vec<u8>) {
        let mut tape = Tape::new();
        if let Ok(response) = tape.parse(body) {
            self.usage = usage::of_response(response);
            self.ending = Ending::of_response(response, None);
        }
        self.status = Some("completed");
        out.extend_from_slice(body);
    }

    /// Token counts, once the provider gave them.
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// What the answer said of itself at its end.
    pub fn ending(&self) -> &Ending {
        &self.ending
    }

    /// `completed`, `incomplete` or `failed`, once over.
    pub fn status(&self) -> Option<&'static str> {
        self.status
    }

    fn settle(&mut self, result: Result<(), FeedError<Error>>) -> Result<bool, Error> {
        let error = match result {
            Ok(()) => return Ok(self.status.is_some()),
            // What comes behind the end is of no interest.
            Err(_) if self.status.is_some() => return Ok(true),
            Err(FeedError::Frame(error)) => error,
            Err(FeedError::TooLarge) => {
                failure::broken("The provider sent a frame that is too large.")
            }
        };
        self.status = Some("failed");
        Err(error)
    }

    fn frame(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let data = data.trim_ascii();
        if self.status.is_some() || data.is_empty() {
            return Ok(());
        }
        let mut tape = std::mem::take(&mut self.tape);
        // As clients do: what is no JSON (`[DONE]` among it) says nothing.
        let result = match tape.parse(data) {
            Ok(event) => self.event(event, out),
            Err(_) => Ok(()),
        };
        self.tape = tape;
        result
    }

    fn event(&mut self, event: Value<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(kind) = event.str("type") else {
            return Ok(());
        };
        match &*kind.text() {
            "response.output_item.done" => self.item(event),
            "response.completed" | "response.done" => self.object("completed", event, out),
            "response.incomplete" => self.object("incomplete", event, out),
            "response.failed" => Err(failure::of_response(
                event.present("response").unwrap_or(event),
            )),
            "error" => Err(failure::of_event(event)),
            _ => Ok(()),
        }
    }

    fn item(&mut self, event: Value<'_>) -> Result<(), Error> {
        let Some(item) = event.present("item") else {
            return Ok(());
        };
        self.kept += item.raw().len();
        if self.kept > limits::ANSWER_BYTES_MAX {
            return Err(failure::broken("The provider's answer is too large."));
        }
        let index = event.get("output_index").and_then(|n| n.as_u64());
        let next = self
            .items
            .last()
            .map_or(0, |(last, _)| last.saturating_add(1));
        self.items
            .push((index.unwrap_or(next), item.raw().to_vec()));
        Ok(())
    }

    fn object(
        &mut self,
        status: &'static str,
        event: Value<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let response = event.present("response");
        let Some(response) = response.filter(|r| r.raw().starts_with(b"{")) else {
            return Err(failure::broken(
                "The provider's last event holds no response.",
            ));
        };
        self.usage = usage::of_response(response);
        self.ending = Ending::of_response(response, Some(status));
        self.status = Some(status);
        let listed = response.present("output");
        if listed.is_some_and(|o| o.items().next().is_some()) {
            out.extend_from_slice(response.raw());
            return Ok(());
        }
        self.items.sort_by_key(|(index, _)| *index);
        out.push(b'{');
        for (key, value) in response.entries().filter(|(key, _)| *key != "output") {
            out.push(b'"');
            key.splice(out);
            out.extend_from_slice(b"\":");
            out.extend_from_slice(value.raw());
            out.push(b',');
        }
        out.extend_from_slice(b"\"output\":[");
        for (i, (_, item)) in std::mem::take(&mut self.items).iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(item);
        }
        out.extend_from_slice(b"]}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn sse(events: &[Json]) -> Vec<u8> {
        let frame = |e: &Json| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap());
        events.iter().map(frame).collect::<String>().into_bytes()
    }

    fn done(index: u64, item: &Json) -> Json {
        json!({"type": "response.output_item.done", "output_index": index, "item": item})
    }

    fn completed(output: Json) -> Json {
        json!({"type": "response.completed", "response": {"id": "resp_1", "object": "response",
            "output": output, "status": "completed", "usage": {"input_tokens": 3, "output_tokens": 4}}})
    }

    fn folded(stream: &[u8], cut: usize) -> (Result<(), Error>, Vec<u8>, Fold) {
        let (mut fold, mut out) = (Fold::new(), Vec::new());
        let mut result = Ok(());
        for piece in [&stream[..cut], &stream[cut..]] {
            result = result.and_then(|()| fold.feed(piece, &mut out).map(drop));
        }
        let result = result.and_then(|()| fold.finish(UpstreamEnd::Clean, &mut out));
        (result, out, fold)
    }

    #[test]
    fn items_come_from_the_events_where_the_end_lists_none() {
        let items = [
            json!({"type": "reasoning", "encrypted_content": "gAAA", "summary": []}),
            json!({"type": "unheard_of", "deep": {"a": [1, null]}}),
        ];
        for empty in [json!([]), Json::Null] {
            let events = [done(1, &items[1]), done(0, &items[0]), completed(empty)];
            let stream = sse(&events);
            for cut in 0..=stream.len() {
                let (result, out, fold) = folded(&stream, cut);
                assert_eq!(result, Ok(()));
                let object: Json = serde_json::from_slice(&out).unwrap();
                assert_eq!(object["output"], json!(items), "cut at {cut}");
                assert_eq!(
                    (&object["id"], fold.usage().unwrap().output),
                    (&json!("resp_1"), 4)
                );
                assert_eq!(fold.status(), Some("completed"));
            }
        }
    }

    #[test]
    fn an_end_that_lists_its_output_is_the_object() {
        let end = completed(json!([{"type": "message"}]));
        let (_, out, _) = folded(&sse(&[done(0, &json!({"type": "x"})), end.clone()]), 9);
        let object: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(object, end["response"]);
    }

    #[test]
    fn what_failed_is_an_error_and_never_half_an_object() {
        let failed = |code: &str| json!({"type": "response.failed", "response": {"error": {"code": code, "message": "No."}}});
        let item = done(0, &json!({"type": "message"}));
        for (events, kind) in [
            (vec![failed("rate_limit_exceeded")], Kind::RateLimited),
            (
                vec![item.clone(), failed("invalid_prompt")],
                Kind::BadRequest,
            ),
            (
                vec![json!({"type": "error", "message": "No."})],
                Kind::UpstreamBroken,
            ),
            (
                vec![json!({"type": "response.completed"})],
                Kind::UpstreamBroken,
            ),
            (vec![item], Kind::UpstreamBroken),
        ] {
            let (result, out, fold) = folded(&sse(&events), 20);
            assert_eq!(result.unwrap_err().kind, kind, "{events:?}");
            assert!(out.is_empty());
            assert_eq!(fold.status(), Some("failed"));
        }
    }

    #[test]
    fn an_end_without_its_blank_line_counts_and_what_follows_does_not() {
        let mut stream = sse(&[completed(json!([]))]);
        stream.truncate(stream.len() - 2);
        assert_eq!(folded(&stream, 3).0, Ok(()));
        let twice = sse(&[completed(json!([])), completed(json!([]))]);
        let (_, out, _) = folded(&twice, 3);
        serde_json::from_slice::<Json>(&out).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_give_one_object_or_one_error(bytes in prop::collection::vec(any::<u8>(), 0..300), cut in 0usize..300) {
            let cut = cut.min(bytes.len());
            let (result, out, _) = folded(&bytes, cut);
            prop_assert_eq!(result.is_ok(), !out.is_empty());
        }
    }
}
