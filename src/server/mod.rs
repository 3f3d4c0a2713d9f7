//! The thin shell: the only place that names monoio, sockets, threads and clocks.
//!
//! One worker a core: its own ring, listener, upstream pool and counters; nothing is shared on
//! the way of a request. The shell moves bytes and time between sockets and
//! [`Exchange`](crate::route::exchange::Exchange), and decides nothing else.

mod downstream;
mod driver;
mod journal;
mod listener;
mod resolve;
mod tls;
mod upstream;
mod worker;

use crate::config::Snapshot;
pub use driver::DriverKind;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;

/// What [`run`] needs.
pub struct Options {
    /// The configuration.
    pub snapshot: Arc<Snapshot>,
    /// The driver; `None`: io_uring, and epoll where it is refused.
    pub driver: Option<DriverKind>,
    /// Called once with the addresses that are served.
    pub ready: Option<Box<dyn FnOnce(Vec<SocketAddr>) + Send>>,
}

/// Why the server could not start or go on.
#[derive(Debug)]
pub struct ServerError(pub String);

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ServerError {}

/// Serves until SIGINT or SIGTERM, then drains. A second signal ends the process at once.
pub fn run(options: Options) -> Result<(), ServerError> {
    let Options {
        snapshot,
        driver,
        ready,
    } = options;
    let tls = tls::config(snapshot.ca_file.as_deref())?;
    let (driver, why) = driver::choose(driver)?;
    let sets = listener::bind(&snapshot.listen, snapshot.workers, driver)?;
    let addresses = listener::addresses(&sets);
    let mut signals = signal_hook::iterator::Signals::new([
        signal_hook::consts::SIGINT,
        signal_hook::consts::SIGTERM,
    ])
    .map_err(|e| ServerError(format!("signals cannot be caught: {e}")))?;
    let journal = journal::Journal::start();
    let resolver = resolve::Resolver::start();
    let (stopped, all_stopped) = mpsc::channel();
    let mut drains = Vec::new();
    let workers = sets.len();
    for (core, listeners) in sets.into_iter().enumerate() {
        let (drain, draining) = futures_channel::oneshot::channel();
        drains.push(drain);
        let worker = worker::Start {
            core,
            workers,
            listeners,
            snapshot: Arc::clone(&snapshot),
            tls: Arc::clone(&tls),
            journal: journal.clone(),
            resolver: resolver.clone(),
            draining,
        };
        let stopped = stopped.clone();
        std::thread::Builder::new()
            .name(format!("worker-{core}"))
            .spawn(move || drop(stopped.send(worker::run(worker, driver))))
            .map_err(|e| ServerError(format!("a worker cannot be started: {e}")))?;
    }
    let list: Vec<String> = addresses.iter().map(|a| format!("http://{a}")).collect();
    let workers_said = if workers == 1 {
        "1 worker".into()
    } else {
        format!("{workers} workers")
    };
    eprintln!(
        "strait {} listening on {} · {}{} · {workers_said}",
        env!("CARGO_PKG_VERSION"),
        list.join(", "),
        driver.name(),
        why.map_or(String::new(), |w| format!(" (io_uring refused: {w})")),
    );
    if let Some(ready) = ready {
        ready(addresses);
    }
    std::thread::spawn(move || {
        let mut seen = 0;
        for _ in signals.forever() {
            seen += 1;
            if seen > 1 {
                std::process::exit(130);
            }
            eprintln!("strait: draining");
            for drain in drains.drain(..) {
                let _ = drain.send(());
            }
        }
    });
    drop(stopped);
    let mut result = Ok(());
    for outcome in all_stopped {
        result = result.and(outcome);
    }
    journal.flush();
    eprintln!("strait: stopped");
    result
}
