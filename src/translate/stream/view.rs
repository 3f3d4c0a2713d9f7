//! The members of a chunk that matter, each found in one pass over its object.

use crate::json::{Kind, Value};

/// A member: missing, `null`, or there. A later one of the same name counts.
type Member<'a> = Option<Value<'a>>;

fn present(value: Value<'_>) -> Member<'_> {
    (!value.is_null()).then_some(value)
}

/// The root of an event.
#[derive(Default)]
pub(super) struct Root<'a> {
    pub choices: Member<'a>,
    pub usage: Member<'a>,
    pub x_groq: Member<'a>,
    pub error: Member<'a>,
    pub base_resp: Member<'a>,
    pub object: Member<'a>,
    /// Lists of sources beside the choices.
    pub sources: [Member<'a>; 3],
    /// It names `choices` or `usage`, be they null.
    answers: bool,
    /// It names `message` or `detail`.
    complains: bool,
}

impl<'a> Root<'a> {
    pub fn of(root: Value<'a>) -> Self {
        let mut view = Root::default();
        // Gemini wraps its errors in a list.
        let root = match root.kind() {
            Kind::Array => root.items().next().unwrap_or(root),
            _ => root,
        };
        for (key, value) in root.entries() {
            let place = match &*key.bytes() {
                b"choices" => {
                    view.answers = true;
                    &mut view.choices
                }
                b"usage" => {
                    view.answers = true;
                    &mut view.usage
                }
                b"message" | b"detail" => {
                    view.complains = true;
                    continue;
                }
                b"x_groq" => &mut view.x_groq,
                b"error" => &mut view.error,
                b"base_resp" => &mut view.base_resp,
                b"object" => &mut view.object,
                b"web_search" => &mut view.sources[0],
                b"search_results" => &mut view.sources[1],
                b"citations" => &mut view.sources[2],
                _ => continue,
            };
            *place = present(value);
        }
        view
    }

    /// Whether it is an error in one of the shapes that providers use.
    pub fn is_error(&self, event: &[u8]) -> bool {
        let broken = |base: Value<'_>| {
            base.get("status_code")
                .and_then(|c| c.as_u64())
                .is_some_and(|c| c != 0)
        };
        let object = self.object.and_then(|o| o.as_str());
        event == b"error"
            || self.error.is_some()
            || object.is_some_and(|o| o == "error")
            || self.base_resp.is_some_and(broken)
            || !self.answers && self.complains
    }
}

/// One entry of `choices`.
#[derive(Default)]
pub(super) struct Choice<'a> {
    pub delta: Member<'a>,
    pub message: Member<'a>,
    pub finish_reason: Member<'a>,
    pub usage: Member<'a>,
    pub logprobs: Member<'a>,
    index: Member<'a>,
}

impl<'a> Choice<'a> {
    /// The entry of index 0, which may be left out.
    pub fn first(choices: Value<'a>) -> Option<Self> {
        choices.items().map(Choice::of).find(|choice| {
            let index = choice.index.and_then(|i| match i.raw() {
                b"0" => Some(0),
                _ => i.as_u64(),
            });
            index.unwrap_or(0) == 0
        })
    }

    fn of(choice: Value<'a>) -> Self {
        let mut view = Choice::default();
        for (key, value) in choice.entries() {
            let place = match &*key.bytes() {
                b"delta" => &mut view.delta,
                b"message" => &mut view.message,
                b"finish_reason" => &mut view.finish_reason,
                b"usage" => &mut view.usage,
                b"logprobs" => &mut view.logprobs,
                b"index" => &mut view.index,
                _ => continue,
            };
            *place = present(value);
        }
        view
    }
}

/// A delta, or a whole message.
#[derive(Default)]
pub(super) struct Delta<'a> {
    pub content: Member<'a>,
    /// As [`REASONING`] names them.
    pub reasoning: [Member<'a>; 3],
    pub reasoning_details: Member<'a>,
    pub refusal: Member<'a>,
    pub tool_calls: Member<'a>,
    pub function_call: Member<'a>,
    pub annotations: Member<'a>,
    pub audio: Member<'a>,
    pub images: Member<'a>,
}

/// The fields in which providers send reasoning, in the order of trust.
pub(super) const REASONING: [&str; 3] = ["reasoning_content", "reasoning", "reasoning_text"];

impl<'a> Delta<'a> {
    pub fn of(delta: Value<'a>) -> Self {
        let mut view = Delta::default();
        for (key, value) in delta.entries() {
            let place = match &*key.bytes() {
                b"content" => &mut view.content,
                b"reasoning_content" => &mut view.reasoning[0],
                b"reasoning" => &mut view.reasoning[1],
                b"reasoning_text" => &mut view.reasoning[2],
                b"reasoning_details" => &mut view.reasoning_details,
                b"refusal" => &mut view.refusal,
                b"tool_calls" => &mut view.tool_calls,
                b"function_call" => &mut view.function_call,
                b"annotations" => &mut view.annotations,
                b"audio" => &mut view.audio,
                b"images" => &mut view.images,
                _ => continue,
            };
            *place = present(value);
        }
        view
    }
}
