//! The client's end of a connection: what it sent and is not yet used, and what it is sent.
//! With TLS both are the plain bytes; what it takes to seal them is nowhere else seen.

use super::timer::{Timer, Timers};
use super::tls::Session;
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
    tls: Option<Box<Session>>,
    carry: Vec<u8>,
    ended: bool,
    /// A write was given up while it was pending.
    writing: bool,
    /// When the last [`Client::send`] began to write.
    pub(super) began_to_write: Option<Instant>,
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
            tls: None,
            carry: Vec::new(),
            ended: false,
            writing: false,
            began_to_write: None,
            timer: Timer::new(timers),
        }
    }

    /// The handshake is done: from now on all goes through `session`, which has already
    /// decrypted `carry`.
    pub(super) fn secure(&mut self, session: Box<Session>, carry: Vec<u8>) {
        self.tls = Some(session);
        self.carry = carry;
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

    /// All bytes that were received and not used yet.
    pub(super) fn take_carry(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.carry)
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
        if self.carry.len() >= cap && !self.ended {
            return Poll::Pending;
        }
        let held = self.carry.len();
        while !self.ended {
            match ready!(self.reader.poll_read(cx)) {
                Ok(count) if count > 0 => self.take_in(),
                _ => self.ended = true,
            }
            if self.carry.len() > held {
                return Poll::Ready(Filled::More);
            }
        }
        Poll::Ready(Filled::End)
    }

    /// Adds what was read to the carry. With TLS it may be nothing: not all records are for us.
    fn take_in(&mut self) {
        let bytes = self.reader.bytes();
        match &mut self.tls {
            None => self.carry.extend_from_slice(bytes),
            Some(session) => {
                // What cannot be decrypted is not from the client.
                self.ended = session.receive(bytes, &mut self.carry).unwrap_or(true);
            }
        }
    }

    /// Sends all of `buffer` and gives it back, emptied. `None`: the client has gone, or took
    /// nothing for [`limits::CLIENT_WRITE_TIMEOUT`].
    pub(super) async fn send(&mut self, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(session) = &mut self.tls {
            // The sealed bytes are given back in the place of the plain ones.
            let sealed = session.seal(&buffer);
            self.ended |= sealed.is_err();
            buffer = sealed.ok()?;
        }
        let mut sent = 0;
        while sent < buffer.len() {
            if self.ended {
                return None;
            }
            let now = Instant::now();
            if sent == 0 {
                self.began_to_write = Some(now);
            }
            let deadline = now + limits::CLIENT_WRITE_TIMEOUT;
            let timer = &mut self.timer;
            let mut writing = pin!(wire::write_some(&mut self.writer, buffer, sent));
            let done = poll_fn(|cx| match writing.as_mut().poll(cx) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => timer.poll(cx, deadline).map(|()| None),
            })
            .await;
            match done {
                Some((Ok(count @ 1..), back)) => {
                    buffer = back.into_inner();
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

    /// Tells a client with TLS that nothing follows, so that it knows that nothing was cut off.
    pub(super) async fn farewell(&mut self) {
        if let Some(session) = &mut self.tls {
            session.close();
            let _ = self.send(Vec::new()).await;
        }
    }

    /// Closes so that the client sees what it was sent: closing with unread bytes in the
    /// socket would make the kernel reset the connection and throw the answer away.
    pub(super) async fn linger(&mut self) {
        self.farewell().await;
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
