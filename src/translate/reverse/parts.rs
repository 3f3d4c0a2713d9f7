//! Content parts: what a message or a tool's output says, as the Responses API writes it.

use super::body::Body;
use super::request::{missing, unsupported};
use crate::error::Error;
use crate::json::write;
use crate::json::{Kind, Str, Value};

/// What a model without eyes reads in the place of an image.
const NO_VISION: &str = "[image omitted: model has no vision input]";

/// Whether the content is text only, so that it may be one string.
pub(super) fn is_text(content: Value<'_>) -> bool {
    content.kind() != Kind::Array || content.items().all(|p| text_of(p).is_some())
}

/// The text of a part that has one.
pub(super) fn text_of(part: Value<'_>) -> Option<Str<'_>> {
    if let Some(text) = part.as_str() {
        return Some(text);
    }
    match part.str("type") {
        Some(kind) if kind == "refusal" => part.str("refusal"),
        Some(kind) if kind != "text" && kind != "input_text" && kind != "output_text" => None,
        _ => part.str("text"),
    }
}

/// Appends all text of `content`, still escaped, a line break between parts. Other parts are
/// left out with a diagnostic.
pub(super) fn text(content: Value<'_>, path: &str, out: &mut Vec<u8>, body: &mut Body<'_>) {
    match content.kind() {
        Kind::String => content.as_str().unwrap_or(Str::EMPTY).splice(out),
        Kind::Null => {}
        Kind::Array => {
            let mut first = true;
            for (i, part) in content.items().enumerate() {
                let Some(text) = text_of(part) else {
                    dropped(part, path, i, body);
                    continue;
                };
                if !std::mem::take(&mut first) {
                    out.extend_from_slice(b"\\n");
                }
                text.splice(out);
            }
        }
        _ => write::escape_again(out, content.raw()),
    }
}

/// Says that a part has no place here.
pub(super) fn dropped(part: Value<'_>, path: &str, i: usize, body: &mut Body<'_>) {
    let kind = part.str("type").unwrap_or(Str::EMPTY).text();
    let message = format!("Content of type '{kind}' has no place here.");
    body.note("content.dropped", format!("{path}[{i}]"), message);
}

/// Appends `content` as a list of input parts.
pub(super) fn input(content: Value<'_>, path: &str, body: &mut Body<'_>) -> Result<(), Error> {
    let mut list = List { first: true };
    body.out.push(b'[');
    if content.kind() == Kind::Array {
        for (i, part) in content.items().enumerate() {
            list.part(part, path, i, body)?;
        }
    }
    if content.kind() != Kind::Array || list.first {
        list.begin(body, b"input_text\",\"text\":\"");
        let mut said = Vec::new();
        if content.kind() != Kind::Array {
            text(content, path, &mut said, body);
        }
        body.out.extend_from_slice(&said);
        body.out.extend_from_slice(b"\"}");
    }
    body.out.push(b']');
    Ok(())
}

struct List {
    first: bool,
}

impl List {
    /// Starts a part; `head` follows `{"type":"`.
    fn begin(&mut self, body: &mut Body<'_>, head: &[u8]) {
        if !std::mem::take(&mut self.first) {
            body.out.push(b',');
        }
        body.out.extend_from_slice(b"{\"type\":\"");
        body.out.extend_from_slice(head);
    }

    fn part(
        &mut self,
        part: Value<'_>,
        path: &str,
        i: usize,
        body: &mut Body<'_>,
    ) -> Result<(), Error> {
        if let Some(text) = text_of(part) {
            self.begin(body, b"input_text\",\"text\":\"");
            text.splice(&mut body.out);
            body.out.extend_from_slice(b"\"}");
            return Ok(());
        }
        match &*part.str("type").unwrap_or(Str::EMPTY).text() {
            "image_url" => self.image(part, &format!("{path}[{i}]"), body)?,
            "file" => self.file(part, path, i, body),
            "input_audio" => {
                let path = format!("{path}[{i}]");
                return Err(unsupported(&path, "The model route has no audio."));
            }
            _ => dropped(part, path, i, body),
        }
        Ok(())
    }

    fn image(&mut self, part: Value<'_>, path: &str, body: &mut Body<'_>) -> Result<(), Error> {
        let holder = part.present("image_url");
        // Some clients write the address itself there.
        let url = holder.and_then(|h| h.as_str().or_else(|| h.str("url")));
        let url = url.ok_or_else(|| missing(&format!("{path}.image_url.url")))?;
        if !body.profile.images_user {
            let message = "The model takes no images; a note stands in its place.";
            body.note("content.degraded", path, message);
            self.begin(body, b"input_text\",\"text\":\"");
            body.out.extend_from_slice(NO_VISION.as_bytes());
            body.out.extend_from_slice(b"\"}");
            return Ok(());
        }
        self.begin(body, b"input_image\",\"image_url\":\"");
        url.splice(&mut body.out);
        body.out.extend_from_slice(b"\",\"detail\":\"");
        let detail = holder.and_then(|h| h.str("detail"));
        detail
            .or_else(|| part.str("detail"))
            .unwrap_or(Str::plain("auto"))
            .splice(&mut body.out);
        body.out.extend_from_slice(b"\"}");
        Ok(())
    }

    fn file(&mut self, part: Value<'_>, path: &str, i: usize, body: &mut Body<'_>) {
        let inner = part.present("file").unwrap_or(part);
        let members = ["file_data", "file_id", "file_url", "filename"].map(|k| (k, inner.str(k)));
        if members[..3].iter().all(|(_, value)| value.is_none()) {
            return dropped(part, path, i, body);
        }
        self.begin(body, b"input_file\"");
        for (key, value) in members {
            let Some(value) = value else { continue };
            body.out.extend_from_slice(b",\"");
            body.out.extend_from_slice(key.as_bytes());
            body.out.extend_from_slice(b"\":\"");
            value.splice(&mut body.out);
            body.out.push(b'"');
        }
        body.out.push(b'}');
    }
}
