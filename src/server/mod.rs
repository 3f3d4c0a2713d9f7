//! The shell: sockets, threads, clocks and signals. It moves bytes and decides nothing; what
//! they mean is known to [`crate::route::exchange`].
//!
//! [`run`] opens the listening sockets and starts one thread per worker (`worker`). Each has a
//! runtime of its own on io_uring or epoll (`driver`), accepts connections (`downstream`),
//! drives their exchanges (`relay`) and keeps its own connections to providers (`upstream`,
//! `pool`). Nothing on a request's way is shared between workers.

mod audience;
mod buffers;
mod certificates;
mod client;
mod downstream;
mod driver;
mod guard;
mod handshake;
mod journal;
mod listener;
mod login;
mod meter;
mod operator;
mod pool;
mod relay;
mod relocations;
mod resolve;
mod scrape;
mod settings;
mod store;
mod timer;
mod tls;
mod upstream;
mod wire;
mod worker;

pub use certificates::check as check_certificates;
pub use driver::DriverKind;
pub use settings::Reload;
pub use store::settle as settle_store;

use crate::config::Snapshot;
use crate::ledger::metrics::Core;
use driver::phrase;
use futures_channel::mpsc::{UnboundedSender, unbounded};
use journal::{Journal, Level};
use login::Logins;
use scrape::Scraper;
use settings::{Settings, successor};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fmt;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use store::Keeping;
use worker::{InFlight, Order, Seed, Started};

/// What to run.
pub struct Options {
    /// The configuration.
    pub snapshot: Snapshot,
    /// How to read it again; `None`: it cannot be.
    pub reload: Option<Reload>,
    /// Only this driver; `None`: io_uring if it is allowed, else epoll.
    pub driver: Option<DriverKind>,
    /// Called once with the addresses that are served, in the order of the configuration, with
    /// the real ports.
    pub ready: Option<Box<dyn FnOnce(Vec<SocketAddr>) + Send>>,
}

/// Why the server could not start, or had to stop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerError {
    /// The address cannot be listened on.
    Bind {
        /// Which one.
        address: SocketAddr,
        /// In the system's words.
        cause: String,
    },
    /// The address is served by a process already.
    InUse(SocketAddr),
    /// Neither driver works, or not the one that was asked for.
    Driver(String),
    /// The store of responses cannot be used; names it.
    Store(String),
    /// TLS cannot be set up; names the file.
    Tls(String),
    /// A thread or the signals could not be set up.
    System(String),
    /// A worker ended without being told to.
    WorkerLost,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Bind { address, cause } => {
                write!(f, "cannot listen on {address}: {cause}")
            }
            ServerError::InUse(address) => write!(
                f,
                "cannot listen on {address}: another process serves this address already"
            ),
            ServerError::Driver(why) => write!(f, "no driver: {why}"),
            ServerError::Store(why) => write!(f, "store {why}"),
            ServerError::Tls(why) => write!(f, "TLS: {why}"),
            ServerError::System(why) => f.write_str(why),
            ServerError::WorkerLost => f.write_str("a worker has crashed; see the log"),
        }
    }
}

impl std::error::Error for ServerError {}

/// What the main thread waits for.
enum Event {
    /// The configuration is to be read again.
    Reload,
    Stop,
    WorkerEnded,
}

/// Serves until SIGINT or SIGTERM, then lets streams in flight finish; another one ends the process
/// at once. SIGHUP reads the configuration again.
pub fn run(options: Options) -> Result<(), ServerError> {
    let system = |e: std::io::Error| ServerError::System(format!("signals: {}", phrase(&e)));
    let (events, receiver) = channel();
    // Before the workers, so that a signal is never lost.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(system)?;
    let handle = signals.handle();
    let on_signal = events.clone();
    let thread = std::thread::Builder::new()
        .name("strait-signal".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let event = match signal {
                    SIGHUP => Event::Reload,
                    _ => Event::Stop,
                };
                if on_signal.send(event).is_err() {
                    return;
                }
            }
        })
        .map_err(system)?;
    let result = Server::start(options, &events).and_then(|server| server.serve(&receiver));
    handle.close();
    let _ = thread.join();
    result
}

