//! One client's connection: requests one after another, each an exchange.

use super::upstream::Wire;
use super::worker::{Presence, Worker};
use crate::config::Origin;
use crate::error::{Error, Kind, Source};
use crate::http::head::{self, Parsed, RequestHead};
use crate::limits;
use crate::route::exchange::{Action, Exchange, Input, refuse};
use monoio::io::{
    AsyncReadRent, AsyncWriteRent, AsyncWriteRentExt, OwnedReadHalf, OwnedWriteHalf, Splitable,
};
use monoio::net::TcpStream;
use monoio::time::{Sleep, sleep_until, timeout};
use ring::rand::SecureRandom;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A client that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an answer to an unread request waits for the client to notice.
const LINGER: Duration = Duration::from_secs(1);

type ReadHalf = OwnedReadHalf<TcpStream>;
type Reading = Pin<Box<dyn Future<Output = (io::Result<usize>, Vec<u8>, ReadHalf)>>>;

/// The client's side: one read is always pending while the client matters, and it is never
/// dropped before the connection is (its bytes would be lost with it).
struct Client {
    reading: Option<Reading>,
    half: Option<ReadHalf>,
    writer: OwnedWriteHalf<TcpStream>,
    /// Bytes that were read and not used yet.
    carry: Vec<u8>,
    gone: bool,
}

/// What came first.
enum Event<T> {
    /// The client closed its side. A half-closed connection counts as closed.
    ClientGone,
    /// The deadline.
    Deadline,
    /// What was waited for.
    Done(T),
}

impl Client {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gone {
            return Poll::Pending;
        }
        if self.reading.is_none() {
            let Some(mut half) = self.half.take() else {
                return Poll::Pending;
            };
            let buffer = Vec::with_capacity(limits::READ_BYTES);
            self.reading = Some(Box::pin(async move {
                let (result, buffer) = half.read(buffer).await;
                (result, buffer, half)
            }));
        }
        let Some(reading) = &mut self.reading else {
            return Poll::Pending;
        };
        match reading.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready((result, buffer, half)) => {
                self.reading = None;
                self.half = Some(half);
                match result {
                    Ok(len) if len > 0 => self.carry.extend_from_slice(&buffer[..len]),
                    _ => self.gone = true,
                }
                Poll::Ready(())
            }
        }
    }

    /// Reads once more into `carry`; `false` when the client is gone or the time is over.
    async fn read(&mut self, until: Instant) -> bool {
        let mut sleep = pin!(sleep_until(until.into()));
        poll_fn(|cx| match self.poll_read(cx) {
            Poll::Ready(()) => Poll::Ready(!self.gone),
            Poll::Pending => sleep.as_mut().poll(cx).map(|()| false),
        })
        .await
    }

    async fn write(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        if self.gone {
            return bytes;
        }
        match timeout(WRITE_TIMEOUT, self.writer.write_all(bytes)).await {
            Ok((Ok(_), bytes)) => bytes,
            _ => {
                self.gone = true;
                Vec::new()
            }
        }
    }
}

/// Serves a connection to its end; returns what holds its socket, to be dropped last.
pub(super) async fn serve(
    stream: TcpStream,
    worker: Rc<Worker>,
    presence: Rc<Presence>,
) -> impl Sized {
    let (half, writer) = stream.into_split();
    let mut client = Client {
        reading: None,
        half: Some(half),
        writer,
        carry: Vec::new(),
        gone: false,
    };
    loop {
        let head = match next_head(&mut client, &worker, &presence).await {
            Ok(Some(head)) => head,
            Ok(None) => break,
            Err(error) => {
                client.write(refuse(&error)).await;
                linger(&mut client).await;
                break;
            }
        };
        if !exchange(head, &mut client, &worker, &presence).await || worker.draining.get() {
            linger(&mut client).await;
            break;
        }
    }
    client
}

/// Reads until a head is complete. `None`: the client left, or was idle for too long.
async fn next_head(
    client: &mut Client,
    worker: &Worker,
    presence: &Presence,
) -> Result<Option<RequestHead>, Error> {
    let mut until = Instant::now() + limits::CLIENT_IDLE;
    let mut begun = false;
    loop {
        if !client.carry.is_empty() {
            if let Parsed::Complete { head, len } = head::request(&client.carry)? {
                client.carry.drain(..len);
                return Ok(Some(head));
            }
            if !std::mem::replace(&mut begun, true) {
                until = Instant::now() + limits::CLIENT_READ_TIMEOUT;
            }
        }
        presence.idle.set(!begun);
        let read = (begun || !worker.draining.get()) && client.read(until).await;
        presence.idle.set(false);
        if !read {
            if begun && !client.gone {
                let message = "The request's head did not arrive in time.";
                return Err(Error::new(
                    Source::Downstream,
                    Kind::RequestTimeout,
                    message,
                ));
            }
            return Ok(None);
        }
    }
}

