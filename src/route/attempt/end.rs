//! The last piece of an answer: said, or held back until the response is kept.

use super::{Attempt, Body, Step};
use crate::json::Tape;
use crate::responses::object;

impl Attempt {
    /// The response object that waits for [`Attempt::release`].
    pub fn held(&self) -> &[u8] {
        &self.collected
    }

    /// Says the last piece: the response is kept, or it says that it is not.
    pub fn release(&mut self, kept: bool, out: &mut Vec<u8>) {
        let mut response = std::mem::take(&mut self.collected);
        if !kept {
            response = unstored(response);
        }
        if self.gives_object() {
            let begin = out.len();
            out.extend_from_slice(&response);
            return self.whole(out, begin);
        }
        let begin = self.framing.begin(out);
        self.mode.say_end(&response, kept, out);
        self.end_piece(out, begin);
        self.framing.last(out);
    }

    /// Ends the last piece of a stream, which begins at `begin`.
    pub(super) fn end_stream(&mut self, out: &mut Vec<u8>, begin: usize) -> Step {
        let held = self.holds_end.then(|| self.mode.take_held());
        match held {
            Some(Some(response)) => {
                self.collected = response;
                self.end_piece(out, begin);
                return Step::Held;
            }
            Some(None) => self.mode.say_rest(out),
            None => {}
        }
        self.end_piece(out, begin);
        self.framing.last(out);
        Step::Done
    }

    /// Whether the client gets one object and not a stream.
    fn gives_object(&self) -> bool {
        self.mode.gives_object() || self.body == Body::Object && self.mode.passes()
    }

    /// Says the whole object, which stands in `out` from `begin`, or holds it back.
    pub(super) fn end_object(&mut self, out: &mut Vec<u8>, begin: usize) -> Step {
        if self.holds_end {
            self.collected = out.split_off(begin);
            return Step::Held;
        }
        self.whole(out, begin);
        Step::Done
    }
}

/// The response object, where it says whether it is kept: it is not.
fn unstored(response: Vec<u8>) -> Vec<u8> {
    let mut tape = Tape::new();
    match tape.parse(&response) {
        Ok(object) if object.get("store").is_some() => object::with(object, &[("store", b"false")]),
        _ => response,
    }
}
