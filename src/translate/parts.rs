//! Content parts: what a message or a tool's output says, as text and images (SPEC 1.2).

use super::diagnostic::Diagnostic;
use crate::error::{Error, Kind as ErrorKind, Source};
use crate::json::write;
use crate::json::{Kind, Members, Names, Str, Value};
use crate::provider::Profile;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smallvec::SmallVec;

/// What a model without eyes reads in the place of an image.
pub(super) const NO_VISION: &[u8] = b"[image omitted: model has no vision input]";

/// What stands for an image that the provider cannot fetch.
const NO_FETCHING: &[u8] = b"[image omitted: the provider takes no image addresses]";

/// Data URLs of kinds that are never text.
const BINARY: [&str; 5] = [
    "data:application/pdf",
    "data:application/zip",
    "data:audio/",
    "data:image/",
    "data:video/",
];

/// The content of a message: nearly always one piece.
pub(super) type Pieces<'a> = SmallVec<[Piece<'a>; 1]>;

/// One piece of content.
#[derive(Clone, Debug)]
pub(super) enum Piece<'a> {
    /// The client's text, still escaped.
    Text(Str<'a>),
    /// Text that was made here, escaped.
    Made(Vec<u8>),
    /// An image and how closely to look at it.
    Image {
        url: Str<'a>,
        detail: Option<Str<'a>>,
    },
    /// A file, as a chat content part.
    File(Vec<u8>),
}

/// What a message may hold besides text.
#[derive(Clone, Copy)]
pub(super) struct Media {
    pub images: bool,
    http: bool,
    detail: bool,
    files: bool,
}

impl Media {
    /// Nothing.
    pub const NONE: Media = Media {
        images: false,
        http: false,
        detail: false,
        files: false,
    };

    /// What the provider takes, where it takes `images`.
    pub fn of(profile: &Profile, images: bool) -> Media {
        Media {
            images,
            http: profile.images_http,
            detail: profile.image_detail,
            files: profile.files,
        }
    }
}

impl Piece<'_> {
    /// Whether it cannot stand in a string.
    pub fn is_media(&self) -> bool {
        matches!(self, Piece::Image { .. } | Piece::File(_))
    }

    /// Appends the piece as escaped text.
    pub fn splice(&self, out: &mut Vec<u8>) {
        match self {
            Piece::Text(text) => text.splice(out),
            Piece::Made(text) => out.extend_from_slice(text),
            Piece::Image { .. } | Piece::File(_) => out.extend_from_slice(NO_VISION),
        }
    }

    /// Appends the piece as a chat content part.
    pub fn write_part(&self, out: &mut Vec<u8>) {
        if let Piece::File(part) = self {
            return out.extend_from_slice(part);
        }
        let Piece::Image { url, detail } = self else {
            out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"");
            self.splice(out);
            out.extend_from_slice(b"\"}");
            return;
        };
        out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":\"");
        url.splice(out);
        out.push(b'"');
        if let Some(detail) = detail {
            out.extend_from_slice(b",\"detail\":\"");
            // A value of the Responses API that chat completions do not have.
            if *detail == "original" {
                out.extend_from_slice(b"high");
            } else {
                detail.splice(out);
            }
            out.push(b'"');
        }
        out.extend_from_slice(b"}}");
    }
}

/// Appends pieces as `content`: one plain string where there is only text, since many servers
/// refuse lists of text, else a list of parts.
pub(super) fn write_content(out: &mut Vec<u8>, pieces: &[Piece<'_>]) {
    if !pieces.iter().any(Piece::is_media) {
        out.push(b'"');
        write_text(out, pieces);
        out.push(b'"');
        return;
    }
    out.push(b'[');
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        piece.write_part(out);
    }
    out.push(b']');
}

/// Appends pieces as one escaped text, a line break between them.
pub(super) fn write_text(out: &mut Vec<u8>, pieces: &[Piece<'_>]) {
    for (i, piece) in pieces.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\\n");
        }
        piece.splice(out);
    }
}

/// Whether there is nothing to see or read in `pieces`.
pub(super) fn is_blank(pieces: &[Piece<'_>]) -> bool {
    pieces.iter().all(|p| match p {
        Piece::Text(text) => text.is_empty(),
        Piece::Made(text) => text.is_empty(),
        Piece::Image { .. } | Piece::File(_) => false,
    })
}

/// Where in the request something stands: the item of that index, and what within it. Its path is
/// written only where someone is to read it.
#[derive(Clone, Copy)]
pub(super) struct Place(pub usize, pub &'static str);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "input[{}]{}", self.0, self.1)
    }
}

