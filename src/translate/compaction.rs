//! Compaction: a history that has grown too long becomes a summary, which travels through the
//! client in one `compaction` item (SPEC 6.4).
//!
//! ```text
//! history, compaction_trigger ─▶ ask ─▶ history, "write a handover" ─▶ provider
//!                  client ◀─ compaction item ◀─ seal ◀──── its text ◀─────┘
//! kept messages, compaction item, … ─▶ "this is what was said before: …" ─▶ provider
//! ```
//!
//! What asks for the summary is itself a Responses request, so that everything a provider needs is
//! done to it as to any other: a chat provider gets it translated. It begins as the request
//! before it did, tools included, and the provider's prompt cache serves it.

use super::diagnostic::Diagnostic;
use super::item::{Item, ItemKind};
use super::request::missing;
use super::seal;
use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};
use crate::provider::Profile;

/// What the model is asked for, in the place of the user's next message.
const INSTRUCTION: &str = include_str!("compaction/instruction.txt");

/// What stands before a summary, escaped.
const BEFORE_SUMMARY: &[u8] = b"[The conversation up to here was compacted. This is the handover \
    that the model working on the task wrote. What it says is done is done, and shows in the files \
    and tools: do not do it again, and go on from there.]\\n\\n";

/// What stands for a summary that cannot be read.
pub(super) const UNREADABLE: &[u8] = b"[The conversation up to here was compacted by another \
    service, in a form that cannot be read here. What was said and done is not known, except for \
    the messages above: look at the files, or ask, before doing anything anew.]";

/// Members of a request that mean something to an answer and nothing to a summary.
const OF_ANSWERS: [&str; 5] = [
    "context_management",
    "input",
    "stream",
    "text",
    "tool_choice",
];

/// Whether the request's last item asks for a compaction.
pub fn is_asked_for(request: Value<'_>) -> bool {
    let input = request.present("input");
    let last = input.iter().flat_map(|v| v.items()).last();
    last.is_some_and(is_trigger)
}

pub(super) fn is_trigger(item: Value<'_>) -> bool {
    item.str("type").is_some_and(|t| t == "compaction_trigger")
}

/// Whether an item is what came of a compaction.
pub(super) fn is_item(item: Value<'_>) -> bool {
    Item::of(item).kind == ItemKind::Compaction
}

/// The request for a summary of what `request` holds. It is always asked for as a stream, since
/// nobody can say how long it takes, and without leave to call a tool.
pub fn ask(request: Value<'_>) -> Result<Vec<u8>, Error> {
    let mut out = Vec::with_capacity(request.raw().len() + INSTRUCTION.len() + 256);
    out.extend_from_slice(b"{\"stream\":true,\"tool_choice\":\"none\"");
    for (key, value) in request.entries() {
        if OF_ANSWERS.iter().any(|name| key == **name) {
            continue;
        }
        out.extend_from_slice(b",\"");
        key.splice(&mut out);
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.raw());
    }
    out.extend_from_slice(b",\"input\":");
    let input = request.present("input");
    if let Some(odd) = input.filter(|i| !matches!(i.kind(), Kind::Array | Kind::String)) {
        // Whoever reads the request refuses it.
        out.extend_from_slice(odd.raw());
        out.push(b'}');
        return Ok(out);
    }
    let mut items: Vec<_> = input.iter().flat_map(|v| v.items()).collect();
    items.pop_if(|last| is_trigger(*last));
    let text = input.filter(|i| i.kind() == Kind::String);
    let says_nothing = items.is_empty() && text.is_none();
    if says_nothing && request.present("previous_response_id").is_none() {
        return Err(missing("input"));
    }
    out.push(b'[');
    if let Some(text) = text {
        message(&mut out, text.raw());
        out.push(b',');
    }
    for item in items {
        out.extend_from_slice(item.raw());
        out.push(b',');
    }
    let mut instruction = Vec::with_capacity(INSTRUCTION.len() + 64);
    write::string(&mut instruction, INSTRUCTION.trim_end());
    message(&mut out, &instruction);
    out.extend_from_slice(b"]}");
    Ok(out)
}

/// Appends what the user says; `text` is a JSON string, quotes included.
fn message(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(
        b"{\"type\":\"message\",\"role\":\"user\",\"content\":[{\"type\":\"input_text\",\"text\":",
    );
    out.extend_from_slice(text);
    out.extend_from_slice(b"}]}");
}

