//! Connections to providers.

use super::driver::phrase;
use super::meter::Counted;
use super::resolve::Cache;
use super::tls::Session;
use super::wire::{self, Control, Local, Reader, Writer};
use crate::config::{Origin, Protocol, Proxy};
use crate::ledger::metrics::Core;
use crate::route::tunnel::{Step, Tunnel};
use bytes::Bytes;
use monoio::net::TcpStream;
use rustls::ClientConfig;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// What a connection yields.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Received {
    /// Look at [`Upstream::bytes`].
    Bytes,
    /// The end, cleanly: with TLS the peer said so.
    Eof,
    /// Anything else, in words.
    Broken(String),
}

/// One connection to a provider, plain or TLS.
pub(super) struct Upstream {
    origin: Origin,
    reader: Reader,
    /// `None` while a write is pending, and after one that failed.
    writer: Option<Writer>,
    sending: Option<Local<(Writer, io::Result<()>)>>,
    control: Control,
    tls: Option<Box<Session>>,
    /// What the last bytes decrypted to.
    plain: Vec<u8>,
    /// Its place in the count of the worker's connections.
    counted: Option<Counted>,
    /// The end was told in the same read as the last bytes.
    ended: bool,
}

impl Upstream {
    /// Where it goes.
    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    fn new(origin: Origin, stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        let (reader, writer, control) = wire::split(stream);
        Upstream {
            origin,
            reader,
            writer: Some(writer),
            sending: None,
            control,
            tls: None,
            plain: Vec::new(),
            counted: None,
            ended: false,
        }
    }

    /// Counts it as one of the worker's connections to providers.
    pub(super) fn count(&mut self, core: Arc<Core>) {
        self.counted = Some(Counted::new(core));
    }

    /// It waits for a request from now on, or no longer.
    pub(super) fn rests(&mut self, idle: bool) {
        if let Some(counted) = &mut self.counted {
            counted.rests(idle);
        }
    }

    /// Starts to send; ask [`Upstream::poll_sent`] for the end of it. One at a time.
    pub(super) fn send(&mut self, bytes: Bytes) -> Result<(), String> {
        let mut writer = self.writer.take().ok_or("write after a failed write")?;
        let bytes = match &mut self.tls {
            Some(session) => session.seal(&bytes)?.into(),
            None => bytes,
        };
        self.sending = Some(Box::pin(async move {
            let result = wire::write_all(&mut writer, bytes).await;
            (writer, result)
        }));
        Ok(())
    }

    /// Whether a write is pending.
    pub(super) fn is_sending(&self) -> bool {
        self.sending.is_some()
    }

    /// The end of the pending write.
    pub(super) fn poll_sent(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), String>> {
        let Some(sending) = &mut self.sending else {
            return Poll::Pending;
        };
        let (writer, result) = ready!(sending.as_mut().poll(cx));
        self.sending = None;
        Poll::Ready(match result {
            Ok(()) => {
                self.writer = Some(writer);
                Ok(())
            }
            Err(e) => Err(format!("write: {}", phrase(&e))),
        })
    }

    /// The next bytes, or the end. The pending read is kept when this is not polled for a while.
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Received> {
        loop {
            if self.ended {
                return Poll::Ready(Received::Eof);
            }
            let result = ready!(self.reader.poll_read(cx));
            let count = match result {
                Ok(count) => count,
                Err(e) => return Poll::Ready(Received::Broken(format!("read: {}", phrase(&e)))),
            };
            let Some(session) = &mut self.tls else {
                return Poll::Ready(if count == 0 {
                    Received::Eof
                } else {
                    Received::Bytes
                });
            };
            if count == 0 {
                // Without close_notify anyone on the way may have cut the answer.
                let why = "closed without the end of TLS".to_owned();
                return Poll::Ready(Received::Broken(why));
            }
            self.plain.clear();
            match session.receive(self.reader.bytes(), &mut self.plain) {
                Ok(closed) => self.ended = closed,
                Err(why) => return Poll::Ready(Received::Broken(why)),
            }
            if !self.plain.is_empty() {
                return Poll::Ready(Received::Bytes);
            }
        }
    }

