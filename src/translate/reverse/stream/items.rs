//! What is known of the output items so far, by their `output_index`: some providers change the
//! ids of items from event to event.

use super::emit::Form;
use crate::json::Value;

/// Something that has a number.
pub(super) trait Numbered {
    fn new(number: u64) -> Self;
    fn number(&self) -> u64;
}

/// The entry with that number, which is made if there is none. The list is sorted.
pub(super) fn slot<T: Numbered>(list: &mut Vec<T>, number: u64) -> &mut T {
    let at = match find(list, number) {
        Ok(at) => at,
        Err(at) => {
            list.insert(at, T::new(number));
            at
        }
    };
    &mut list[at]
}

/// Where the entry with that number is, or would be.
pub(super) fn find<T: Numbered>(list: &[T], number: u64) -> Result<usize, usize> {
    // Nearly always it is the last one, or comes behind it.
    match list.last() {
        Some(last) if last.number() == number => Ok(list.len() - 1),
        Some(last) if last.number() < number => Err(list.len()),
        _ => list.binary_search_by_key(&number, Numbered::number),
    }
}

/// Where the reasoning of an item comes from; the first source is the only one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Thought {
    Raw,
    Summary,
}

/// The kinds of items that mean something to a chat client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum ItemKind {
    Call,
    Message,
    Reasoning,
}

impl ItemKind {
    pub fn of(item: Value<'_>) -> Option<ItemKind> {
        match item.str("type")?.raw() {
            b"function_call" | b"custom_tool_call" => Some(ItemKind::Call),
            b"message" => Some(ItemKind::Message),
            b"reasoning" => Some(ItemKind::Reasoning),
            _ => None,
        }
    }
}

/// An output item.
#[derive(Debug)]
pub(super) struct Item {
    index: u64,
    pub kind: Option<ItemKind>,
    pub done: bool,
    /// A delta was shown, so that what is said again at the end is known.
    pub streamed: bool,
    pub parts: Vec<Part>,
    pub thought: Option<Thought>,
    /// The encrypted reasoning was passed on.
    pub sealed: bool,
    pub call: Option<Call>,
}

impl Numbered for Item {
    fn new(index: u64) -> Self {
        Item {
            index,
            kind: None,
            done: false,
            streamed: false,
            parts: Vec::new(),
            thought: None,
            sealed: false,
            call: None,
        }
    }

    fn number(&self) -> u64 {
        self.index
    }
}

impl Item {
    /// Whether the item's reasoning comes from there; the first source that speaks is taken.
    pub fn is_source(&mut self, source: Thought) -> bool {
        *self.thought.get_or_insert(source) == source
    }

    /// Whether a text that is only said at the end is news.
    pub fn is_news(&mut self, part: u64) -> bool {
        let streamed = self.streamed;
        let part = slot(&mut self.parts, part);
        // Some servers count their deltas instead of their parts, and then say all once more.
        !part.shown && (part.added || !streamed)
    }
}

/// A part of an item: of a message's content, or of a reasoning's summary.
#[derive(Debug)]
pub(super) struct Part {
    index: u64,
    pub added: bool,
    /// Something of it was shown.
    pub shown: bool,
    /// How many characters of the whole text stand before it.
    pub base: u64,
    /// How many of its annotations were taken.
    pub annotations: usize,
}

impl Numbered for Part {
    fn new(index: u64) -> Self {
        Part {
            index,
            added: false,
            shown: false,
            base: 0,
            annotations: 0,
        }
    }

    fn number(&self) -> u64 {
        self.index
    }
}

/// A call, once the client knows of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// Counts calls only.
    pub k: u64,
    pub form: Form,
    /// Raw text that goes as `{"input":"…"}`, since the client knows functions only.
    pub wrapped: bool,
    /// An older client has room for one call; the others are not shown.
    pub hidden: bool,
    /// Arguments were shown.
    pub shown: bool,
    pub complete: bool,
}
