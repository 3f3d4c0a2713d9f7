//! A scripted provider, a load generator that checks every byte, and a comparison of gateways.
//!
//! `provider` says what [`script::Script`] says; `run` asks for it through a gateway and holds
//! each answer against the same script; `compare` does so with one gateway after another, as
//! recipe files describe them; `pair` with all of them at once.

pub mod answers;
pub mod check;
pub mod cli;
pub mod compare;
pub mod control;
pub mod http;
pub mod outside;
pub mod poll;
pub mod provider;
pub mod recipe;
pub mod run;
pub mod script;
pub mod sse;
pub mod syscalls;
