//! Who a machine speaks to: a client, or nobody.

use super::client::{Client, Filled};
use super::timer::{Timer, Timers};
use std::rc::Rc;
use std::task::{Context, Poll};

/// The other end of what a machine says.
pub(super) enum Audience<'a> {
    Client(&'a mut Client),
    /// It works in the background.
    Nobody(Box<Timer>),
}

impl Audience<'_> {
    pub(super) fn nobody(timers: Rc<Timers>) -> Self {
        Audience::Nobody(Box::new(Timer::new(timers)))
    }

    /// The client's timer, or one's own.
    pub(super) fn timer(&mut self) -> &mut Timer {
        match self {
            Audience::Client(client) => &mut client.timer,
            Audience::Nobody(timer) => timer,
        }
    }

    /// Bytes received and not used yet.
    pub(super) fn carry(&self) -> &[u8] {
        match self {
            Audience::Client(client) => client.carry(),
            Audience::Nobody(_) => b"",
        }
    }

    /// See [`Client::consume`].
    pub(super) fn consume(&mut self, count: usize) {
        if let Audience::Client(client) = self {
            client.consume(count);
        }
    }

    /// See [`Client::expect_little`].
    pub(super) fn expect_little(&mut self, for_long: bool) {
        if let Audience::Client(client) = self {
            client.expect_little(for_long);
        }
    }

    /// See [`Client::poll_fill`]; nobody ever says anything.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, cap: usize) -> Poll<Filled> {
        match self {
            Audience::Client(client) => client.poll_fill(cx, cap),
            Audience::Nobody(_) => Poll::Pending,
        }
    }

    /// Whether the client has gone.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Audience::Client(client) => client.is_gone(),
            Audience::Nobody(_) => true,
        }
    }
}
