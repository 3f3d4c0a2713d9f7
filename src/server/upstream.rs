//! Connections to providers: plain or TLS, pooled per worker.

use super::resolve::Names;
use crate::config::Origin;
use crate::limits;
use monoio::io::{AsyncReadRent, AsyncWriteRentExt};
use monoio::net::TcpStream;
use rustls::{ClientConfig, ClientConnection};
use rustls_pki_types::ServerName;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Instant;

/// A connection to a provider.
pub(super) enum Wire {
    /// Bare TCP.
    Plain(TcpStream),
    /// TLS, driven by hand over the same kind of stream.
    Tls(Box<Tls>),
}

/// A TLS connection and its socket.
pub(super) struct Tls {
    tcp: TcpStream,
    session: ClientConnection,
    /// Ciphertext on its way in.
    buffer: Vec<u8>,
}

impl Wire {
    /// Connects to `origin`, trying its addresses in turn.
    pub(super) async fn connect(
        origin: &Origin,
        names: &Names,
        tls: &Arc<ClientConfig>,
    ) -> Result<Wire, String> {
        let addresses = names.resolve(&origin.host, origin.port).await?;
        let mut last = String::from("the name has no address");
        for address in addresses {
            match TcpStream::connect_addr(address).await {
                Ok(tcp) => {
                    let _ = tcp.set_nodelay(true);
                    return match origin.tls {
                        false => Ok(Wire::Plain(tcp)),
                        true => Tls::handshake(tcp, origin, tls).await,
                    };
                }
                Err(e) => last = format!("{address}: {e}"),
            }
        }
        Err(last)
    }

    /// Reads into `buffer` (its old content is lost): `Ok(0)` is a clean end.
    pub(super) async fn read(&mut self, buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        match self {
            Wire::Plain(tcp) => tcp.read(buffer).await,
            Wire::Tls(tls) => tls.read(buffer).await,
        }
    }

    /// Writes everything.
    pub(super) async fn write_all(&mut self, bytes: Vec<u8>) -> io::Result<()> {
        match self {
            Wire::Plain(tcp) => tcp.write_all(bytes).await.0.map(drop),
            Wire::Tls(tls) => {
                // In pieces, so that the session never holds a second copy of a large body.
                for piece in bytes.chunks(64 * 1024) {
                    tls.session.writer().write_all(piece)?;
                    tls.flush().await?;
                }
                Ok(())
            }
        }
    }

    /// Whether an idle connection is still open and silent.
    fn is_alive(&self) -> bool {
        let tcp = match self {
            Wire::Plain(tcp) => tcp,
            Wire::Tls(tls) => &tls.tcp,
        };
        // SAFETY: the stream is borrowed for the whole life of the descriptor's borrow.
        let fd = unsafe { BorrowedFd::borrow_raw(tcp.as_raw_fd()) };
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
        let peeked = socket2::SockRef::from(&fd).recv_with_flags(&mut byte, flags);
        peeked.is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock)
    }
}

impl Tls {
    async fn handshake(
        tcp: TcpStream,
        origin: &Origin,
        config: &Arc<ClientConfig>,
    ) -> Result<Wire, String> {
        let name = ServerName::try_from(origin.host.clone()).map_err(|e| e.to_string())?;
        let session = ClientConnection::new(Arc::clone(config), name).map_err(|e| e.to_string())?;
        let mut tls = Tls {
            tcp,
            session,
            buffer: Vec::with_capacity(limits::READ_BYTES),
        };
        while tls.session.is_handshaking() {
            tls.flush().await.map_err(|e| format!("TLS: {e}"))?;
            if tls.session.is_handshaking()
                && tls.receive().await.map_err(|e| format!("TLS: {e}"))? == 0
            {
                return Err("TLS: the connection closed during the handshake".into());
            }
        }
        tls.flush().await.map_err(|e| format!("TLS: {e}"))?;
        Ok(Wire::Tls(Box::new(tls)))
    }

    async fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            let mut bytes = Vec::new();
            self.session.write_tls(&mut bytes)?;
            self.tcp.write_all(bytes).await.0?;
        }
        Ok(())
    }

    /// Receives ciphertext once; returns how much.
    async fn receive(&mut self) -> io::Result<usize> {
        let (result, buffer) = self.tcp.read(std::mem::take(&mut self.buffer)).await;
        self.buffer = buffer;
        let len = result?;
        let mut rest = &self.buffer[..len];
        if len == 0 {
            self.session.read_tls(&mut rest)?;
        }
        while !rest.is_empty() {
            self.session.read_tls(&mut rest)?;
            self.session
                .process_new_packets()
                .map_err(io::Error::other)?;
        }
        Ok(len)
    }

    async fn read(&mut self, mut buffer: Vec<u8>) -> (io::Result<usize>, Vec<u8>) {
        buffer.resize(limits::READ_BYTES, 0);
        loop {
            match self.session.reader().read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                // An end without close_notify is an error of its own: the answer may be cut.
                Ok(n) => {
                    buffer.truncate(n);
                    return (Ok(n), buffer);
                }
                Err(e) => return (Err(e), buffer),
            }
            if let Err(e) = self.receive().await {
                return (Err(e), buffer);
            }
            if let Err(e) = self.flush().await {
                return (Err(e), buffer);
            }
        }
    }
}

/// A worker's idle connections, the latest first.
#[derive(Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<Origin, Vec<(Wire, Instant)>>>,
}

impl Pool {
    /// Leases a connection that is still open.
    pub(super) fn lease(&self, origin: &Origin) -> Option<Wire> {
        let mut idle = self.idle.borrow_mut();
        let wires = idle.get_mut(origin)?;
        while let Some((wire, since)) = wires.pop() {
            if since.elapsed() < limits::UPSTREAM_IDLE && wire.is_alive() {
                return Some(wire);
            }
        }
        None
    }

    /// Takes a connection back.
    pub(super) fn release(&self, origin: Origin, wire: Wire) {
        let mut idle = self.idle.borrow_mut();
        let wires = idle.entry(origin).or_default();
        if wires.len() < limits::UPSTREAM_IDLE_MAX {
            wires.push((wire, Instant::now()));
        }
    }

    /// Closes what has been idle for too long.
    pub(super) fn sweep(&self) {
        let mut idle = self.idle.borrow_mut();
        for wires in idle.values_mut() {
            wires.retain(|(_, since)| since.elapsed() < limits::UPSTREAM_IDLE);
        }
        idle.retain(|_, wires| !wires.is_empty());
    }
}
