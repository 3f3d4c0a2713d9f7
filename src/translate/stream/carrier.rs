//! What a provider wants back unchanged besides the text of its reasoning: signed or encrypted
//! details, and members of calls. It travels sealed in a reasoning item.

use crate::json::{Kind, Value, write};
use crate::translate::snapshot::compact;

/// Members of a detail that come in pieces.
const PIECES: [&str; 3] = ["data", "summary", "text"];
/// Members of a call that are carried anyway.
const KNOWN: [&str; 5] = ["custom", "function", "id", "index", "type"];

/// What is to be sealed. Few providers want anything: made with the first of it.
#[derive(Debug, Default)]
pub(super) struct Carrier(Option<Box<Load>>);

#[derive(Debug, Default)]
struct Load {
    details: Vec<Detail>,
    calls: Vec<CallExtra>,
}

/// One entry of `reasoning_details`, put together from its pieces.
#[derive(Debug, Default)]
struct Detail {
    index: Option<u64>,
    kind: Vec<u8>,
    /// Escaped.
    pieces: [Option<Vec<u8>>; 3],
    /// `,"key":value` of everything else.
    rest: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Members of one call.
#[derive(Debug)]
struct CallExtra {
    /// Its place among the calls that are open; gone once they are closed.
    at: Option<u64>,
    /// The client's id; empty until the call is opened.
    id: Vec<u8>,
    members: Vec<u8>,
}

impl Carrier {
    /// Takes the details of one chunk. Entries of the same index and type continue each other;
    /// `cumulative` ones repeat what came before.
    pub(super) fn details(&mut self, details: Value<'_>, cumulative: bool) {
        for piece in details.items().filter(|d| d.kind() == Kind::Object) {
            let index = piece.get("index").and_then(|i| i.as_u64());
            let kind = piece.str("type").map_or(Vec::new(), |t| t.raw().to_vec());
            let same = |d: &&mut Detail| d.index == index && d.kind == kind;
            let load = self.0.get_or_insert_default();
            let known = match index {
                Some(_) => load.details.iter_mut().rev().find(same),
                None => None,
            };
            let detail = match known {
                Some(detail) => detail,
                None => {
                    load.details.push(Detail {
                        index,
                        kind,
                        ..Detail::default()
                    });
                    let last = load.details.len() - 1;
                    &mut load.details[last]
                }
            };
            detail.take(piece, cumulative);
        }
    }

    /// Takes what is unusual in an entry of `tool_calls`.
    pub(super) fn call(&mut self, at: u64, call: Value<'_>) {
        let mut members = Vec::new();
        for (key, value) in call.entries() {
            if value.kind() != Kind::Object || KNOWN.iter().any(|k| key == **k) {
                continue;
            }
            members.extend_from_slice(if members.is_empty() { b"\"" } else { b",\"" });
            key.splice(&mut members);
            members.extend_from_slice(b"\":");
            compact(&mut members, value);
        }
        if members.is_empty() {
            return;
        }
        let calls = &mut self.0.get_or_insert_default().calls;
        if calls.iter().any(|c| c.at == Some(at)) {
            return;
        }
        calls.push(CallExtra {
            at: Some(at),
            id: Vec::new(),
            members,
        });
    }

    /// The client knows that call as `id`, which is plain ASCII.
    pub(super) fn call_named(&mut self, at: u64, id: &str) {
        let mut calls = self.0.iter_mut().flat_map(|load| &mut load.calls);
        if let Some(call) = calls.find(|c| c.at == Some(at)) {
            call.id = id.as_bytes().to_vec();
        }
    }

    /// Places among the calls count from the beginning again.
    pub(super) fn calls_closed(&mut self) {
        for call in self.0.iter_mut().flat_map(|load| &mut load.calls) {
            call.at = None;
        }
    }

    /// The details so far, as an object to be sealed; empty where there are none.
    pub(super) fn take_details(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Some(load) = &mut self.0 {
            load.write_details(&mut out);
        }
        if !out.is_empty() {
            out.insert(0, b'{');
            out.push(b'}');
        }
        out
    }

    /// Everything that is left, as an object to be sealed; empty where there is nothing.
    pub(super) fn take_all(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let Some(mut load) = self.0.take() else {
            return out;
        };
        load.write_details(&mut out);
        let calls = load.calls;
        for (i, call) in calls.iter().filter(|c| !c.id.is_empty()).enumerate() {
            if i == 0 {
                out.extend_from_slice(if out.is_empty() {
                    b"\"calls\":{"
                } else {
                    b",\"calls\":{"
                });
            } else {
                out.push(b',');
            }
            write::quoted(&mut out, &call.id);
            out.extend_from_slice(b":{");
            out.extend_from_slice(&call.members);
            out.push(b'}');
        }
        if calls.iter().any(|c| !c.id.is_empty()) {
            out.push(b'}');
        }
        if !out.is_empty() {
            out.insert(0, b'{');
            out.push(b'}');
        }
        out
    }
}

impl Load {
    fn write_details(&mut self, out: &mut Vec<u8>) {
        for (i, detail) in std::mem::take(&mut self.details).iter().enumerate() {
            out.extend_from_slice(if i == 0 { b"\"details\":[" } else { b"," });
            detail.write(out);
        }
        if !out.is_empty() {
            out.push(b']');
        }
    }
}

impl Detail {
    fn take(&mut self, piece: Value<'_>, cumulative: bool) {
        for (key, value) in piece.entries() {
            let text = PIECES.iter().position(|p| key == **p);
            if let (Some(at), Some(text)) = (text, value.as_str()) {
                let held = self.pieces[at].get_or_insert_default();
                if cumulative && text.raw().starts_with(held) {
                    held.clear();
                }
                text.splice(held);
                continue;
            }
            if key == "type" || value.is_null() {
                continue;
            }
            let (mut name, mut json) = (Vec::new(), Vec::new());
            key.splice(&mut name);
            compact(&mut json, value);
            match self.rest.iter_mut().find(|(known, _)| *known == name) {
                Some((_, old)) => *old = json,
                None => self.rest.push((name, json)),
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"type\":");
        write::quoted(out, &self.kind);
        for (name, text) in PIECES.iter().zip(&self.pieces) {
            if let Some(text) = text {
                out.extend_from_slice(b",\"");
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(b"\":");
                write::quoted(out, text);
            }
        }
        for (name, json) in &self.rest {
            out.push(b',');
            write::quoted(out, name);
            out.push(b':');
            out.extend_from_slice(json);
        }
        out.push(b'}');
    }
}
