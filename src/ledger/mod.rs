//! What is kept beyond an exchange: pure types, no files, sockets or clocks.

pub mod audit;
pub mod breaker;
pub mod ending;
pub mod health;
pub mod live;
#[cfg(test)]
mod live_tests;
pub mod log;
pub mod metrics;
pub mod otlp;
pub mod record;
pub mod span;
pub mod stored;
pub mod usage;

#[cfg(test)]
mod breaker_tests;
#[cfg(test)]
mod health_tests;
