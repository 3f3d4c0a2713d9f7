//! Drives a [`Machine`]: its actions become operations, their results its inputs.
//!
//! Nothing that is pending is dropped while it may still matter: the client's read, the
//! upstream's read and write and the connection attempt live outside of any one wait.

use super::audience::Audience;
use super::client::{Client, Filled};
use super::meter::Meter;
use super::settings::Settings;
use super::upstream::{self, Received, Upstream};
use super::wire::Local;
use super::worker::Worker;
use crate::auth::chatgpt::Credential;
use crate::config::Origin;
use crate::error::Error;
use crate::ledger::stored::Reply;
use crate::limits;
use crate::route::background::Background;
use crate::route::machine::{Action, Input, Machine, Note};
use crate::route::operator;
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

/// What ended a wait.
enum Event {
    ClientBytes,
    ClientGone,
    Connected(Result<Upstream, String>),
    Credential(Result<Credential, Error>),
    Operated(Option<operator::Reply>),
    Stored(Reply),
    Sent(Result<(), String>),
    Received(Received),
    Deadline,
    Drain,
}

/// What takes time.
enum Doing {
    Flush,
    Over { keep_alive: bool },
    Room,
    Wait { reading: bool },
}

struct Relay<'a, M> {
    worker: &'a Rc<Worker>,
    /// Those that the machine's exchange was begun with.
    settings: Arc<Settings>,
    client: Audience<'a>,
    machine: &'a mut M,
    asking: Option<Local<Result<Credential, Error>>>,
    connecting: Option<Local<Result<Upstream, String>>>,
    operating: Option<Local<Option<operator::Reply>>>,
    /// What the store was asked, oldest first; bytes from upstream do not wait for it.
    storing: VecDeque<Local<Reply>>,
    upstream: Option<Upstream>,
    meter: Meter<'a>,
    told_gone: bool,
    told_drain: bool,
}

/// Runs a machine to its end. True if the client's connection can be used again.
pub(super) fn run<'a, M: Machine>(
    worker: &'a Rc<Worker>,
    client: &'a mut Client,
    machine: &'a mut M,
) -> impl Future<Output = bool> + 'a {
    // Nothing was waited for since the machine was made.
    let settings = worker.settings().clone();
    relay(worker, settings, Audience::Client(client), machine)
}

/// Runs a background response, beside whatever asked for it. It counts as in flight.
fn spawn(worker: &Rc<Worker>, settings: Arc<Settings>, mut machine: Box<Background>) {
    let own = worker.clone();
    let task: Local<()> = Box::pin(async move {
        let _counted = own.in_flight.enter();
        let nobody = Audience::nobody(own.timers.clone());
        relay(&own, settings, nobody, machine.as_mut()).await;
    });
    worker.spawn(task);
}

fn relay<'a, M: Machine>(
    worker: &'a Rc<Worker>,
    settings: Arc<Settings>,
    client: Audience<'a>,
    machine: &'a mut M,
) -> impl Future<Output = bool> + 'a {
    // Out here it has one place in the task instead of two.
    let mut relay = Relay {
        worker,
        settings,
        client,
        machine,
        asking: None,
        connecting: None,
        operating: None,
        storing: VecDeque::new(),
        upstream: None,
        meter: Meter::new(worker.core.as_deref()),
        told_gone: false,
        told_drain: false,
    };
    async move {
        let keep_alive = relay.drive().await;
        match relay.machine.record() {
            Note::Exchange(record) => {
                relay.meter.over(&record);
                relay.worker.note(record);
            }
            Note::Line(line) => relay.worker.journal.info(|| line),
        }
        keep_alive && !relay.client.is_gone()
    }
}

