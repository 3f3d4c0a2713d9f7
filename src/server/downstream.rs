//! One client connection: heads are read, exchanges are driven, one after the other, until one
//! of them changes to a WebSocket.

use super::client::{Client, Filled};
use super::handshake;
use super::relay;
use super::worker::Worker;
use crate::error::{Error, Kind, Source};
use crate::http::head::{self, Parsed, RequestHead};
use crate::ledger::peer::Peer;
use crate::limits;
use crate::route::exchange::{self, Exchange, RequestId};
use monoio::net::TcpStream;
use rustls::ServerConfig;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What a client connection does next.
enum Next {
    Serve(Box<RequestHead>),
    Refuse(Box<Error>),
    Close,
}

/// Serves a connection of `peer`'s until it ends; with `tls` only once it is secure.
pub(super) fn serve(
    worker: Rc<Worker>,
    stream: TcpStream,
    peer: Peer,
    tls: Option<Arc<ServerConfig>>,
) -> impl Future<Output = ()> {
    // Out here what is made for good has one place in the task instead of two.
    let mut client = Client::new(stream, worker.timers.clone());
    async move {
        if let Some(config) = tls
            // On the heap for as long as it takes: those without TLS need no room for it.
            && !Box::pin(handshake::run(&worker, &mut client, config)).await
        {
            return;
        }
        loop {
            match next(&worker, &mut client).await {
                Next::Serve(head) => {
                    let _counted = worker.in_flight.enter();
                    // What only reads is not in the audit.
                    if !["GET", "HEAD"].contains(&head.method.as_str()) {
                        worker.room().await;
                    }
                    let mut exchange = {
                        // The box is not kept for as long as the exchange lasts.
                        let boxed = head;
                        begin(&worker, *boxed)
                    };
                    exchange.came_from(peer);
                    let mut keep_alive = relay::run(&worker, &mut client, exchange.as_mut()).await;
                    if let Some(mut conversation) = exchange.into_conversation() {
                        keep_alive = relay::run(&worker, &mut client, conversation.as_mut()).await;
                    }
                    if !keep_alive || worker.is_draining() {
                        break;
                    }
                }
                Next::Refuse(error) => {
                    let id = RequestId::of(&worker.entropy());
                    let refused = || format!("refused {error} id={} client={peer}", id.text());
                    worker.journal.info(refused);
                    let _ = client.send(exchange::refuse(&error, id)).await;
                    break;
                }
                Next::Close => {
                    client.farewell().await;
                    return;
                }
            }
        }
        if !client.is_gone() {
            client.linger().await;
        }
    }
}

fn begin(worker: &Worker, head: RequestHead) -> Box<Exchange> {
    let begin = match worker.is_leaving() {
        true => Exchange::last,
        false => Exchange::new,
    };
    let unix_s = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    Box::new(begin(
        worker.settings().snapshot.clone(),
        head,
        worker.entropy(),
        unix_s,
        Instant::now(),
    ))
}

/// Waits for a whole request head.
async fn next(worker: &Worker, client: &mut Client) -> Next {
    let idle_until = Instant::now() + limits::CLIENT_IDLE;
    let mut head_until = None;
    let mut looked_at = 0;
    loop {
        if may_be_whole(client.carry(), looked_at) {
            match head::request(client.carry()) {
                Ok(Parsed::Complete { head, len }) => {
                    client.consume(len);
                    if let Some(core) = &worker.core {
                        core.from_clients.add(len as u64);
                    }
                    return Next::Serve(Box::new(head));
                }
                Ok(Parsed::Partial) => {}
                Err(error) => return Next::Refuse(Box::new(error)),
            }
        }
        looked_at = client.carry().len();
        if looked_at >= limits::HEAD_BYTES_MAX {
            let message = format!(
                "The request head is larger than {} bytes.",
                limits::HEAD_BYTES_MAX
            );
            let error = Error::new(Source::Downstream, Kind::HeadTooLarge, message);
            return Next::Refuse(Box::new(error));
        }
        let deadline = if looked_at == 0 {
            idle_until
        } else {
            *head_until.get_or_insert_with(|| Instant::now() + limits::CLIENT_READ_TIMEOUT)
        };
        match wait_for_bytes(worker, client, deadline).await {
            Waited::More => {}
            Waited::End => return Next::Close,
            Waited::Late if looked_at == 0 => return Next::Close,
            Waited::Late => {
                let message = "The request head did not arrive in time.";
                let error = Error::new(Source::Downstream, Kind::RequestTimeout, message);
                return Next::Refuse(Box::new(error));
            }
        }
    }
}

/// What a wait for a client's bytes came to.
pub(super) enum Waited {
    More,
    End,
    Late,
}

/// Waits for more bytes of a client that is owed nothing.
pub(super) async fn wait_for_bytes(
    worker: &Worker,
    client: &mut Client,
    deadline: Instant,
) -> Waited {
    poll_fn(|cx| {
        if let Poll::Ready(filled) = client.poll_fill(cx, limits::HEAD_BYTES_MAX) {
            return Poll::Ready(match filled {
                Filled::More => Waited::More,
                Filled::End => Waited::End,
            });
        }
        let idle = client.carry().is_empty();
        if worker.is_ending() || (worker.is_draining() && idle) {
            return Poll::Ready(Waited::End);
        }
        client.timer.poll(cx, deadline).map(|()| Waited::Late)
    })
    .await
}

/// Whether parsing is worth it: always at first, so that garbage is refused at once; then only
/// when an empty line has come, so that a head sent byte by byte is not parsed each time.
fn may_be_whole(bytes: &[u8], looked_at: usize) -> bool {
    if bytes.is_empty() {
        return false;
    }
    if looked_at == 0 {
        return true;
    }
    let fresh = &bytes[looked_at.saturating_sub(3)..];
    memchr::memchr_iter(b'\n', fresh).any(|at| {
        let rest = &fresh[at + 1..];
        rest.starts_with(b"\n") || rest.starts_with(b"\r\n")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_line_is_found_at_every_split() {
        for whole in [
            &b"GET / HTTP/1.1\r\na: b\r\n\r\n"[..],
            b"GET / HTTP/1.1\n\n",
        ] {
            for split in 1..whole.len() {
                assert!(may_be_whole(whole, split), "{split}");
                assert!(split == 1 || !may_be_whole(&whole[..split], split - 1));
            }
        }
    }
}