/// Ends the writing side and reads what the client still sends, for a moment: a close with
/// unread bytes would reset the connection, and the client would lose the answer.
async fn linger(client: &mut Client) {
    if client.gone {
        return;
    }
    let _ = client.writer.shutdown().await;
    let until = Instant::now() + LINGER;
    let mut left = 16;
    while left > 0 && client.read(until).await {
        client.carry.clear();
        left -= 1;
    }
}

/// Waits for `future`, for the client to leave, or for the exchange's deadline.
async fn race<F: Future>(
    mut future: Pin<&mut F>,
    client: &mut Client,
    alarm: &mut Alarm,
    deadline: Option<Instant>,
) -> Event<F::Output> {
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Event::Done(output));
        }
        // Pipelined bytes are kept up to a limit; beyond it the client has to wait.
        let was_gone = client.gone;
        while !client.gone && client.carry.len() < limits::PIPELINE_BYTES_MAX {
            if client.poll_read(cx).is_pending() {
                break;
            }
        }
        if client.gone && !was_gone {
            return Poll::Ready(Event::ClientGone);
        }
        alarm.poll(cx, deadline).map(|()| Event::Deadline)
    })
    .await
}

/// One timer for the connection, armed again only when it must fire earlier or has fired.
#[derive(Default)]
struct Alarm {
    sleep: Option<(Pin<Box<Sleep>>, Instant)>,
}

impl Alarm {
    fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            return Poll::Pending;
        };
        loop {
            match &mut self.sleep {
                Some((sleep, at)) if *at <= deadline => match sleep.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(()) => {
                        self.sleep = None;
                        if Instant::now() >= deadline {
                            return Poll::Ready(());
                        }
                    }
                },
                _ => self.sleep = Some((Box::pin(sleep_until(deadline.into())), deadline)),
            }
        }
    }
}

/// Runs one exchange; whether the connection can serve another.
async fn exchange(
    head: RequestHead,
    client: &mut Client,
    worker: &Rc<Worker>,
    presence: &Presence,
) -> bool {
    let mut entropy = [0; 32];
    // Without randomness ids could repeat, and nonces with them: better no answer.
    if worker.random.fill(&mut entropy).is_err() {
        return false;
    }
    let unix_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| d.as_secs());
    let snapshot = Arc::clone(&worker.snapshot);
    let mut exchange = Exchange::new(snapshot, head, entropy, unix_s, Instant::now());
    let mut upstream: Option<(Origin, Wire)> = None;
    let mut alarm = Alarm::default();
    let mut spare = Vec::new();
    let mut action = next_action(&mut exchange, client).await;
    loop {
        action = match action {
            Action::ReadClient => read_body(&mut exchange, client, presence).await,
            Action::Connect(origin) => {
                upstream = None;
                let (wire, next) =
                    connect(&origin, &mut exchange, client, worker, &mut alarm, presence).await;
                upstream = wire.map(|wire| (origin, wire)).or(upstream);
                next
            }
            Action::ToUpstream(bytes) => match &mut upstream {
                Some((_, wire)) => {
                    send(bytes, wire, &mut exchange, client, &mut alarm, presence).await
                }
                None => Action::Done { keep_alive: false },
            },
            Action::CloseUpstream => {
                upstream = None;
                next_action(&mut exchange, client).await
            }
            Action::ReleaseUpstream => {
                if let Some((origin, wire)) = upstream.take() {
                    worker.pool.release(origin, wire);
                }
                next_action(&mut exchange, client).await
            }
            Action::Wait => match &mut upstream {
                Some((_, wire)) => {
                    receive(
                        &mut spare,
                        wire,
                        &mut exchange,
                        client,
                        &mut alarm,
                        presence,
                    )
                    .await
                }
                None => Action::Done { keep_alive: false },
            },
            Action::ToClient => next_action(&mut exchange, client).await,
            Action::Done { keep_alive } => {
                worker.journal.line(exchange.record());
                return keep_alive && !client.gone;
            }
        };
    }
}

/// Writes what there is for the client, and returns the first action that is something else.
async fn next_action(exchange: &mut Exchange, client: &mut Client) -> Action {
    loop {
        match exchange.poll() {
            Action::ToClient => {
                let bytes = client.write(exchange.take_output()).await;
                exchange.recycle(bytes);
                if client.gone {
                    exchange.handle(Input::ClientGone, Instant::now());
                }
            }
            action => return action,
        }
    }
}

