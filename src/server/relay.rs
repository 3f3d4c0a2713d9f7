//! Drives one [`Exchange`]: its actions become operations, their results its inputs.
//!
//! Nothing that is pending is dropped while it may still matter: the client's read, the
//! upstream's read and write and the connection attempt live outside of any one wait.

use super::client::{Client, Filled};
use super::upstream::{self, Received, Upstream};
use super::wire::Local;
use super::worker::Worker;
use crate::auth::chatgpt::Credential;
use crate::config::Origin;
use crate::error::Error;
use crate::limits;
use crate::route::exchange::{Action, Exchange, Input};
use bytes::Bytes;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// What ended a wait.
enum Event {
    ClientBytes,
    ClientGone,
    Connected(Result<Upstream, String>),
    Credential(Result<Credential, Error>),
    Sent(Result<(), String>),
    Received(Received),
    Deadline,
    Drain,
}

struct Relay<'a> {
    worker: &'a Rc<Worker>,
    client: &'a mut Client,
    exchange: Box<Exchange>,
    asking: Option<Local<Result<Credential, Error>>>,
    connecting: Option<Local<Result<Upstream, String>>>,
    upstream: Option<Upstream>,
    told_gone: bool,
    told_drain: bool,
}

/// Runs an exchange to its end. True if the client's connection can be used again.
pub(super) async fn run(worker: &Rc<Worker>, client: &mut Client, exchange: Box<Exchange>) -> bool {
    let mut relay = Relay {
        worker,
        client,
        exchange,
        asking: None,
        connecting: None,
        upstream: None,
        told_gone: false,
        told_drain: false,
    };
    let keep_alive = relay.drive().await;
    worker.journal.info(|| relay.exchange.record());
    keep_alive && !relay.client.is_gone()
}