/// The messages of the user, which stay beside the summary, as items of a response, comma
/// separated. `seed` is for ids where the client gave none.
pub fn kept(request: Value<'_>, seed: &[u8; 32]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut keep = |n: u64, id: Option<Str<'_>>, content: Value<'_>| {
        if !out.is_empty() {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":\"");
        match id {
            Some(id) => id.splice(&mut out),
            None => out.extend_from_slice(id_of(seed, n).as_bytes()),
        }
        out.extend_from_slice(
            b"\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"user\",\"content\":",
        );
        match content.kind() {
            Kind::String => {
                out.extend_from_slice(b"[{\"type\":\"input_text\",\"text\":");
                out.extend_from_slice(content.raw());
                out.extend_from_slice(b"}]}");
            }
            _ => {
                super::snapshot::compact(&mut out, content);
                out.push(b'}');
            }
        }
    };
    let Some(input) = request.present("input") else {
        return out;
    };
    if input.kind() == Kind::String {
        keep(0, None, input);
        return out;
    }
    for (item, n) in Item::list(request).iter().zip(0..) {
        let user = item.role().is_some_and(|role| role == "user");
        if let Some(content) = item.content().filter(|c| !c.is_null())
            && item.kind == ItemKind::Message
            && user
        {
            keep(n, item.id(), content);
        }
    }
    out
}

fn id_of(seed: &[u8; 32], n: u64) -> String {
    let material = [&seed[..], b"kept", &n.to_le_bytes()].concat();
    let digest = ring::digest::digest(&ring::digest::SHA256, &material);
    let mut id = String::from("msg_");
    write::hex(&mut id, &digest.as_ref()[..16]);
    id
}

/// The items that count: where the history holds a trigger and what came of it, as on a WebSocket
/// that remembers both, only what was said by others than the model stays of what is before.
pub(super) fn current(items: Vec<Item<'_>>) -> Vec<Item<'_>> {
    let answered = |pair: &[Item<'_>]| {
        pair[0].kind == ItemKind::CompactionTrigger && pair[1].kind == ItemKind::Compaction
    };
    let Some(at) = items.windows(2).rposition(answered) else {
        return items;
    };
    let stays = |item: &Item<'_>| match item.kind {
        ItemKind::AdditionalTools | ItemKind::ConfigurationUpdate => true,
        ItemKind::Message => item.role().is_none_or(|role| role != "assistant"),
        _ => false,
    };
    let mut items = items;
    let after = items.split_off(at + 1);
    items.retain(stays);
    items.extend(after);
    items
}

/// What a `compaction` item says to a model, escaped; `None` where it was not sealed with this key.
pub(super) fn expand(envelope: Option<Str<'_>>, key: &SealKey) -> Option<Vec<u8>> {
    let summary = seal::unseal_summary(key, &envelope?.text())?;
    Some([BEFORE_SUMMARY, &summary].concat())
}

/// What is said of a `compaction` item that cannot be read.
pub(super) fn unreadable(path: String) -> Diagnostic {
    Diagnostic {
        code: "item.degraded",
        path,
        message: "The compaction was sealed by another service, or with another key; a note \
            stands in its place."
            .into(),
    }
}

/// Appends the `compaction` item `item` for a provider that speaks Responses, as what a user says.
pub(super) fn as_message(
    out: &mut Vec<u8>,
    item: Value<'_>,
    key: &SealKey,
    path: &str,
    diagnostics: &mut Vec<Diagnostic>,
) {
    let text = expand(item.str("encrypted_content"), key).unwrap_or_else(|| {
        diagnostics.push(unreadable(path.to_owned()));
        UNREADABLE.to_vec()
    });
    let mut quoted = Vec::with_capacity(text.len() + 2);
    write::quoted(&mut quoted, &text);
    message(out, &quoted);
}

/// Whether a provider that speaks Responses is to get less than all items: a trigger that was
/// answered, or a compaction though it makes none.
pub(super) fn changes(request: Value<'_>, profile: &Profile) -> bool {
    let input = request.present("input");
    let mut items = input.iter().flat_map(|v| v.items()).peekable();
    while let Some(item) = items.next() {
        let answered = items.peek().is_some() && is_trigger(item);
        if answered || !profile.compacts() && is_item(item) {
            return true;
        }
    }
    false
}

/// What `context_management` asks for is checked, and said not to be done.
pub(super) fn managed(request: Value<'_>, diagnostics: &mut Vec<Diagnostic>) -> Result<(), Error> {
    let Some(entries) = request.present("context_management") else {
        return Ok(());
    };
    let wrong = |expected: &str| super::request::wrong_type("context_management", expected);
    if entries.kind() != Kind::Array {
        return Err(wrong("an array"));
    }
    for entry in entries.items() {
        if entry.str("type").is_none_or(|t| t != "compaction") {
            return Err(wrong("objects of type 'compaction'"));
        }
        let threshold = entry.present("compact_threshold");
        if threshold.is_some_and(|t| t.as_u64().is_none()) {
            return Err(wrong("a positive integer as 'compact_threshold'"));
        }
    }
    diagnostics.push(Diagnostic {
        code: "field.dropped",
        path: "context_management".into(),
        message: "Nothing is compacted unasked; end the input with a compaction_trigger, or POST \
            to /v1/responses/compact."
            .into(),
    });
    Ok(())
}

#[cfg(test)]
#[path = "compaction_tests.rs"]
mod tests;
