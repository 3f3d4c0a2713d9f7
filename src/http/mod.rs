//! HTTP/1.1 on byte slices: heads, framing and content codings (RFC 9110, RFC 9112), and the
//! WebSocket protocol that a connection may change to (RFC 6455). Strict in, canonical out; nothing
//! here knows of sockets.

pub mod coding;
pub mod framing;
pub mod head;
pub mod websocket;
