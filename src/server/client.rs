//! The client's end of a connection: what it sent and is not yet used, and what it is sent.

use super::timer::{Timer, Timers};
use super::wire::{self, Control, Reader, Writer};
use crate::limits;
use monoio::net::TcpStream;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// What came from the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Filled {
    /// More bytes in [`Client::carry`].
    More,
    /// The end. A client that only closes its sending side looks the same as one that is gone,
    /// and is treated so: no client of this API half-closes.
    End,
}

/// One client connection.
pub(super) struct Client {
    reader: Reader,
    writer: Writer,
    control: Control,
    carry: Vec<u8>,
    ended: bool,
    /// A write was given up while it was pending.
    writing: bool,
    /// The connection's one timer.
    pub(super) timer: Timer,
}

impl Client {
    pub(super) fn new(stream: TcpStream, timers: Rc<Timers>) -> Self {
        let (reader, writer, control) = wire::split(stream);
        Client {
            reader,
            writer,
            control,
            carry: Vec::new(),
            ended: false,
            writing: false,
            timer: Timer::new(timers),
        }
    }

    /// Bytes received and not used yet.
    pub(super) fn carry(&self) -> &[u8] {
        &self.carry
    }

    /// Marks the first `count` bytes of the carry as used.
    pub(super) fn consume(&mut self, count: usize) {
        if count < self.carry.len() {
            self.carry.drain(..count);
        } else {
            // What waits for an answer keeps no memory for the next request.
            self.carry = Vec::new();
        }
    }

    /// Whether the client has gone: nothing can be received, and sending makes no sense.
    pub(super) fn is_gone(&self) -> bool {
        self.ended
    }

    /// From now on only the end is expected: the next read needs little memory; `for_long`: none
    /// until there is something to read.
    pub(super) fn expect_little(&mut self, for_long: bool) {
        self.reader.expect_little(for_long);
    }

    /// Watches for bytes or the end; the read stays pending between calls. Reads no further once
    /// `cap` bytes are held, so that TCP stops a client that sends without waiting.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>, cap: usize) -> Poll<Filled> {
        if self.ended {
            return Poll::Ready(Filled::End);
        }
        if self.carry.len() >= cap {
            return Poll::Pending;
        }
        match ready!(self.reader.poll_read(cx)) {
            Ok(count) if count > 0 => {
                self.carry.extend_from_slice(self.reader.bytes());
                Poll::Ready(Filled::More)
            }
            _ => {
                self.ended = true;
                Poll::Ready(Filled::End)
            }
        }
    }

    /// Sends all of `buffer` and gives it back, emptied. `None`: the client has gone, or took
    /// nothing for [`limits::CLIENT_WRITE_TIMEOUT`].
    pub(super) async fn send(&mut self, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        let mut sent = 0;
        while sent < buffer.len() {
            if self.ended {
                return None;
            }
            let deadline = Instant::now() + limits::CLIENT_WRITE_TIMEOUT;
            let timer = &mut self.timer;
            let mut writing = pin!(wire::write_some(&mut self.writer, buffer, sent));
            let done = poll_fn(|cx| match writing.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => timer.poll(cx, deadline).map(|()| None),
            })
            .await;
            match done {
                Some((Ok(count), back)) => {
                    buffer = back;
                    sent += count;
                }
                done => {
                    self.ended = true;
                    self.writing = done.is_none();
                    return None;
                }
            }
        }
        buffer.clear();
        Some(buffer)
    }

    /// Closes so that the client sees what it was sent: closing with unread bytes in the
    /// socket would make the kernel reset the connection and throw the answer away.
    pub(super) async fn linger(&mut self) {
        self.control.shutdown_write();
        let deadline = Instant::now() + limits::LINGER;
        let mut left = limits::LINGER_BYTES;
        while !self.ended && left > 0 {
            self.carry.clear();
            let filled = poll_fn(|cx| match self.poll_fill(cx, usize::MAX) {
                Poll::Ready(filled) => Poll::Ready(Some(filled)),
                Poll::Pending => self.timer.poll(cx, deadline).map(|()| None),
            })
            .await;
            if filled != Some(Filled::More) {
                break;
            }
            left = left.saturating_sub(self.carry.len());
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // A pending operation holds the socket until the kernel gives it back; this ends it.
        if self.reader.is_busy() || self.writing {
            self.control.shutdown_both();
        }
    }
}
