//! Decisions, pure: which endpoint, which target, and the life of one exchange, or of a
//! WebSocket with many.

pub mod answer;
pub mod attempt;
pub mod background;
mod compact;
pub mod conversation;
pub mod endpoint;
pub mod exchange;
mod forwarded;
mod identity;
pub mod local;
mod login;
pub mod machine;
#[cfg(test)]
mod memory;
mod mode;
pub mod operator;
mod origin;
mod plan;
mod prepare;
mod quota;
mod request_id;
mod stored;
mod trace;
pub mod tunnel;
pub mod upstream;

#[cfg(test)]
mod allow_tests;
#[cfg(test)]
mod ask_tests;
#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod failover_tests;
#[cfg(test)]
mod keep_tests;
#[cfg(test)]
mod operator_tests;
#[cfg(test)]
mod record_tests;
