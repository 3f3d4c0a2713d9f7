//! Strait: a streaming proxy that turns any Chat Completions provider into an engine for the
//! Codex CLI, which speaks the Responses API.
//!
//! The gateway is a sans-IO state machine per exchange; a thin io_uring shell moves bytes and
//! time. Parsing, translation, routing and accounting never see a socket, a clock or a thread,
//! so they are tested at every split point without either.
//!
//! ```text
//! http  sse  json          know nothing of each other or of anything above
//!    \   |   /
//! responses  chat          the two dialects; they do not know each other
//!       \    /
//!     translate            <- provider (facts), auth::secret (the seal's key)
//!         |
//!       route              <- config, auth, ledger; time and randomness are arguments
//!         |
//!       admin              the operators' pages
//!         |
//!       server             the only place that names monoio, sockets, files, threads, clocks
//!         |
//!      cli, main             <- allocator (where memory comes from)
//! ```
//!
//! Follow one request: [`server`] reads bytes, [`http`] finds the head and the body,
//! [`route::exchange`] decides where it goes, [`translate::request`] writes the chat request,
//! [`translate::stream`] turns each chunk of the answer into Responses events.

pub mod admin;
pub mod allocator;
pub mod auth;
pub mod chat;
pub mod cli;
pub mod config;
pub mod error;
pub mod http;
pub mod json;
pub mod ledger;
pub mod limits;
pub mod provider;
pub mod responses;
pub mod route;
pub mod server;
pub mod sse;
pub mod translate;
