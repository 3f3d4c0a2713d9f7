//! The Chat Completions dialect, which most providers speak.

pub mod delta;
pub mod error;
