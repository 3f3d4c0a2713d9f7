//! The Codex backend as a provider: with the user's own login, for every client.

mod clients;
mod readme;
mod refresh;
mod requests;
mod world;
