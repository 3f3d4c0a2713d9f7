//! What a provider's own web search found: sources become annotations of the text, and the search
//! an item of its own.

use super::Translator;
use super::view::Root;
use crate::json::{Kind, Str, Tape, Value, write};

/// What was found. Few providers search: made with the first find.
#[derive(Debug, Default)]
pub(super) struct Sources(Option<Box<Finds>>);

/// Sources that are not told yet.
#[derive(Debug, Default)]
struct Finds {
    list: Vec<Source>,
    /// Escaped addresses of all sources, for the item.
    found: Vec<Vec<u8>>,
    told: bool,
}

#[derive(Debug, PartialEq)]
struct Source {
    /// Escaped.
    url: Vec<u8>,
    /// Escaped.
    title: Vec<u8>,
    /// The mark in the text that stands for the source; escaped, may be empty.
    mark: Vec<u8>,
    /// Where in the text it is cited, in characters.
    range: Option<(u64, u64)>,
}

/// Most sources that are kept for one answer.
const SOURCES_MAX: usize = 256;

impl Translator {
    /// Sources that stand beside the choices of a chunk.
    pub(super) fn sources_of_chunk(&mut self, chunk: &Root<'_>) {
        for list in chunk.sources() {
            for entry in list.items() {
                self.sources.0.get_or_insert_default().add(entry);
            }
        }
    }

    /// Sources that stand in a delta or a message.
    pub(super) fn sources_of(&mut self, annotations: Option<Value<'_>>) {
        for annotation in annotations.iter().flat_map(|a| a.items()) {
            // The chat API nests the citation; some providers do not.
            let inner = annotation.present("url_citation").unwrap_or(annotation);
            self.sources.0.get_or_insert_default().add(inner);
        }
    }
}

impl Finds {
    fn add(&mut self, entry: Value<'_>) {
        let address = entry
            .as_str()
            .or_else(|| entry.str("url"))
            .or_else(|| entry.str("link"));
        let Some(address) = address.filter(|a| !a.is_empty()) else {
            return;
        };
        let escaped = |text: Str<'_>| {
            let mut out = Vec::new();
            text.splice(&mut out);
            out
        };
        let text = |name: &str| entry.str(name).map_or(Vec::new(), escaped);
        let number = |name: &str| entry.get(name).and_then(|n| n.as_u64());
        let source = Source {
            url: escaped(address),
            title: text("title"),
            mark: text("refer"),
            range: number("start_index").zip(number("end_index")),
        };
        if self.list.len() >= SOURCES_MAX || self.list.contains(&source) {
            return;
        }
        if !self.found.contains(&source.url) {
            self.found.push(source.url.clone());
        }
        // A second list may say less of the same source.
        let same = |s: &Source| s.url == source.url && source.range.is_none();
        if !self.list.iter().any(same) {
            self.list.push(source);
        }
    }
}

impl Sources {
    /// The action of the search as JSON, once; `None` while nothing was searched.
    pub(super) fn take_search(&mut self) -> Option<Vec<u8>> {
        let finds = self.0.as_mut()?;
        if std::mem::replace(&mut finds.told, true) {
            return None;
        }
        let mut out = b"{\"type\":\"search\",\"query\":\"\",\"queries\":[],\"sources\":[".to_vec();
        for (i, url) in finds.found.iter().enumerate() {
            out.extend_from_slice(if i > 0 { b"," } else { b"" });
            out.extend_from_slice(b"{\"type\":\"url\",\"url\":");
            write::quoted(&mut out, url);
            out.push(b'}');
        }
        out.extend_from_slice(b"]}");
        Some(out)
    }

    /// The annotations of a text (escaped) that has ended, each as JSON. A source that is cited
    /// nowhere in particular is cited by the whole text.
    pub(super) fn take_annotations(&mut self, text: &[u8]) -> Vec<Vec<u8>> {
        let list = self.0.as_mut().map(|finds| std::mem::take(&mut finds.list));
        let list = list.unwrap_or_default();
        if list.is_empty() {
            return Vec::new();
        }
        let quoted = [b"\"", text, b"\""].concat();
        let mut tape = Tape::new();
        let plain = match tape.parse(&quoted) {
            Ok(value) if value.kind() == Kind::String => {
                value.as_str().map(|s| s.text().into_owned())
            }
            _ => None,
        };
        let plain = plain.unwrap_or_default();
        let whole = (0, plain.chars().count() as u64);
        list.iter()
            .map(|source| source.annotation(&plain, whole))
            .collect()
    }
}

impl Source {
    fn annotation(&self, text: &str, whole: (u64, u64)) -> Vec<u8> {
        let marked = || {
            let mark = format!("[{}]", std::str::from_utf8(&self.mark).ok()?);
            let at = text.find(&mark).filter(|_| !self.mark.is_empty())?;
            let start = text[..at].chars().count() as u64;
            Some((start, start + mark.chars().count() as u64))
        };
        let (start, end) = self.range.or_else(marked).unwrap_or(whole);
        let mut out = b"{\"type\":\"url_citation\",\"start_index\":".to_vec();
        write::uint(&mut out, start);
        out.extend_from_slice(b",\"end_index\":");
        write::uint(&mut out, end);
        out.extend_from_slice(b",\"url\":");
        write::quoted(&mut out, &self.url);
        out.extend_from_slice(b",\"title\":");
        write::quoted(&mut out, &self.title);
        out.push(b'}');
        out
    }
}
