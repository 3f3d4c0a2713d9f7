//! HTTP/1.1 on byte slices: heads, framing and content codings (RFC 9110, RFC 9112), and the
//! WebSocket protocol that a connection may change to (RFC 6455). Strict in, canonical out; nothing
//! here knows of sockets.

mod block;
pub mod coding;
pub mod framing;
pub mod head;
mod headers;
mod lines;
mod token;
pub mod websocket;