impl Relay<'_> {
    async fn drive(&mut self) -> bool {
        loop {
            let reading = match self.exchange.poll() {
                Action::Connect(origin) => {
                    if self.connect(origin) {
                        continue;
                    }
                    false
                }
                Action::Login(ask) => {
                    self.asking = Some(self.worker.logins.ask(ask));
                    false
                }
                Action::ToUpstream(bytes) => {
                    if let Err(why) = self.send(bytes) {
                        self.tell(Input::UpstreamBroken(&why));
                        continue;
                    }
                    false
                }
                Action::ToClient => {
                    self.flush().await;
                    continue;
                }
                Action::CloseUpstream => {
                    self.connecting = None;
                    self.upstream = None;
                    continue;
                }
                Action::ReleaseUpstream => {
                    if let Some(upstream) = self.upstream.take() {
                        self.worker.pool.release(upstream, Instant::now());
                    }
                    continue;
                }
                Action::ReadClient => {
                    if self.feed() {
                        continue;
                    }
                    true
                }
                Action::Wait => {
                    // A stream that waits holds no memory for its output.
                    self.worker.buffers.give(self.exchange.take_output());
                    false
                }
                Action::Done { keep_alive } => return keep_alive,
            };
            self.wait(reading).await;
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        self.exchange.recycle(self.worker.buffers.take());
        self.exchange.handle(input, Instant::now());
    }

    /// True if a connection was there already.
    fn connect(&mut self, origin: Origin) -> bool {
        self.upstream = None;
        if let Some(upstream) = self.worker.pool.lease(&origin, Instant::now()) {
            self.upstream = Some(upstream);
            self.tell(Input::Connected { reused: true });
            return true;
        }
        let worker = self.worker;
        self.connecting = Some(Box::pin(upstream::connect(
            origin,
            worker.cache.clone(),
            worker.tls.clone(),
            worker.snapshot.timeouts.connect,
        )));
        false
    }

    fn send(&mut self, bytes: Bytes) -> Result<(), String> {
        match &mut self.upstream {
            Some(upstream) => {
                if self.exchange.streams() {
                    upstream.expect_patience();
                }
                upstream.send(bytes)
            }
            None => Err("no connection".to_owned()),
        }
    }

    /// Sends the output. Nothing is read from upstream meanwhile: a slow client slows the
    /// provider down instead of filling memory.
    async fn flush(&mut self) {
        let output = self.exchange.take_output();
        match self.client.send(output).await {
            Some(buffer) => self.worker.buffers.give(buffer),
            None => self.client_gone(),
        }
    }

    fn client_gone(&mut self) {
        if !self.told_gone {
            self.told_gone = true;
            self.tell(Input::ClientGone);
        }
    }

    /// Gives what the client has sent to the exchange; false if there is nothing to give.
    fn feed(&mut self) -> bool {
        if self.client.carry().is_empty() {
            return false;
        }
        let used = self
            .exchange
            .client_bytes(self.client.carry(), Instant::now());
        self.client.consume(used);
        used > 0
    }

    async fn wait(&mut self, reading: bool) {
        let deadline = match self.exchange.deadline() {
            None if reading => Some(Instant::now() + limits::CLIENT_READ_TIMEOUT),
            deadline => deadline,
        };
        match poll_fn(|cx| self.poll_event(cx, reading, deadline)).await {
            Event::ClientBytes => {
                self.feed();
            }
            Event::ClientGone => self.client_gone(),
            Event::Connected(Ok(upstream)) => {
                self.upstream = Some(upstream);
                self.tell(Input::Connected { reused: false });
            }
            Event::Connected(Err(why)) => self.tell(Input::ConnectFailed(&why)),
            Event::Credential(result) => self.tell(Input::Credential(result)),
            Event::Sent(Ok(())) => self.tell(Input::RequestSent),
            Event::Sent(Err(why)) => self.received(&Received::Broken(why)),
            Event::Received(received) => self.received(&received),
            Event::Deadline => self.tell(Input::Deadline),
            Event::Drain => {
                self.told_drain = true;
                self.tell(Input::Drain);
            }
        }
    }

    fn received(&mut self, received: &Received) {
        let input = match received {
            Received::Bytes => match &self.upstream {
                Some(upstream) => Input::UpstreamBytes(upstream.bytes()),
                None => return,
            },
            Received::Eof => Input::UpstreamEof,
            Received::Broken(why) => Input::UpstreamBroken(why),
        };
        self.exchange.recycle(self.worker.buffers.take());
        self.exchange.handle(input, Instant::now());
        if *received != Received::Bytes {
            // It would only tell the same again.
            self.upstream = None;
        }
    }

    fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        reading: bool,
        deadline: Option<Instant>,
    ) -> Poll<Event> {
        if self.worker.is_ending() && !self.told_drain {
            return Poll::Ready(Event::Drain);
        }
        if let Poll::Ready(event) = self.poll_client(cx, reading) {
            return Poll::Ready(event);
        }
        if let Poll::Ready(event) = self.poll_upstream(cx) {
            return Poll::Ready(event);
        }
        match deadline {
            Some(deadline) => self
                .client
                .timer
                .poll(cx, deadline)
                .map(|()| Event::Deadline),
            None => Poll::Pending,
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Event> {
        if !reading {
            self.client.expect_little(self.exchange.streams());
        }
        while !self.told_gone {
            match self.client.poll_fill(cx, limits::PIPELINE_BYTES_MAX) {
                Poll::Ready(Filled::More) if reading => return Poll::Ready(Event::ClientBytes),
                // Belongs to the next request: held back.
                Poll::Ready(Filled::More) => {}
                Poll::Ready(Filled::End) => return Poll::Ready(Event::ClientGone),
                Poll::Pending => break,
            }
        }
        Poll::Pending
    }

    fn poll_upstream(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        if let Some(asking) = &mut self.asking {
            return asking.as_mut().poll(cx).map(|result| {
                self.asking = None;
                Event::Credential(result)
            });
        }
        if let Some(connecting) = &mut self.connecting {
            return connecting.as_mut().poll(cx).map(|result| {
                self.connecting = None;
                Event::Connected(result)
            });
        }
        match &mut self.upstream {
            Some(upstream) if upstream.is_sending() => upstream.poll_sent(cx).map(Event::Sent),
            Some(upstream) => upstream.poll_receive(cx).map(Event::Received),
            None => Poll::Pending,
        }
    }
}
