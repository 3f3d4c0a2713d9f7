//! What is kept beyond an exchange: pure types, no files, sockets or clocks.

pub mod audit;
pub mod ending;
pub mod live;
pub mod metrics;
pub mod record;
pub mod stored;
pub mod usage;