    /// The bytes of the last [`Received::Bytes`].
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.tls {
            Some(_) => &self.plain,
            None => self.reader.bytes(),
        }
    }

    /// Whether nothing is pending.
    pub(super) fn is_idle(&self) -> bool {
        !self.ended && self.writer.is_some() && !self.reader.is_busy()
    }

    /// Whether another request can be sent: nothing is pending, nothing has arrived.
    pub(super) fn is_reusable(&self) -> bool {
        self.is_idle() && self.control.is_quiet()
    }

    /// Has `proxy` lead the connection to `host`.
    async fn tunnel(&mut self, proxy: &Proxy, host: &str) -> Result<(), String> {
        let (mut tunnel, mut words) = Tunnel::new(proxy, host, self.origin.port);
        let mut writer = self.writer.take().ok_or("not connected")?;
        loop {
            if !words.is_empty() {
                let written = wire::write_all(&mut writer, words.into()).await;
                written.map_err(|e| phrase(&e))?;
            }
            let read = poll_fn(|cx| self.reader.poll_read(cx)).await;
            if read.map_err(|e| phrase(&e))? == 0 {
                return Err("it closed the connection".to_owned());
            }
            match tunnel.receive(self.reader.bytes())? {
                Step::Open => break,
                Step::Send(more) => words = more,
            }
        }
        self.writer = Some(writer);
        Ok(())
    }

    async fn handshake(&mut self, config: Arc<ClientConfig>) -> Result<(), String> {
        let mut session = Box::new(Session::client(config, &self.origin.host)?);
        let mut writer = self.writer.take().ok_or("not connected")?;
        loop {
            let out = session.outgoing();
            if !out.is_empty() {
                wire::write_all(&mut writer, out.into())
                    .await
                    .map_err(|e| format!("TLS handshake: {}", phrase(&e)))?;
            }
            if !session.is_handshaking() {
                break;
            }
            let count = poll_fn(|cx| self.reader.poll_read(cx))
                .await
                .map_err(|e| format!("TLS handshake: {}", phrase(&e)))?;
            if count == 0 {
                return Err("closed during the TLS handshake".to_owned());
            }
            if let Err(why) = session.receive(self.reader.bytes(), &mut self.plain) {
                // Best effort: tells the peer what was wrong.
                let _ = wire::write_all(&mut writer, session.outgoing().into()).await;
                return Err(why);
            }
            if !self.plain.is_empty() {
                return Err("the provider spoke before it was asked".to_owned());
            }
        }
        self.writer = Some(writer);
        self.tls = Some(session);
        Ok(())
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        // Operations in flight hold the socket until the kernel gives them back; this ends them
        // and tells the provider at once to stop.
        self.control.shutdown_both();
    }
}

/// Connects to `origin`, its proxy and TLS included, within `limit`.
pub(super) async fn connect(
    origin: Origin,
    cache: Rc<Cache>,
    tls: Arc<ClientConfig>,
    limit: Duration,
) -> Result<Upstream, String> {
    let mut name = format!("{}:{}", origin.host, origin.port);
    if let Some(proxy) = &origin.proxy {
        name = format!("{name} through the proxy {proxy} ({})", proxy.named_by);
    }
    match monoio::time::timeout(limit, try_connect(origin, cache, tls)).await {
        Ok(Ok(upstream)) => Ok(upstream),
        Ok(Err(why)) => Err(format!("{name}: {why}")),
        Err(_) => Err(format!("{name}: no connection within {limit:?}")),
    }
}

async fn try_connect(
    origin: Origin,
    cache: Rc<Cache>,
    tls: Arc<ClientConfig>,
) -> Result<Upstream, String> {
    let proxy = origin.proxy.clone();
    let (host, port) = match &proxy {
        Some(proxy) => (proxy.host.as_str(), proxy.port),
        None => (&*origin.host, origin.port),
    };
    let addresses = cache.resolve(host).await.map_err(|why| why.to_string())?;
    let stream = first_to_answer(&addresses, port).await?;
    let secure = origin.tls;
    let mut upstream = Upstream::new(origin, stream);
    if let Some(proxy) = &proxy {
        let host = match proxy.protocol {
            Protocol::Http | Protocol::Socks5h => upstream.origin.host.clone(),
            Protocol::Socks5 => {
                let found = cache.resolve(&upstream.origin.host).await;
                let found = found.map_err(|why| why.to_string())?;
                found.first().ok_or("no address")?.to_string().into()
            }
        };
        upstream.tunnel(proxy, &host).await?;
    }
    if secure {
        upstream.handshake(tls).await?;
    }
    Ok(upstream)
}

/// Tries the addresses in turn. Each but the last gets a share of time only, so that one dead
/// address does not use up the whole time-out.
async fn first_to_answer(addresses: &[IpAddr], port: u16) -> Result<TcpStream, String> {
    const SHARE: Duration = Duration::from_secs(2);
    let mut last = "no address".to_owned();
    for (i, ip) in addresses.iter().enumerate() {
        let connecting = TcpStream::connect_addr(SocketAddr::new(*ip, port));
        let result = if i + 1 == addresses.len() {
            connecting.await
        } else {
            match monoio::time::timeout(SHARE, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        };
        match result {
            Ok(stream) => return Ok(stream),
            Err(e) => last = phrase(&e),
        }
    }
    Err(last)
}
