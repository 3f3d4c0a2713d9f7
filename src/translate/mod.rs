//! The two dialects joined.

#[cfg(test)]
mod answer_props;
mod blocks;
mod call_id;
mod calls;
mod choice;
pub mod compaction;
pub mod diagnostic;
#[cfg(test)]
mod dialect_tests;
mod effort;
pub mod ending;
mod fields;
pub mod fold;
mod held;
mod hosted;
mod item;
mod items;
mod parts;
pub mod passthrough;
pub mod request;
#[cfg(test)]
mod request_props;
#[cfg(test)]
mod request_tests;
pub mod reverse;
pub mod rewrite;
mod schema;
pub mod seal;
pub(crate) mod seed;
pub mod snapshot;
pub mod stream;
pub mod tokens;
mod tools;
pub mod usage;
