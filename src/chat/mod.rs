//! The Chat Completions dialect, which most providers speak. Its chunks are read where they are
//! translated; here is what its errors mean.

pub mod error;
