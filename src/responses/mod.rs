//! The Responses dialect, which Codex speaks.

pub mod catalog;
pub mod items;
pub mod object;
pub mod tool;
