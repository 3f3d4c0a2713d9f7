//! Decisions, pure: which endpoint, which target, and the life of one exchange.

pub mod answer;
pub mod attempt;
pub mod endpoint;
pub mod exchange;
mod identity;
pub mod local;
mod login;
mod mode;
mod prepare;
pub mod upstream;

#[cfg(test)]
mod exchange_tests;
