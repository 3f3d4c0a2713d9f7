//! A collected turn is written as one block: the assistant's message, then one answer per call,
//! then the images that could not stand in the answers (SPEC 1.3 rules G, G2, T, I, E).

use super::items::{Call, Messages};
use super::parts::{self, Piece};
use crate::json::write;
use crate::provider::profile::Replay;

/// The answer to a call that was never answered; providers refuse a call without one.
const NO_OUTPUT: &[u8] = b"(no output: the call was interrupted)";

impl<'a> Messages<'a, '_> {
    /// Writes the collected turn, if there is anything in it.
    pub(super) fn flush(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        if turn.text.is_empty() && turn.calls.is_empty() {
            return;
        }
        self.open("assistant");
        self.raw(",\"content\":");
        match (turn.text.is_empty(), self.cx.profile.content_empty_string) {
            (true, false) => self.raw("null"),
            _ => write::quoted(self.out, &turn.text),
        }
        self.replay(turn.reasoning.as_deref());
        if !turn.calls.is_empty() {
            self.tool_calls(&turn.calls);
        }
        self.raw("}");
        self.open_end = turn.calls.is_empty();
        let mut images = Vec::new();
        for call in &turn.calls {
            self.tool_message(call, &mut images);
        }
        if !images.is_empty() {
            self.user_message(&images);
        }
    }

    fn replay(&mut self, reasoning: Option<&[u8]>) {
        let text = match (self.dialect.replay, reasoning) {
            (Replay::None, _) | (Replay::Optional, None) => return,
            (Replay::Required, None) => b"",
            (_, Some(text)) => text,
        };
        self.raw(",");
        write::string(self.out, &self.cx.profile.replay_field);
        self.raw(":");
        write::quoted(self.out, text);
    }

    fn tool_calls(&mut self, calls: &[Call<'a>]) {
        self.raw(",\"tool_calls\":[");
        for (i, call) in calls.iter().enumerate() {
            self.raw(if i > 0 { ",{\"id\":" } else { "{\"id\":" });
            write::quoted(self.out, &call.id);
            self.raw(",\"type\":\"function\",\"function\":{\"name\":");
            write::string(self.out, &call.flat);
            self.raw(",\"arguments\":");
            write::quoted(self.out, &call.arguments);
            self.raw("}}");
        }
        self.raw("]");
    }

    /// The answer to a call. Images that cannot stand in it are moved to `images`, for a user
    /// message behind the block (rule I).
    fn tool_message(&mut self, call: &Call<'a>, images: &mut Vec<Piece<'a>>) {
        self.open("tool");
        self.raw(",\"tool_call_id\":");
        write::quoted(self.out, &call.id);
        self.raw(",\"content\":");
        match &call.answer {
            None => write::quoted(self.out, NO_OUTPUT),
            Some(pieces) if self.dialect.images_tool => parts::write_content(self.out, pieces),
            Some(pieces) => {
                let mut shown = Vec::with_capacity(pieces.len());
                let mut moved = 0;
                for piece in pieces {
                    if !piece.is_image() {
                        shown.push(piece.clone());
                        continue;
                    }
                    if moved == 0 {
                        let title = format!("Image(s) returned by tool call {}:", call.flat);
                        images.push(Piece::Made(title.into_bytes()));
                    }
                    moved += 1;
                    let note = format!("[image {moved}: see next message]");
                    shown.push(Piece::Made(note.into_bytes()));
                    images.push(piece.clone());
                }
                parts::write_content(self.out, &shown);
            }
        }
        self.raw("}");
    }

    /// Starts a message: `{"role":…`.
    pub(super) fn open(&mut self, role: &str) {
        self.close_leading();
        let comma = if std::mem::take(&mut self.first) {
            ""
        } else {
            ","
        };
        self.raw(comma);
        self.raw("{\"role\":\"");
        self.raw(role);
        self.raw("\"");
        self.open_end = false;
    }

    pub(super) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
