//! Calls of tools.

use super::Translator;
use super::emit::Form;
use super::items::{Call, Numbered, find, slot};
use crate::json::{Kind, Str, Value, write};
use crate::translate::snapshot::compact;
use crate::translate::tools::flat_name;

/// What stands around raw text that goes as the arguments of a function; escaped.
const WRAP: (&[u8], &[u8]) = (b"{\\\"input\\\":\\\"", b"\\\"}");

impl Translator {
    fn call_of(&self, o: u64) -> Option<Call> {
        let at = find(&self.items, o).ok()?;
        self.items[at].call
    }

    fn set_call(&mut self, o: u64, call: Call) {
        slot(&mut self.items, o).call = Some(call);
    }

    /// Tells the client of a call, as soon as its name is known.
    pub(super) fn announce(&mut self, o: u64, item: Value<'_>, out: &mut Vec<u8>) -> Option<Call> {
        if let Some(call) = self.call_of(o) {
            return Some(call);
        }
        let name = item.str("name").filter(|n| !n.is_empty())?;
        let custom = item.str("type").is_some_and(|t| t == "custom_tool_call");
        let declared = custom && self.custom_tools.iter().any(|n| name == **n);
        let call = Call {
            k: self.calls,
            form: match declared {
                _ if self.legacy_functions => Form::Legacy,
                true => Form::Custom,
                false => Form::Function,
            },
            wrapped: custom && (!declared || self.legacy_functions),
            hidden: self.legacy_functions && self.calls > 0,
            shown: false,
            complete: false,
        };
        self.calls += 1;
        self.set_call(o, call);
        if call.hidden {
            return Some(call);
        }
        self.said_call(out);
        let mut id = Vec::new();
        let given = item.str("call_id").filter(|id| !id.is_empty());
        match given.or_else(|| item.str("id").filter(|id| !id.is_empty())) {
            Some(given) => given.splice(&mut id),
            None => {
                id.extend_from_slice(b"call_");
                for byte in &self.seed[..12] {
                    id.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
                write::uint(&mut id, call.k);
            }
        }
        let mut said = Vec::new();
        match item.str("namespace").filter(|n| !n.is_empty()) {
            Some(space) => {
                let flat = flat_name(Some(&space.text()), &name.text());
                write::escape_into(&mut said, &flat);
            }
            None => name.splice(&mut said),
        }
        self.emitter.call(out, call.k, call.form, &id, &said);
        Some(call)
    }

    /// A piece of the arguments of a call that was announced.
    pub(super) fn arguments(&mut self, o: u64, text: Str<'_>, out: &mut Vec<u8>) {
        let Some(call) = self.call_of(o) else { return };
        if text.is_empty() || call.complete {
            return;
        }
        self.set_call(
            o,
            Call {
                shown: true,
                ..call
            },
        );
        if call.hidden {
            return;
        }
        self.said_call(out);
        self.emitter.arguments(out, call.k, call.form, |out| {
            if !call.wrapped {
                return text.splice(out);
            }
            if !call.shown {
                out.extend_from_slice(WRAP.0);
            }
            let mut escaped = Vec::new();
            text.splice(&mut escaped);
            write::escape_again(out, &escaped);
        });
    }

    /// All arguments at once; news only if there was no delta.
    pub(super) fn all_arguments(&mut self, o: u64, value: Option<Value<'_>>, out: &mut Vec<u8>) {
        let shown = self.call_of(o).is_none_or(|c| c.shown);
        let Some(value) = value.filter(|_| !shown) else {
            return;
        };
        if let Some(text) = value.as_str() {
            return self.arguments(o, text, out);
        }
        if value.kind() != Kind::Object {
            return;
        }
        // An object where its text is expected.
        let (mut json, mut text) = (Vec::new(), Vec::new());
        compact(&mut json, value);
        text.push(b'"');
        write::escape_again(&mut text, &json);
        text.push(b'"');
        let mut tape = crate::json::Tape::new();
        if let Ok(text) = tape.parse(&text)
            && let Some(text) = text.as_str()
        {
            self.arguments(o, text, out);
        }
    }

    /// A call is complete.
    pub(super) fn close_call(&mut self, o: u64, out: &mut Vec<u8>) {
        let Some(call) = self.call_of(o).filter(|c| !c.complete) else {
            return;
        };
        self.set_call(
            o,
            Call {
                complete: true,
                ..call
            },
        );
        let owed = call.wrapped || (!call.shown && call.form != Form::Custom);
        if call.hidden || !owed {
            return;
        }
        self.said_call(out);
        self.emitter.arguments(out, call.k, call.form, |out| {
            if !call.wrapped {
                // No arguments are an empty object: clients parse them.
                return out.extend_from_slice(b"{}");
            }
            if !call.shown {
                out.extend_from_slice(WRAP.0);
            }
            out.extend_from_slice(WRAP.1);
        });
    }

    /// Calls whose end was not said, in an answer that is complete.
    pub(super) fn close_calls(&mut self, out: &mut Vec<u8>) {
        for at in 0..self.items.len() {
            if self.items[at].call.is_some_and(|c| !c.complete) {
                self.close_call(self.items[at].number(), out);
            }
        }
    }
}
