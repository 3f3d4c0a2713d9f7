//! The other way round: a client that speaks Chat Completions, a provider that speaks Responses.
//!
//! ```text
//! chat request  -> request::translate -> Responses request
//! chat chunks   <- stream::Translator <- Responses events
//! ```

mod body;
mod fields;
mod messages;
#[cfg(test)]
mod messages_tests;
mod parts;
#[cfg(test)]
mod props_tests;
pub mod request;
#[cfg(test)]
mod request_tests;
pub mod stream;
mod tools;

/// What marks an envelope as the provider's own encrypted reasoning, so that one of reasoning
/// text, which other wires make under the same profile's name, is never taken for it.
const SEALED_FOR: &str = "/encrypted";

/// `format` of a `reasoning_details` entry that holds the provider's blob as it is: the name that
/// clients know from aggregators which speak the Responses API upstream.
const FORMAT_RAW: &str = "openai-responses-v1";

/// `format` of an entry that holds an envelope of `translate::seal`.
const FORMAT_SEALED: &str = "gwr1";