async fn handle(exchange: &mut Exchange, input: Input<'_>, client: &mut Client) -> Action {
    exchange.handle(input, Instant::now());
    next_action(exchange, client).await
}

fn departure(presence: &Presence) -> Input<'static> {
    if presence.end_now.get() {
        Input::Drain
    } else {
        Input::ClientGone
    }
}

async fn client_left(exchange: &mut Exchange, client: &mut Client, presence: &Presence) -> Action {
    let input = departure(presence);
    if matches!(input, Input::Drain) {
        // Only the reading side was ended, by ourselves: the last words can still be written.
        client.gone = false;
        client.half = None;
    }
    handle(exchange, input, client).await
}

async fn read_body(exchange: &mut Exchange, client: &mut Client, presence: &Presence) -> Action {
    if client.carry.is_empty() {
        let until = exchange.deadline().unwrap_or_else(Instant::now);
        if !client.read(until).await {
            return match client.gone {
                true => client_left(exchange, client, presence).await,
                false => handle(exchange, Input::Deadline, client).await,
            };
        }
    }
    let used = exchange.client_bytes(&client.carry, Instant::now());
    client.carry.drain(..used);
    next_action(exchange, client).await
}

async fn connect(
    origin: &Origin,
    exchange: &mut Exchange,
    client: &mut Client,
    worker: &Rc<Worker>,
    alarm: &mut Alarm,
    presence: &Presence,
) -> (Option<Wire>, Action) {
    if let Some(wire) = worker.pool.lease(origin) {
        return (
            Some(wire),
            handle(exchange, Input::Connected { reused: true }, client).await,
        );
    }
    let mut connecting = pin!(Wire::connect(origin, &worker.names, &worker.tls));
    loop {
        let deadline = exchange.deadline();
        match race(connecting.as_mut(), client, alarm, deadline).await {
            Event::Done(Ok(wire)) => {
                let connected = Input::Connected { reused: false };
                return (Some(wire), handle(exchange, connected, client).await);
            }
            Event::Done(Err(why)) => {
                return (
                    None,
                    handle(exchange, Input::ConnectFailed(&why), client).await,
                );
            }
            Event::ClientGone => return (None, client_left(exchange, client, presence).await),
            Event::Deadline => {
                let action = handle(exchange, Input::Deadline, client).await;
                if !matches!(action, Action::Wait) {
                    return (None, action);
                }
            }
        }
    }
}

async fn send(
    bytes: Vec<u8>,
    wire: &mut Wire,
    exchange: &mut Exchange,
    client: &mut Client,
    alarm: &mut Alarm,
    presence: &Presence,
) -> Action {
    let mut sending = pin!(wire.write_all(bytes));
    loop {
        let deadline = exchange.deadline();
        match race(sending.as_mut(), client, alarm, deadline).await {
            Event::Done(Ok(())) => return handle(exchange, Input::RequestSent, client).await,
            Event::Done(Err(e)) => {
                let why = e.to_string();
                return handle(exchange, Input::UpstreamBroken(&why), client).await;
            }
            Event::ClientGone => return client_left(exchange, client, presence).await,
            Event::Deadline => {
                let action = handle(exchange, Input::Deadline, client).await;
                if !matches!(action, Action::Wait) {
                    return action;
                }
            }
        }
    }
}

async fn receive(
    spare: &mut Vec<u8>,
    wire: &mut Wire,
    exchange: &mut Exchange,
    client: &mut Client,
    alarm: &mut Alarm,
    presence: &Presence,
) -> Action {
    let mut buffer = std::mem::take(spare);
    buffer.clear();
    buffer.reserve(limits::READ_BYTES);
    let mut reading = pin!(wire.read(buffer));
    loop {
        let deadline = exchange.deadline();
        match race(reading.as_mut(), client, alarm, deadline).await {
            Event::Done((result, buffer)) => {
                let action = match result {
                    Ok(0) => handle(exchange, Input::UpstreamEof, client).await,
                    Ok(len) => handle(exchange, Input::UpstreamBytes(&buffer[..len]), client).await,
                    Err(e) => {
                        let why = e.to_string();
                        handle(exchange, Input::UpstreamBroken(&why), client).await
                    }
                };
                *spare = buffer;
                return action;
            }
            Event::ClientGone => {
                let action = client_left(exchange, client, presence).await;
                if !matches!(action, Action::Wait) {
                    return action;
                }
            }
            Event::Deadline => {
                let action = handle(exchange, Input::Deadline, client).await;
                if !matches!(action, Action::Wait) {
                    return action;
                }
            }
        }
    }
}
