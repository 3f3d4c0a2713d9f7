//! The model catalog that Codex asks for.
