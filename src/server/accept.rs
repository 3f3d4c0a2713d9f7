//! Connections are taken from listening sockets, until another process is to take them.

use super::downstream;
use super::driver::phrase;
use super::listener::Port;
use super::worker::Worker;
use crate::ledger::peer::Peer;
use monoio::io::{CancelHandle, Canceller};
use monoio::net::{TcpListener, TcpStream, UnixListener};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Pause after a failed accept: out of descriptors, and only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Whether a worker takes connections, and from how many sockets it still does.
#[derive(Default)]
pub(super) struct Intake {
    /// `None`: no more.
    canceller: RefCell<Option<Canceller>>,
    open: Cell<usize>,
    /// Dropped when the last socket is at rest.
    resting: Cell<Option<Sender<()>>>,
}

impl Intake {
    /// Takes connections from these sockets, too.
    pub(super) fn open(worker: &Rc<Worker>, ports: Vec<Port>) -> io::Result<()> {
        worker.intake.canceller.borrow_mut().get_or_insert_default();
        for port in ports {
            let door = Door::new(port)?;
            let opened = Opened::new(worker.clone());
            worker.spawn(accept(opened, door));
        }
        Ok(())
    }

    /// Takes no more. `told` is dropped once no accept is pending: from then on connections wait
    /// in the kernel for whoever else has the sockets.
    ///
    /// A pending accept is never dropped: monoio 0.2.4 would lose the connection that it may have
    /// got already, and the client would wait for nothing. Cancelled, it still ends with either.
    pub(super) fn rest(&self, told: Option<Sender<()>>) {
        if let Some(canceller) = self.canceller.take() {
            canceller.cancel();
        }
        if self.open.get() > 0 {
            self.resting.set(told);
        }
    }

    fn cancel_handle(&self) -> Option<CancelHandle> {
        self.canceller.borrow().as_ref().map(Canceller::handle)
    }
}

/// A socket that connections are taken from, until dropped.
struct Opened(Rc<Worker>);

impl Opened {
    fn new(worker: Rc<Worker>) -> Self {
        let open = &worker.intake.open;
        open.set(open.get() + 1);
        Opened(worker)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let intake = &self.0.intake;
        intake.open.set(intake.open.get() - 1);
        if intake.open.get() == 0 {
            intake.resting.take();
        }
    }
}

async fn accept(opened: Opened, door: Door) {
    let worker = &opened.0;
    while let Some(cancel) = worker.intake.cancel_handle() {
        match door.accept(cancel).await {
            Ok((stream, peer)) => {
                worker.journal.debug(|| match peer {
                    Some(peer) => format!("accepted {peer}"),
                    None => "accepted on a Unix socket".to_owned(),
                });
                // A Unix socket has the permissions of its file.
                let certificates = worker.settings().certificates.clone();
                let tls = peer.and(certificates).map(|c| c.current());
                let peer = peer.map_or(Peer::Unix, |address| Peer::of(address.ip()));
                worker.spawn(downstream::serve(worker.clone(), stream, peer, tls));
            }
            Err(e) => match e.raw_os_error() {
                // About the one connection that has gone meanwhile, or it was cancelled.
                Some(libc::ECANCELED | libc::ECONNABORTED | libc::EINTR | libc::EPROTO) => {}
                // Some kernels do not wait for a socket that does not block.
                Some(libc::EAGAIN) => monoio::time::sleep(ACCEPT_PAUSE).await,
                _ => {
                    worker.journal.info(|| format!("accept: {}", phrase(&e)));
                    monoio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
}

/// A listening socket of this worker's runtime.
enum Door {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Door {
    fn new(port: Port) -> io::Result<Self> {
        Ok(match port {
            Port::Tcp(listener) => Door::Tcp(TcpListener::from_std(listener)?),
            Port::Unix(listener) => Door::Unix(UnixListener::from_std(listener)?),
        })
    }

    async fn accept(&self, cancel: CancelHandle) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let stream = match self {
            Door::Tcp(listener) => {
                let (stream, peer) = listener.cancelable_accept(cancel).await?;
                return Ok((stream, Some(peer)));
            }
            Door::Unix(listener) => listener.cancelable_accept(cancel).await?.0,
        };
        // What is read and written has no address: one type of stream serves for both.
        // SAFETY: the descriptor is open, and its only owner has just given it away.
        let stream = unsafe { std::net::TcpStream::from_raw_fd(stream.into_raw_fd()) };
        Ok((TcpStream::from_std(stream)?, None))
    }
}
