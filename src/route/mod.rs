//! Decisions, pure: which target, and the life of one exchange.

pub mod exchange;
