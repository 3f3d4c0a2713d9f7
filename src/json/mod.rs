//! JSON that stays escaped: a validating scan into a flat tape of spans, and writers that splice
//! those spans into new documents (RFC 8259). There is no tree and nothing is unescaped unless
//! asked for.

mod block;
mod content;
mod lent;
mod names;
mod pull;
mod run;
pub mod scan;
mod string;
mod text;
mod value;
pub mod write;

pub use content::Content;
pub use lent::with_tape;
pub use names::{Members, Names};
pub use pull::Pull;
pub use scan::{JsonError, Kind, Tape};
pub use text::Str;
pub use value::Value;