impl<M: Machine> Relay<'_, M> {
    async fn drive(&mut self) -> bool {
        loop {
            match self.act() {
                Doing::Flush => self.flush().await,
                // The next request on this connection is another exchange.
                Doing::Room => self.worker.room().await,
                Doing::Wait { reading } => {
                    // What waits holds no memory for its output.
                    self.worker.buffers.give(self.machine.take_output());
                    self.wait(reading).await;
                }
                Doing::Over { keep_alive } => return keep_alive,
            }
        }
    }

    /// Does what can be done at once, up to what has to be waited for.
    fn act(&mut self) -> Doing {
        loop {
            match self.machine.poll() {
                Action::Connect(origin) => self.connect(origin),
                Action::Login(ask) => self.asking = Some(self.settings.logins.ask(ask)),
                Action::Operate(ask) => self.operating = Some(self.worker.operator.ask(*ask)),
                Action::Store(ask) => self.storing.push_back(self.worker.store.ask(*ask)),
                Action::Spawn(machine) => spawn(self.worker, self.settings.clone(), machine),
                Action::ToUpstream(bytes) => {
                    if let Err(why) = self.send(bytes) {
                        self.tell(Input::UpstreamBroken(&why));
                    }
                }
                Action::ToClient => return Doing::Flush,
                Action::CloseUpstream => {
                    self.connecting = None;
                    self.upstream = None;
                }
                Action::ReleaseUpstream => {
                    if let Some(upstream) = self.upstream.take() {
                        self.worker.pool.release(upstream, Instant::now());
                    }
                }
                Action::ReadClient => {
                    if !self.feed() {
                        return Doing::Wait { reading: true };
                    }
                }
                Action::Record(record) => {
                    self.meter.over(&record);
                    self.worker.note(record);
                    return Doing::Room;
                }
                Action::Wait => return Doing::Wait { reading: false },
                Action::Done { keep_alive } => return Doing::Over { keep_alive },
            }
        }
    }

    fn tell(&mut self, input: Input<'_>) {
        let now = Instant::now();
        self.machine.recycle(self.worker.buffers.take());
        self.machine.handle(input, now);
        self.meter.look(self.machine, now);
    }

    fn connect(&mut self, origin: Origin) {
        self.upstream = None;
        self.meter.tries(self.machine, &self.settings.snapshot);
        if let Some(upstream) = self.worker.pool.lease(&origin, Instant::now()) {
            self.upstream = Some(upstream);
            self.meter.connected();
            return self.tell(Input::Connected { reused: true });
        }
        let worker = self.worker;
        self.connecting = Some(Box::pin(upstream::connect(
            origin,
            worker.cache.clone(),
            self.settings.tls.clone(),
            self.settings.snapshot.timeouts.connect,
        )));
    }

    fn send(&mut self, bytes: Bytes) -> Result<(), String> {
        match &mut self.upstream {
            Some(upstream) => upstream.send(bytes),
            None => Err("no connection".to_owned()),
        }
    }

    /// Sends the output. Nothing is read from upstream meanwhile: a slow client slows the
    /// provider down instead of filling memory.
    async fn flush(&mut self) {
        let sent = match &mut self.client {
            Audience::Client(client) => {
                let bytes;
                // In a block of its own the buffer has no second place in the task.
                let sent = client
                    .send({
                        let output = self.machine.take_output();
                        bytes = output.len();
                        output
                    })
                    .await;
                self.meter.sent(bytes, client.began_to_write);
                sent
            }
            Audience::Nobody(_) => Some(self.machine.take_output()),
        };
        match sent {
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

    /// Gives what the client has sent to the machine; false if there is nothing to give.
    fn feed(&mut self) -> bool {
        if self.client.carry().is_empty() {
            return false;
        }
        let used = self
            .machine
            .client_bytes(self.client.carry(), Instant::now());
        self.client.consume(used);
        self.meter.heard(used);
        used > 0
    }

    async fn wait(&mut self, reading: bool) {
        let deadline = match self.machine.deadline() {
            None if reading => Some(Instant::now() + limits::CLIENT_READ_TIMEOUT),
            deadline => deadline,
        };
        let event = poll_fn(|cx| self.poll_event(cx, reading, deadline)).await;
        self.renew();
        match event {
            Event::ClientBytes => {
                self.feed();
            }
            Event::ClientGone => self.client_gone(),
            Event::Connected(Ok(mut upstream)) => {
                if let Some(core) = &self.worker.core {
                    upstream.count(core.clone());
                }
                self.upstream = Some(upstream);
                self.meter.connected();
                self.tell(Input::Connected { reused: false });
            }
            Event::Connected(Err(why)) => self.tell(Input::ConnectFailed(&why)),
            Event::Credential(result) => self.tell(Input::Credential(result)),
            Event::Operated(reply) => self.tell(Input::Operated(reply)),
            Event::Stored(reply) => self.tell(Input::Stored(reply)),
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

    /// What outlasts a request goes on with the newest configuration.
    fn renew(&mut self) {
        let newest = self.worker.settings();
        if !Arc::ptr_eq(&newest, &self.settings) && self.machine.adopt(&newest.snapshot) {
            self.settings = newest.clone();
        }
    }

    fn received(&mut self, received: &Received) {
        let now = Instant::now();
        let input = match received {
            Received::Bytes => match &self.upstream {
                Some(upstream) => {
                    let bytes = upstream.bytes();
                    self.meter.received(bytes.len(), now);
                    Input::UpstreamBytes(bytes)
                }
                None => return,
            },
            Received::Eof => Input::UpstreamEof,
            Received::Broken(why) => Input::UpstreamBroken(why),
        };
        self.machine.recycle(self.worker.buffers.take());
        self.machine.handle(input, now);
        self.meter.look(self.machine, now);
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
        let ends = self.worker.is_ending() || self.worker.is_leaving() && self.machine.rests();
        if ends && !self.told_drain {
            return Poll::Ready(Event::Drain);
        }
        if let Poll::Ready(event) = self.poll_client(cx, reading) {
            return Poll::Ready(event);
        }
        if let Some(first) = self.storing.front_mut()
            && let Poll::Ready(reply) = first.as_mut().poll(cx)
        {
            self.storing.pop_front();
            return Poll::Ready(Event::Stored(reply));
        }
        if let Some(operating) = &mut self.operating
            && let Poll::Ready(reply) = operating.as_mut().poll(cx)
        {
            self.operating = None;
            return Poll::Ready(Event::Operated(reply));
        }
        if let Poll::Ready(event) = self.poll_upstream(cx) {
            return Poll::Ready(event);
        }
        match deadline {
            Some(deadline) => self
                .client
                .timer()
                .poll(cx, deadline)
                .map(|()| Event::Deadline),
            None => Poll::Pending,
        }
    }

    fn poll_client(&mut self, cx: &mut Context<'_>, reading: bool) -> Poll<Event> {
        let silent = self.machine.client_is_silent();
        if silent || !reading {
            self.client.expect_little(silent);
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
