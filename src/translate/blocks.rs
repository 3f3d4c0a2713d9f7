//! A collected turn is written as one block: the assistant's message, then one answer per call,
//! then the images that could not stand in the answers (SPEC 1.3 rules G, G2, T, I, E).

use super::fields::toml_json;
use super::items::{Call, Messages, Turn};
use super::parts::{self, Piece};
use crate::json::write;
use crate::json::{Kind, Tape, Value};
use crate::provider::profile::{Replay, ReplayForm};

/// The answer to a call that was never answered; providers refuse a call without one.
const NO_OUTPUT: &[u8] = b"(no output: the call was interrupted)";

impl<'a> Messages<'a, '_> {
    /// Writes the collected turn, if there is anything in it.
    pub(super) fn flush(&mut self) {
        if self.turn.text.is_empty() && self.turn.calls.is_empty() {
            return self.turn.clear();
        }
        let mut turn = std::mem::take(&mut self.turn);
        self.block(&turn);
        // The next turn is collected in the same memory.
        turn.clear();
        self.turn = turn;
    }

    fn block(&mut self, turn: &Turn<'a>) {
        let mut tape = Tape::new();
        let mut extra = None;
        let sealed;
        if !turn.extra.is_empty() {
            sealed = [&turn.extra[..], b"]"].concat();
            extra = tape.parse(&sealed).ok();
        }
        self.open("assistant");
        self.raw(",\"content\":");
        let thoughts = turn.reasoning.as_deref();
        let thoughts = thoughts.filter(|_| self.cx.profile.replay_form == ReplayForm::Content);
        match (thoughts, turn.text.is_empty()) {
            (Some(thoughts), _) if self.cx.profile.replays() != Replay::None => {
                self.thinking_content(thoughts, &turn.text);
            }
            (_, true) if !self.cx.profile.content_empty_string => self.raw("null"),
            _ => write::quoted(self.out, &turn.text),
        }
        self.replay(turn.reasoning.as_deref(), extra);
        if !turn.calls.is_empty() {
            self.tool_calls(&turn.calls, extra);
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

    /// Content that begins with the model's thoughts.
    fn thinking_content(&mut self, thoughts: &[u8], text: &[u8]) {
        self.raw("[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":");
        write::quoted(self.out, thoughts);
        self.raw("}]}");
        if !text.is_empty() {
            self.raw(",{\"type\":\"text\",\"text\":");
            write::quoted(self.out, text);
            self.raw("}");
        }
        self.raw("]");
    }

    fn replay(&mut self, reasoning: Option<&[u8]>, extra: Option<Value<'_>>) {
        let profile = self.cx.profile;
        let replay = profile.replays();
        if replay == Replay::None || profile.replay_form == ReplayForm::Content {
            return;
        }
        if profile.replay_form == ReplayForm::Details {
            let mut sealed = extra.iter().flat_map(|e| e.items());
            let details = sealed.find_map(|e| e.present("details"));
            if let Some(details) = details.filter(|d| d.kind() == Kind::Array) {
                self.raw(",");
                write::string(self.out, &profile.replay_field);
                self.raw(":");
                self.out.extend_from_slice(details.raw());
            }
            return;
        }
        let text = match (replay, reasoning) {
            (Replay::Required, None) => b"",
            (_, Some(text)) => text,
            (_, None) => return,
        };
        self.raw(",");
        write::string(self.out, &profile.replay_field);
        self.raw(":");
        write::quoted(self.out, text);
    }

    fn tool_calls(&mut self, calls: &[Call<'a>], extra: Option<Value<'_>>) {
        self.raw(",\"tool_calls\":[");
        for (i, call) in calls.iter().enumerate() {
            self.raw(if i > 0 { ",{\"id\":" } else { "{\"id\":" });
            write::string(self.out, &call.id);
            let (kind, text) = match call.freeform {
                true => (r#","type":"custom","custom":{"name":"#, r#","input":"#),
                false => (
                    r#","type":"function","function":{"name":"#,
                    r#","arguments":"#,
                ),
            };
            self.raw(kind);
            write::string(self.out, &call.flat);
            self.raw(text);
            self.raw("\"");
            call.arguments.splice(self.out);
            self.raw("\"");
            self.raw("}");
            let mut sealed = extra.iter().flat_map(|e| e.items());
            let own = sealed.find_map(|e| e.present("calls")?.present(&call.client_id));
            self.call_extra(own, i == 0);
            self.raw("}");
        }
        self.raw("]");
    }

    /// Members of a call that the provider wants back as they were, or what it takes in the
    /// place of those that are lost.
    fn call_extra(&mut self, own: Option<Value<'_>>, first: bool) {
        if let Some(own) = own {
            for (key, value) in own.entries() {
                self.raw(",\"");
                key.splice(self.out);
                self.raw("\":");
                self.out.extend_from_slice(value.raw());
            }
            return;
        }
        for (key, value) in self.cx.profile.call_extra_missing.iter().filter(|_| first) {
            self.raw(",");
            write::string(self.out, key);
            self.raw(":");
            toml_json(self.out, value);
        }
    }

    /// The answer to a call. Images that cannot stand in it are moved to `images`, for a user
    /// message behind the block (rule I).
    fn tool_message(&mut self, call: &Call<'a>, images: &mut Vec<Piece<'a>>) {
        self.open("tool");
        self.raw(",\"tool_call_id\":");
        write::string(self.out, &call.id);
        if self.cx.profile.name_on_tool {
            self.raw(",\"name\":");
            write::string(self.out, &call.flat);
        }
        self.raw(",\"content\":");
        match &call.answer {
            None => write::quoted(self.out, NO_OUTPUT),
            Some(pieces) if self.cx.profile.images_tool => parts::write_content(self.out, pieces),
            Some(pieces) => {
                let mut shown = Vec::with_capacity(pieces.len());
                let mut moved = 0;
                for piece in pieces {
                    if !piece.is_media() {
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
        self.user_content = None;
    }

    pub(super) fn raw(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }
}
