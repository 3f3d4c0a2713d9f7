//! The two dialects joined.

mod calls;
mod choice;
pub mod diagnostic;
mod fields;
mod items;
mod parts;
pub mod request;

pub mod seal;
pub mod snapshot;
pub mod stream;
mod tools;
