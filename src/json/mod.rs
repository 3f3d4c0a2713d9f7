//! JSON that stays escaped: a validating scan into a flat tape of spans, and writers that splice
//! those spans into new documents (RFC 8259). There is no tree and nothing is unescaped unless
//! asked for.

mod content;
mod run;
pub mod scan;
pub mod write;

pub use content::Content;
pub use scan::{JsonError, Kind, Str, Tape, Value};
