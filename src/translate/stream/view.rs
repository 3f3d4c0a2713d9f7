//! The members of a chunk that matter, each found in one pass over its object. A later one of the
//! same name counts; `null` is read as missing.

use crate::json::{Kind, Members, Names, Str, Value};

/// The root of an event.
pub(super) struct Root<'a>(Members<'a, 11>);

static ROOT: Names<11> = Names::new([
    "choices",
    "usage",
    "x_groq",
    "error",
    "base_resp",
    "object",
    "web_search",
    "search_results",
    "citations",
    "message",
    "detail",
]);

impl<'a> Root<'a> {
    pub fn of(root: Value<'a>) -> Self {
        // Gemini wraps its errors in a list.
        let root = match root.kind() {
            Kind::Array => root.items().next().unwrap_or(root),
            _ => root,
        };
        Root(Members::of(root, &ROOT))
    }

    pub fn choices(&self) -> Option<Value<'a>> {
        self.0.present(0)
    }

    pub fn usage(&self) -> Option<Value<'a>> {
        self.0.present(1)
    }

    pub fn x_groq(&self) -> Option<Value<'a>> {
        self.0.present(2)
    }

    /// Looked for once in a stream, so it is none of [`ROOT`].
    pub fn model(&self) -> Option<Str<'a>> {
        self.0.object().str("model")
    }

    /// Lists of sources beside the choices.
    pub fn sources(&self) -> impl Iterator<Item = Value<'a>> {
        (6..9).filter_map(|n| self.0.present(n))
    }

    /// Whether it is an error in one of the shapes that providers use.
    pub fn is_error(&self, event: &[u8]) -> bool {
        let broken = |base: Value<'_>| {
            base.get("status_code")
                .and_then(|c| c.as_u64())
                .is_some_and(|c| c != 0)
        };
        // These count even where they are `null`.
        let answers = || self.0.get(0).is_some() || self.0.get(1).is_some();
        let complains = || self.0.get(9).is_some() || self.0.get(10).is_some();
        event == b"error"
            || self.0.present(3).is_some()
            || self.0.str(5).is_some_and(|o| o == "error")
            || self.0.present(4).is_some_and(broken)
            || !answers() && complains()
    }
}

/// One entry of `choices`.
pub(super) struct Choice<'a>(Members<'a, 6>);

static CHOICE: Names<6> = Names::new([
    "delta",
    "message",
    "finish_reason",
    "usage",
    "logprobs",
    "index",
]);

impl<'a> Choice<'a> {
    /// The entry of index 0, which may be left out.
    pub fn first(choices: Value<'a>) -> Option<Self> {
        let mut all = choices.items().map(|c| Choice(Members::of(c, &CHOICE)));
        all.find(|choice| {
            let index = choice.0.present(5).and_then(|i| match i.raw() {
                b"0" => Some(0),
                _ => i.as_u64(),
            });
            index.unwrap_or(0) == 0
        })
    }

    pub fn delta(&self) -> Option<Value<'a>> {
        self.0.present(0)
    }

    pub fn message(&self) -> Option<Value<'a>> {
        self.0.present(1)
    }

    pub fn finish_reason(&self) -> Option<Value<'a>> {
        self.0.present(2)
    }

    pub fn usage(&self) -> Option<Value<'a>> {
        self.0.present(3)
    }

    pub fn logprobs(&self) -> Option<Value<'a>> {
        self.0.present(4)
    }
}

/// A delta, or a whole message.
pub(super) struct Delta<'a>(Members<'a, 11>);

static DELTA: Names<11> = Names::new([
    REASONING[0],
    REASONING[1],
    REASONING[2],
    "content",
    "reasoning_details",
    "refusal",
    "tool_calls",
    "function_call",
    "annotations",
    "audio",
    "images",
]);

/// The fields in which providers send reasoning, in the order of trust.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_text"];

impl<'a> Delta<'a> {
    pub fn of(delta: Value<'a>) -> Self {
        Delta(Members::of(delta, &DELTA))
    }

    /// What each of [`REASONING`] holds.
    pub fn reasoning(&self) -> impl Iterator<Item = (&'static str, Option<Value<'a>>)> {
        let names = REASONING.into_iter().enumerate();
        names.map(|(n, name)| (name, self.0.present(n)))
    }

    pub fn content(&self) -> Option<Value<'a>> {
        self.0.present(3)
    }

    pub fn reasoning_details(&self) -> Option<Value<'a>> {
        self.0.present(4)
    }

    pub fn refusal(&self) -> Option<Value<'a>> {
        self.0.present(5)
    }

    pub fn tool_calls(&self) -> Option<Value<'a>> {
        self.0.present(6)
    }

    pub fn function_call(&self) -> Option<Value<'a>> {
        self.0.present(7)
    }

    pub fn annotations(&self) -> Option<Value<'a>> {
        self.0.present(8)
    }

    pub fn audio(&self) -> Option<Value<'a>> {
        self.0.present(9)
    }

    pub fn images(&self) -> Option<Value<'a>> {
        self.0.present(10)
    }
}
