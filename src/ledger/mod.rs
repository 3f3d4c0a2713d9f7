//! What is kept beyond an exchange: pure types, no files, sockets or clocks.

pub mod audit;
pub mod breaker;
pub mod ending;
pub mod health;
pub mod keys;
pub mod live;
#[cfg(test)]
mod live_tests;
pub mod log;
pub mod meter;
pub mod metrics;
pub mod otlp;
pub mod peer;
pub mod raw;
pub mod record;
pub mod redact;
pub mod span;
pub mod stored;
pub mod usage;
pub mod window;
pub mod words;

#[cfg(test)]
mod breaker_tests;
#[cfg(test)]
mod health_tests;
