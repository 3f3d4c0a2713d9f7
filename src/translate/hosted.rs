//! Items of tools that the API hosts, in old histories: told in words, or shown (SPEC 1.2).

use super::parts::{Media, Piece};
use crate::json::write;
use crate::json::{Kind, Str, Value};

/// That there was a search, if it says for what.
pub(super) fn search<'a>(item: Value<'a>) -> Option<Piece<'a>> {
    let action = item.present("action")?;
    let mut text = b"[searched the web: ".to_vec();
    let from = text.len();
    let mut add = |part: Str<'_>| {
        if text.len() > from {
            text.extend_from_slice(b", ");
        }
        part.splice(&mut text);
    };
    let queries = action.present("queries");
    let listed = queries
        .iter()
        .flat_map(|q| q.items())
        .filter_map(|q| q.as_str());
    let mut any = false;
    for query in listed {
        any = true;
        add(query);
    }
    if !any {
        for name in ["query", "url", "pattern"] {
            if let Some(part) = action.str(name).filter(|p| !p.is_empty()) {
                add(part);
            }
        }
    }
    if text.len() == from {
        return None;
    }
    text.push(b']');
    Some(Piece::Made(text))
}

/// Code that ran, and what it printed.
pub(super) fn code<'a>(item: Value<'a>) -> Piece<'a> {
    let mut text = b"```python\\n".to_vec();
    item.str("code").unwrap_or(Str::EMPTY).splice(&mut text);
    text.extend_from_slice(b"\\n```");
    let outputs = item.present("outputs");
    for output in outputs.iter().flat_map(|o| o.items()) {
        if let Some(logs) = output.str("logs").filter(|l| !l.is_empty()) {
            text.extend_from_slice(b"\\n");
            logs.splice(&mut text);
        }
    }
    Piece::Made(text)
}

/// A picture that was made: shown if the model has eyes. Its bytes never become text.
pub(super) fn image<'a>(item: Value<'a>, media: Media) -> Vec<Piece<'a>> {
    let mut caption = b"[generated image".to_vec();
    if let Some(prompt) = item.str("revised_prompt").filter(|p| !p.is_empty()) {
        caption.extend_from_slice(b": ");
        prompt.splice(&mut caption);
    }
    caption.push(b']');
    let mut pieces = vec![Piece::Made(caption)];
    let result = item.str("result").filter(|r| !r.is_empty() && media.images);
    if let Some(result) = result {
        let mut part =
            b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,".to_vec();
        result.splice(&mut part);
        part.extend_from_slice(b"\"}}");
        pieces.push(Piece::File(part));
    }
    pieces
}

/// What a search in files found; without results there is nothing to say.
pub(super) fn files<'a>(item: Value<'a>) -> Option<Piece<'a>> {
    let results = item.present("results")?;
    let mut text = Vec::new();
    for result in results.items() {
        let Some(found) = result.str("text").filter(|t| !t.is_empty()) else {
            continue;
        };
        text.extend_from_slice(b"\\n<file name=\\\"");
        result
            .str("filename")
            .unwrap_or(Str::EMPTY)
            .splice(&mut text);
        text.extend_from_slice(b"\\\">");
        found.splice(&mut text);
        text.extend_from_slice(b"</file>");
    }
    (!text.is_empty()).then(|| Piece::Made([b"[found in files]", &text[..]].concat()))
}

/// What the model wanted to do.
pub(super) fn approval_request<'a>(item: Value<'a>) -> Piece<'a> {
    let mut text = b"[approval requested: ".to_vec();
    item.str("server_label")
        .unwrap_or(Str::EMPTY)
        .splice(&mut text);
    text.push(b'.');
    item.str("name").unwrap_or(Str::EMPTY).splice(&mut text);
    text.push(b' ');
    match item.get("arguments") {
        Some(arguments) if arguments.kind() == Kind::String => {
            arguments.as_str().unwrap_or(Str::EMPTY).splice(&mut text);
        }
        Some(arguments) => write::escape_again(&mut text, arguments.raw()),
        None => {}
    }
    text.push(b']');
    Piece::Made(text)
}

/// What the user said to that.
pub(super) fn approval_response<'a>(item: Value<'a>) -> Piece<'a> {
    let approved = item.get("approve").and_then(|a| a.as_bool()) == Some(true);
    let mut text = format!("[approved: {approved}]").into_bytes();
    if let Some(reason) = item.str("reason").filter(|r| !r.is_empty()) {
        text.push(b' ');
        reason.splice(&mut text);
    }
    Piece::Made(text)
}
