//! A request whose small answer is wanted whole, in a runtime of its own on a thread that may wait.

use super::driver::{self, DriverKind};
use super::resolve::{Cache, Resolver};
use super::upstream::{self, Received, Upstream};
use crate::config::Origin;
use crate::limits;
use crate::route::upstream::{self as dialogue, Answer, Piece};
use rustls::ClientConfig;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A status and a body.
type Said = (u16, Vec<u8>);

/// What such a request needs of the process.
pub(super) struct Post {
    pub(super) tls: Arc<ClientConfig>,
    pub(super) resolver: Resolver,
    /// To connect.
    pub(super) connect: Duration,
}

impl Post {
    /// Sends `body`, with these further fields, and waits for the whole answer, once connected
    /// not longer than `limit`.
    pub(super) fn send(
        &self,
        origin: &Origin,
        path: &str,
        fields: &[(&str, &str)],
        body: &[u8],
        limit: Duration,
    ) -> Result<Said, String> {
        // Rare: epoll needs no memory to be locked for it.
        let mut built = driver::build(Some(DriverKind::Epoll))?;
        built.runtime.block_on(async {
            let cache = Rc::new(Cache::new(self.resolver.clone()));
            let tls = self.tls.clone();
            let connected = upstream::connect(origin.clone(), cache, tls, self.connect);
            let mut upstream = connected.await?;
            let request = dialogue::post(origin, &[path], false, body, |out| {
                for part in fields
                    .iter()
                    .flat_map(|(name, value)| ["\r\n", *name, ": ", *value])
                {
                    out.extend_from_slice(part.as_bytes());
                }
            });
            match monoio::time::timeout(limit, exchange(&mut upstream, request)).await {
                Ok(said) => said,
                Err(_) => Err(format!("no answer within {limit:?}")),
            }
        })
    }
}

async fn exchange(upstream: &mut Upstream, request: Vec<u8>) -> Result<Said, String> {
    upstream.send(request.into())?;
    poll_fn(|cx| upstream.poll_sent(cx)).await?;
    let mut answer = Answer::new();
    let mut said = Vec::new();
    loop {
        let mut input = match poll_fn(|cx| upstream.poll_receive(cx)).await {
            Received::Bytes => upstream.bytes(),
            Received::Eof if answer.eof_is_clean() => return whole(&answer, said),
            Received::Eof => return Err("it closed the connection without an answer".to_owned()),
            Received::Broken(why) => return Err(why),
        };
        if !answer.feed_head(&mut input).map_err(|e| e.message)? {
            continue;
        }
        loop {
            match answer.next(&mut input).map_err(|e| e.message)? {
                Piece::Body(bytes) => said.extend_from_slice(bytes),
                Piece::Head(_) => {}
                Piece::NeedMore => break,
                Piece::End => return whole(&answer, said),
            }
            if said.len() > limits::ERROR_BODY_BYTES_MAX {
                return Err("its answer is too large".to_owned());
            }
        }
    }
}

fn whole(answer: &Answer, body: Vec<u8>) -> Result<Said, String> {
    let head = answer.head().ok_or("it answered nothing")?;
    Ok((head.status, body))
}
