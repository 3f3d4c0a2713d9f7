//! The Responses dialect, which Codex speaks.

pub mod catalog;
pub mod tool;