struct Running {
    thread: JoinHandle<()>,
    orders: UnboundedSender<Order>,
    in_flight: InFlight,
}

/// A server whose workers are running.
struct Server {
    settings: Arc<Settings>,
    reload: Option<Reload>,
    workers: Vec<Running>,
    logins: Logins,
    keeping: Keeping,
    operator: operator::Desk,
    journal: Journal,
    writer: journal::Writer,
}

impl Server {
    fn start(options: Options, events: &Sender<Event>) -> Result<Self, ServerError> {
        let snapshot = options.snapshot;
        let count = snapshot.workers.max(1);
        let (addresses, sockets) = open_all(&snapshot.listen, count)?;
        let system = |e: std::io::Error| ServerError::System(format!("threads: {}", phrase(&e)));
        let resolver = resolve::Resolver::start().map_err(system)?;
        let (journal, writer) = journal::start(Level::from_env()).map_err(system)?;
        let keeping = Keeping::start(&snapshot.store, snapshot.ca_file.as_deref(), &journal)?;
        let mut logins = Logins::new(resolver.clone(), journal.clone());
        let settings = Settings::new(snapshot, &mut logins, None, &journal)?;
        let settings = Arc::new(settings);

        let enabled = settings.snapshot.metrics.enabled;
        let cores: Vec<_> = (0..count).map(|_| Arc::<Core>::default()).collect();
        let scraper = Arc::new(Scraper::new(cores.clone(), &journal));
        let operator = operator::Desk::new(scraper.clone(), &journal);

        let cpus = worker::cpus();
        let (started, reports) = channel();
        let mut workers = Vec::with_capacity(count);
        for (index, listeners) in sockets.into_iter().enumerate() {
            let (orders, received) = unbounded();
            let in_flight = InFlight::default();
            let seed = Seed {
                settings: settings.clone(),
                resolver: resolver.clone(),
                store: keeping.desk(),
                operator: operator.clone(),
                journal: journal.clone(),
                in_flight: in_flight.clone(),
                core: enabled.then(|| cores[index].clone()),
                listeners,
                driver: options.driver,
                // More workers than CPUs: the scheduler knows better.
                cpu: if count <= cpus.len() {
                    cpus.get(index).copied()
                } else {
                    None
                },
                orders: received,
            };
            let thread = spawn(index, seed, started.clone(), events.clone()).map_err(system)?;
            workers.push(Running {
                thread,
                orders,
                in_flight,
            });
        }
        // So that a worker that dies without a report ends the wait.
        drop(started);
        let line = collect(&reports, count)?;
        scraper.runs_on(match line.starts_with("io_uring") {
            true => DriverKind::IoUring,
            false => DriverKind::Epoll,
        });
        relocations::forget();
        announce(&addresses, settings.snapshot.scheme(), &line, count);
        if let Some(ready) = options.ready {
            ready(addresses);
        }
        Ok(Server {
            settings,
            reload: options.reload,
            workers,
            logins,
            keeping,
            operator,
            journal,
            writer,
        })
    }

    /// Reads the configuration again, and gives it to the workers if it is good.
    fn reload(&mut self) -> Result<(), String> {
        let read = self.reload.as_ref().ok_or("there is none to read")?;
        let next = successor(&self.settings.snapshot, read()?)?;
        let running = Some(&*self.settings);
        let settings = Settings::new(next, &mut self.logins, running, &self.journal);
        self.settings = Arc::new(settings.map_err(|e| e.to_string())?);
        for worker in &self.workers {
            let order = Order::Adopt(self.settings.clone());
            let _ = worker.orders.unbounded_send(order);
        }
        Ok(())
    }

    /// Reloads, and says how it went.
    fn try_reload(&mut self) {
        let result = self.reload();
        self.journal.info(|| match result {
            Ok(()) => "configuration reloaded".to_owned(),
            Err(why) => format!("configuration not reloaded: {why}"),
        });
    }

