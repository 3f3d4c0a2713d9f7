//! What the shell drives, and how: inputs in, actions out, and no sockets or clocks between.

use super::background::Background;
use super::login::Ask;
use super::operator;
use crate::auth::chatgpt::Credential;
use crate::config::{Origin, Snapshot};
use crate::error::Error;
use crate::ledger::record::Record;
use crate::ledger::stored::{self, Reply};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// What happened; one at a time, then drain [`Machine::poll`].
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
    /// The credential that was asked for, or why there is none.
    Credential(Result<Credential, Error>),
    /// What the store says to the oldest [`Action::Store`] that is not answered yet.
    Stored(Reply),
    /// What the operator's thread says; `None` if it does not get to it.
    Operated(Option<operator::Reply>),
    /// The bytes of the last [`Action::ToUpstream`] were written.
    RequestSent,
    /// Bytes from upstream, as they came.
    UpstreamBytes(&'a [u8]),
    /// Upstream closed its side cleanly.
    UpstreamEof,
    /// The upstream connection broke, on read or write; a phrase for the operator.
    UpstreamBroken(&'a str),
    /// [`Machine::deadline`] has passed.
    Deadline,
    /// The drain time is over, or it has begun and [`Machine::rests`]: end now.
    Drain,
}

/// What the shell is to do next.
#[derive(Debug)]
pub enum Action {
    /// Open or lease a connection; answer with `Connected` or `ConnectFailed`.
    Connect(Origin),
    /// Get what a login has to show, anew if it is what was refused; answer with `Credential`.
    Login(Ask),
    /// Ask the store; answered with `Stored`, in the order of the questions. It is carried out also
    /// when the machine is over before the answer.
    Store(Box<stored::Ask>),
    /// Have the operator's thread answer; answered with `Operated`.
    Operate(Box<operator::Ask>),
    /// Drive this machine beside this one, without a client.
    Spawn(Box<Background>),
    /// Write these bytes upstream; answer with `RequestSent` or `UpstreamBroken`.
    ToUpstream(Bytes),
    /// Write [`Machine::take_output`] to the client, then poll again.
    ToClient,
    /// Drop the upstream connection: its state is not usable again.
    CloseUpstream,
    /// Give the upstream connection back to the pool.
    ReleaseUpstream,
    /// Read from the client and call [`Machine::client_bytes`]; what else is awaited may happen
    /// meanwhile.
    ReadClient,
    /// Note this: an exchange is over.
    Record(Box<Record>),
    /// Wait for bytes from upstream, for the client to leave, or for the deadline.
    Wait,
    /// Over. The client's connection may serve another request, or must be closed.
    Done {
        /// Whether the client's connection may be used again.
        keep_alive: bool,
    },
}

/// What is noted of a machine that is over.
#[derive(Debug)]
pub enum Note {
    /// An exchange.
    Exchange(Box<Record>),
    /// Anything else: a line for the log, `key=value` pairs, no secrets, no content.
    Line(String),
}

impl fmt::Display for Note {
    /// The line for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::Exchange(record) => f.write_str(&record.line()),
            Note::Line(line) => f.write_str(line),
        }
    }
}

/// The life of a request, or of a connection with many. One [`Input`], then [`Machine::poll`]
/// until it says [`Action::Wait`], [`Action::ReadClient`] or [`Action::Done`].
pub trait Machine {
    /// Takes bytes that the client sent; returns how many are used up. The rest is for the next
    /// machine.
    fn client_bytes(&mut self, bytes: &[u8], now: Instant) -> usize;

    /// The configuration has changed. True if there may be a next request, which is begun with the
    /// new one; what is under way never changes.
    fn adopt(&mut self, _snapshot: &Arc<Snapshot>) -> bool {
        false
    }

    /// Takes one input.
    fn handle(&mut self, input: Input<'_>, now: Instant);

    /// The next thing to do.
    fn poll(&mut self) -> Action;

    /// The bytes for the client, or an empty buffer that [`Machine::recycle`] has lent.
    fn take_output(&mut self) -> Vec<u8>;

    /// Lends a buffer for the next output; what is in it goes.
    fn recycle(&mut self, buffer: Vec<u8>);

    /// Whether the client will probably say nothing for long, so that no memory need wait for it.
    fn client_is_silent(&self) -> bool;

    /// When to call [`Input::Deadline`], if nothing else happens before. It mostly moves later
    /// while bytes flow, so a timer that fires early just looks again.
    fn deadline(&self) -> Option<Instant>;

    /// Whether nothing is under way that a drain would wait for.
    fn rests(&self) -> bool;

    /// The exchange under way, as far as it is known, and when it began.
    fn under_way(&self) -> Option<(&Record, Instant)>;

    /// Events that the client was sent in the exchange under way. Asked once for each input.
    fn events(&self) -> u64;

    /// What is to be noted of it, once over.
    fn record(&mut self) -> Note;
}
