//! The two dialects joined.

mod blocks;
mod calls;
mod choice;
pub mod diagnostic;
mod fields;
mod items;
mod parts;
pub mod passthrough;
pub mod request;
#[cfg(test)]
mod request_props;
#[cfg(test)]
mod request_tests;
pub mod reverse;
pub mod seal;
pub mod snapshot;
pub mod stream;
mod tools;
