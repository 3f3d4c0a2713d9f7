//! One worker: a thread with its own runtime, listeners, pool and connections.

use super::ServerError;
use super::downstream;
use super::driver::{self, DriverKind};
use super::journal::Journal;
use super::resolve::{Names, Resolver};
use super::upstream::Pool;
use crate::config::Snapshot;
use monoio::net::{TcpListener, TcpStream};
use monoio::time::sleep;
use rustls::ClientConfig;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::net::TcpListener as StdListener;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// What a worker is started with.
pub(super) struct Start {
    pub core: usize,
    pub workers: usize,
    pub listeners: Vec<StdListener>,
    pub snapshot: Arc<Snapshot>,
    pub tls: Arc<ClientConfig>,
    pub journal: Journal,
    pub resolver: Resolver,
    pub draining: futures_channel::oneshot::Receiver<()>,
}

/// What all connections of a worker share.
pub(super) struct Worker {
    pub snapshot: Arc<Snapshot>,
    pub tls: Arc<ClientConfig>,
    pub journal: Journal,
    pub names: Names,
    pub pool: Pool,
    pub random: ring::rand::SystemRandom,
    pub draining: Cell<bool>,
    connections: RefCell<HashMap<RawFd, Rc<Presence>>>,
}

/// A client's connection, as the worker sees it.
#[derive(Default)]
pub(super) struct Presence {
    /// It waits for its next request.
    pub idle: Cell<bool>,
    /// The drain time is over: it must end now.
    pub end_now: Cell<bool>,
}

/// Runs a worker until it is drained.
pub(super) fn run(start: Start, kind: DriverKind) -> Result<(), ServerError> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    if start.workers > 1 && start.workers <= cores {
        // Best effort: an unpinned worker is only slower.
        let _ = monoio::utils::bind_to_cpu_set([start.core]);
    }
    driver::block_on(kind, || serve(start))
        .map_err(|e| ServerError(format!("a worker's {} failed: {e}", kind.name())))?
}

async fn serve(start: Start) -> Result<(), ServerError> {
    let drain = start.snapshot.timeouts.drain;
    let worker = Rc::new(Worker {
        snapshot: start.snapshot,
        tls: start.tls,
        journal: start.journal,
        names: Names::new(start.resolver),
        pool: Pool::default(),
        random: ring::rand::SystemRandom::new(),
        draining: Cell::new(false),
        connections: RefCell::default(),
    });
    let mut accepting = Vec::new();
    for listener in start.listeners {
        let listener = TcpListener::from_std(listener)
            .map_err(|e| ServerError(format!("a listener is unusable: {e}")))?;
        accepting.push(monoio::spawn(accept(listener, Rc::clone(&worker))));
    }
    let sweeper = Rc::clone(&worker);
    monoio::spawn(async move {
        while !sweeper.draining.get() {
            sleep(Duration::from_secs(5)).await;
            sweeper.pool.sweep();
        }
    });
    let _ = start.draining.await;
    drop(accepting);
    worker.drain(drain).await;
    Ok(())
}

async fn accept(listener: TcpListener, worker: Rc<Worker>) {
    while !worker.draining.get() {
        match listener.accept().await {
            Ok((stream, _)) => {
                if worker.draining.get() {
                    return;
                }
                let _ = stream.set_nodelay(true);
                monoio::spawn(connection(stream, Rc::clone(&worker)));
            }
            // Out of descriptors, most likely: some will come free.
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn connection(stream: TcpStream, worker: Rc<Worker>) {
    let fd = stream.as_raw_fd();
    let presence = Rc::new(Presence::default());
    worker
        .connections
        .borrow_mut()
        .insert(fd, Rc::clone(&presence));
    let mut serving = pin!(downstream::serve(stream, Rc::clone(&worker), presence));
    // A panic is a bug of ours, and it may take one connection with it, not the worker.
    let outcome = poll_fn(|cx| {
        let poll = std::panic::AssertUnwindSafe(|| serving.as_mut().poll(cx));
        match std::panic::catch_unwind(poll) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(stream)) => Poll::Ready(Some(stream)),
            Err(_) => Poll::Ready(None),
        }
    })
    .await;
    // Unregister before the descriptor is closed and may be used again.
    worker.connections.borrow_mut().remove(&fd);
    if outcome.is_none() {
        worker
            .journal
            .line("a bug in Strait ended one connection (see the panic above)".into());
    }
    drop(outcome);
}

impl Worker {
    /// Lets what is in flight finish, and ends what is left when the time is over.
    async fn drain(&self, time: Duration) {
        self.draining.set(true);
        let until = Instant::now() + time;
        for (fd, presence) in self.connections.borrow().iter() {
            if presence.idle.get() {
                shutdown(*fd);
            }
        }
        while !self.connections.borrow().is_empty() && Instant::now() < until {
            sleep(Duration::from_millis(10)).await;
        }
        for (fd, presence) in self.connections.borrow().iter() {
            presence.end_now.set(true);
            shutdown(*fd);
        }
        let until = Instant::now() + Duration::from_secs(1);
        while !self.connections.borrow().is_empty() && Instant::now() < until {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Ends the reading side of a client's connection, which completes its pending read.
fn shutdown(fd: RawFd) {
    // SAFETY: shutdown(2) takes any number; `fd` is registered, so it is an open connection.
    unsafe { libc::shutdown(fd, libc::SHUT_RD) };
}