    /// Does what it is told until that is to stop; then drains, and waits for the workers.
    fn serve(mut self, events: &Receiver<Event>) -> Result<(), ServerError> {
        // The sender of this channel lives in the caller, so `recv` does not fail.
        let lost = loop {
            match events.recv() {
                Ok(Event::Reload) => self.try_reload(),
                Ok(Event::WorkerEnded) => break true,
                Ok(Event::Stop) | Err(_) => break false,
            }
        };
        let streams: usize = self.workers.iter().map(|w| w.in_flight.count()).sum();
        let noun = if streams == 1 { "stream" } else { "streams" };
        self.journal
            .info(|| format!("draining: {streams} {noun} in flight"));
        for worker in &self.workers {
            let _ = worker.orders.unbounded_send(Order::Drain);
        }
        let mut running = self.workers.len() - usize::from(lost);
        while running > 0 {
            match events.recv() {
                Ok(Event::WorkerEnded) => running -= 1,
                Ok(Event::Stop) => std::process::exit(130),
                // It would serve nobody.
                Ok(Event::Reload) => {}
                Err(_) => break,
            }
        }
        let mut crashed = lost;
        for worker in self.workers {
            crashed |= worker.thread.join().is_err();
        }
        self.logins.finish();
        self.keeping.finish();
        self.operator.finish();
        self.journal.info(|| "stopped".to_owned());
        self.writer.finish();
        if crashed {
            return Err(ServerError::WorkerLost);
        }
        Ok(())
    }
}

/// The real addresses, and for each worker one socket per address.
type Opened = (Vec<SocketAddr>, Vec<Vec<std::net::TcpListener>>);

fn open_all(listen: &[SocketAddr], workers: usize) -> Result<Opened, ServerError> {
    let mut addresses = Vec::with_capacity(listen.len());
    let mut sockets: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
    for address in listen {
        let opened = listener::open(*address, workers)?;
        addresses.push(opened.address);
        for (own, socket) in sockets.iter_mut().zip(opened.sockets) {
            own.push(socket);
        }
    }
    Ok((addresses, sockets))
}

fn spawn(
    index: usize,
    seed: Seed,
    started: Sender<Result<Started, String>>,
    events: Sender<Event>,
) -> std::io::Result<JoinHandle<()>> {
    /// Tells the main thread also when the worker panics.
    struct Ended(Sender<Event>);
    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.send(Event::WorkerEnded);
        }
    }
    std::thread::Builder::new()
        .name(format!("strait-{index}"))
        .spawn(move || {
            let _ended = Ended(events);
            worker::main(seed, &started);
        })
}

/// Waits for every worker's report; gives back the words for the start-up line.
fn collect(
    reports: &Receiver<Result<Started, String>>,
    count: usize,
) -> Result<String, ServerError> {
    let mut ring = 0;
    let mut refused = None;
    for _ in 0..count {
        let started = reports
            .recv()
            .map_err(|_| ServerError::WorkerLost)?
            .map_err(ServerError::Driver)?;
        match started.kind {
            DriverKind::IoUring => ring += 1,
            DriverKind::Epoll => refused = refused.or(started.refused),
        }
    }
    let because = refused.map_or(String::new(), |why| format!(" (io_uring refused: {why})"));
    Ok(if ring == count {
        "io_uring".to_owned()
    } else if ring == 0 {
        format!("epoll{because}")
    } else {
        format!("io_uring on {ring} workers, else epoll{because}")
    })
}

fn announce(addresses: &[SocketAddr], scheme: &str, driver: &str, workers: usize) {
    let urls = addresses.iter().map(|a| format!("{scheme}://{a}"));
    let urls: Vec<String> = urls.collect();
    let noun = if workers == 1 { "worker" } else { "workers" };
    let line = format!(
        "strait {} listening on {} · {driver} · {workers} {noun}\n",
        env!("CARGO_PKG_VERSION"),
        urls.join(", ")
    );
    // A closed standard error is no reason not to serve.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests;