/// Reads the content of a message, or the output of a tool. What cannot be shown is an error in
/// a message, where the user means it to be read, and a note in an old output.
pub(super) fn read<'a>(
    content: Option<Value<'a>>,
    media: Media,
    lenient: bool,
    path: Place,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Pieces<'a>, Error> {
    let mut pieces = Pieces::new();
    let Some(content) = content.filter(|c| !c.is_null()) else {
        return Ok(pieces);
    };
    if let Some(text) = content.as_str() {
        pieces.push(Piece::Text(text));
        return Ok(pieces);
    }
    if content.kind() != Kind::Array {
        let mut text = Vec::new();
        write::escape_again(&mut text, content.raw());
        pieces.push(Piece::Made(text));
        return Ok(pieces);
    }
    for (i, part) in content.items().enumerate() {
        match read_part(part, media) {
            Ok(Some(piece)) => {
                if let Piece::Made(text) = &piece
                    && (text == NO_VISION || text == NO_FETCHING)
                {
                    diagnostics.push(Diagnostic {
                        code: "content.degraded",
                        path: format!("{path}[{i}]"),
                        message: "The provider takes no such image; a note stands in its place."
                            .into(),
                    });
                }
                pieces.push(piece);
            }
            Ok(None) => diagnostics.push(Diagnostic {
                code: "content.dropped",
                path: format!("{path}[{i}]"),
                message: "The kind of content is not known.".into(),
            }),
            Err(message) if lenient => {
                diagnostics.push(Diagnostic {
                    code: "content.dropped",
                    path: format!("{path}[{i}]"),
                    message,
                });
                pieces.push(Piece::Made(
                    b"[content omitted: it cannot be shown]".to_vec(),
                ));
            }
            Err(message) => {
                return Err(
                    Error::new(Source::Downstream, ErrorKind::Unsupported, message)
                        .with_code("unsupported_content")
                        .with_param(format!("{path}[{i}]")),
                );
            }
        }
    }
    Ok(pieces)
}

static PART: Names<3> = Names::new(["type", "text", "refusal"]);

fn read_part(part: Value<'_>, media: Media) -> Result<Option<Piece<'_>>, String> {
    if let Some(text) = part.as_str() {
        return Ok(Some(Piece::Text(text)));
    }
    let members = Members::of(part, &PART);
    match &*members.str(0).unwrap_or(Str::EMPTY).bytes() {
        b"input_image" | b"image_url" => read_image(part, media).map(Some),
        b"input_file" | b"file" => read_file(part, media).map(Some),
        b"input_audio" => Err("The model takes no audio.".into()),
        b"refusal" => Ok(members.str(2).map(Piece::Text)),
        _ => Ok(members.str(1).map(Piece::Text)),
    }
}

fn read_image(part: Value<'_>, media: Media) -> Result<Piece<'_>, String> {
    if !media.images {
        return Ok(Piece::Made(NO_VISION.to_vec()));
    }
    let holder = part.present("image_url");
    let url = match holder {
        Some(v) if v.kind() == Kind::Object => v.str("url"),
        Some(v) => v.as_str(),
        None => None,
    };
    let detail = part
        .str("detail")
        .or_else(|| holder.and_then(|h| h.str("detail")));
    match url {
        Some(url) if !media.http && url.text().starts_with("http") => {
            Ok(Piece::Made(NO_FETCHING.to_vec()))
        }
        Some(url) => Ok(Piece::Image {
            url,
            detail: detail.filter(|_| media.detail),
        }),
        None => Err("Images by 'file_id' are not stored here; send 'image_url'.".into()),
    }
}

/// A file whose bytes are text is shown as text. Others are for providers that take files.
fn read_file(part: Value<'_>, media: Media) -> Result<Piece<'_>, String> {
    let inner = part.present("file").unwrap_or(part);
    let name = inner.str("filename").unwrap_or(Str::EMPTY);
    let bytes = inner.str("file_data").and_then(|data| {
        let data = data.text();
        // A short file of a binary kind may be legal UTF-8 by chance.
        if BINARY.iter().any(|kind| data.starts_with(kind)) || name.text().ends_with(".pdf") {
            return None;
        }
        let base64 = match data.strip_prefix("data:") {
            Some(url) => url.split_once(";base64,")?.1,
            None => &data,
        };
        STANDARD.decode(base64).ok()
    });
    let Some(text) = bytes.and_then(|b| String::from_utf8(b).ok()) else {
        if let Some(data) = inner.str("file_data").filter(|_| media.files) {
            let mut made = b"{\"type\":\"file\",\"file\":{\"filename\":\"".to_vec();
            name.splice(&mut made);
            made.extend_from_slice(b"\",\"file_data\":\"");
            data.splice(&mut made);
            made.extend_from_slice(b"\"}}");
            return Ok(Piece::File(made));
        }
        return Err(format!(
            "The file '{}' is not text sent as 'file_data'; the provider takes no other files.",
            name.text()
        ));
    };
    let mut made = b"<file name=\\\"".to_vec();
    name.splice(&mut made);
    made.extend_from_slice(b"\\\">");
    write::escape_into(&mut made, &text);
    made.extend_from_slice(b"</file>");
    Ok(Piece::Made(made))
}
