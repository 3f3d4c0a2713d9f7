//! A Responses request becomes a chat request.

use super::diagnostic::Diagnostic;
use crate::auth::secret::SealKey;
use crate::error::Error;
use crate::json::Value;
use crate::provider::Profile;
use crate::responses::tool::ToolTable;

/// What a request is translated for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The provider's dialect.
    pub profile: &'a Profile,
    /// The provider's name for the model.
    pub model: &'a str,
    /// Opens what earlier answers sealed.
    pub seal_key: &'a SealKey,
}

/// A chat request, and what the answer needs to know of it.
#[derive(Debug)]
pub struct Translated {
    /// The body for the provider.
    pub body: Vec<u8>,
    /// The tools, to turn calls back.
    pub tools: ToolTable,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether reasoning is shown as a summary (else as reasoning text).
    pub reasoning_summary: bool,
    /// Whether the client wants `encrypted_content`.
    pub encrypted_reasoning: bool,
    /// What was dropped or changed.
    pub diagnostics: Vec<Diagnostic>,
}

/// Translates `request`, the root of the client's body.
pub fn translate(_request: Value<'_>, _cx: Context<'_>) -> Result<Translated, Error> {
    unimplemented!()
}
