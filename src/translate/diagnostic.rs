//! What was dropped or changed on purpose, said with a stable code.
//!
//! | code | what happened |
//! |---|---|
//! | `content.degraded` | an image or file stands as a note, or as text |
//! | `content.dropped` | a part of content is of no known kind, or cannot be shown |
//! | `field.degraded` | a parameter was mapped, lowered or raised to what the provider takes |
//! | `field.dropped` | a parameter is unknown, or the provider has none or refuses it |
//! | `input.ends_with_assistant` | the history ends with the assistant's text |
//! | `item.degraded` | an item is told as text |
//! | `item.dropped` | an item cannot be given to the provider at all |
//! | `output.dropped` | the answer held content that has no place in the client's dialect |
//! | `output.orphaned` | an output without its call is told as a user's message |
//! | `text.format.degraded` | a JSON mode is asked for in words |
//! | `tool.degraded` | a tool works, but not as the client describes it |
//! | `tool.dropped` | a tool cannot be offered |
//! | `tool_choice.degraded` | the provider decides itself what it calls |
//!
//! They are told in the response's `metadata` under `strait_diagnostics`, in the header
//! `x-strait-diagnostics` and in the log; never to the model.

/// One thing that the provider could not be given as the client asked for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    /// Stable, for machines: `field.dropped`, `tool.dropped`, `tool.degraded`, `item.dropped`, …
    pub code: &'static str,
    /// Where in the request, e.g. `tools[3]`.
    pub path: String,
    /// One sentence for people.
    pub message: String,
}
