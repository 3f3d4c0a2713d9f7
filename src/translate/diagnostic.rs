//! What was dropped or changed on purpose, said with a stable code.

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
