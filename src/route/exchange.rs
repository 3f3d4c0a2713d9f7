//! The life of one request.

use crate::config::{Origin, Snapshot};
use crate::error::Error;
use crate::http::head::RequestHead;
use std::sync::Arc;
use std::time::Instant;

/// What happened; one at a time, then drain [`Exchange::poll`] until [`Action::Wait`],
/// [`Action::ReadClient`] or [`Action::Done`].
#[derive(Debug)]
pub enum Input<'a> {
    /// The client closed or reset its connection.
    ClientGone,
    /// An upstream connection is there; `reused` if it comes from the pool.
    Connected {
        /// Whether it was used before, so that it may be stale.
        reused: bool,
    },
    /// No upstream connection could be made; a phrase for the operator.
    ConnectFailed(&'a str),
    /// The bytes of the last [`Action::ToUpstream`] were written.
    RequestSent,
    /// Bytes from upstream, as they came.
    UpstreamBytes(&'a [u8]),
    /// Upstream closed its side cleanly.
    UpstreamEof,
    /// The upstream connection broke, on read or write; a phrase for the operator.
    UpstreamBroken(&'a str),
    /// [`Exchange::deadline`] has passed.
    Deadline,
    /// The drain time is over: end now.
    Drain,
}

/// What the shell is to do next.
#[derive(Debug)]
pub enum Action {
    /// Open or lease a connection; answer with `Connected` or `ConnectFailed`.
    Connect(Origin),
    /// Write these bytes upstream; answer with `RequestSent` or `UpstreamBroken`.
    ToUpstream(Vec<u8>),
    /// Write [`Exchange::take_output`] to the client, then poll again.
    ToClient,
    /// Drop the upstream connection: its state is not usable again.
    CloseUpstream,
    /// Give the upstream connection back to the pool.
    ReleaseUpstream,
    /// Read from the client and call [`Exchange::client_bytes`].
    ReadClient,
    /// Wait for bytes from upstream, for the client to leave, or for the deadline.
    Wait,
    /// Over. The client's connection may serve another request, or must be closed.
    Done {
        /// Whether the client's connection may be used again.
        keep_alive: bool,
    },
}

/// One request and its response, as a pure state machine.
pub struct Exchange {
    _todo: (),
}

impl Exchange {
    /// Starts with the request's head. `entropy` is fresh randomness; `unix_s` is the wall clock.
    pub fn new(
        _snapshot: Arc<Snapshot>,
        _head: RequestHead,
        _entropy: [u8; 32],
        _unix_s: u64,
        _now: Instant,
    ) -> Self {
        unimplemented!()
    }

    /// Takes bytes that follow the head on the client's connection; returns how many belong to
    /// this request. The rest is the next request.
    pub fn client_bytes(&mut self, _bytes: &[u8], _now: Instant) -> usize {
        unimplemented!()
    }

    /// Takes one input.
    pub fn handle(&mut self, _input: Input<'_>, _now: Instant) {
        unimplemented!()
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Action {
        unimplemented!()
    }

    /// The bytes for the client. Give the emptied buffer back with [`Exchange::recycle`].
    pub fn take_output(&mut self) -> Vec<u8> {
        unimplemented!()
    }

    /// Gives a buffer back for the next output.
    pub fn recycle(&mut self, _buffer: Vec<u8>) {
        unimplemented!()
    }

    /// When to call [`Input::Deadline`], if nothing else happens before. It may only move later
    /// while bytes flow, so a timer that fires early just looks again.
    pub fn deadline(&self) -> Option<Instant> {
        unimplemented!()
    }

    /// One line for the log, once over: `key=value` pairs, no secrets.
    pub fn record(&self) -> String {
        unimplemented!()
    }
}

/// A whole HTTP answer, with `connection: close`, for a head that could not be read.
pub fn refuse(_error: &Error) -> Vec<u8> {
    unimplemented!()
}
