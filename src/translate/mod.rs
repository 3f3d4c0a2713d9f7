//! The two dialects joined.

pub mod diagnostic;

pub mod request;
pub mod seal;
pub mod stream;
