//! One chunk of a chat stream.
