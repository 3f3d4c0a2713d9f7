//! Server-sent events: frames in, frames out.
