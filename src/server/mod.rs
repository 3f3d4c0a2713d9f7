//! The shell: sockets, threads, clocks and signals. It moves bytes and decides nothing; what
//! they mean is known to [`crate::route::exchange`].
//!
//! [`run`] opens the listening sockets and starts one thread per worker (`worker`). Each has a
//! runtime of its own on io_uring or epoll (`driver`), accepts connections (`downstream`),
//! drives their exchanges (`relay`) and keeps its own connections to providers (`upstream`,
//! `pool`). Nothing on a request's way is shared between workers.

mod accept;
mod audience;
mod audit;
mod buffers;
mod certificates;
mod client;
mod cold;
mod control;
mod database;
mod downstream;
mod driver;
mod error;
mod export;
mod given;
mod guard;
mod handshake;
mod journal;
mod keys;
mod listener;
mod login;
mod meter;
mod notify;
mod operator;
mod pool;
mod post;
mod relay;

mod resolve;
mod scrape;
mod settings;
mod store;
mod timer;
mod tls;
mod upstream;
mod wire;
mod worker;

pub use audit::settle as settle_audit;
pub use certificates::check as check_certificates;
pub use control::reload;
pub use driver::DriverKind;
pub use error::ServerError;
pub use settings::Reload;
pub use store::{Cost, Till, settle as settle_store};

use crate::config::{Listen, Snapshot};
use crate::ledger::metrics::Core;
use audit::Auditing;
use control::{Ask, Control, Predecessor};
use driver::phrase;
use export::Exporter;
use futures_channel::mpsc::{UnboundedSender, unbounded};
use journal::{Journal, Level};
use keys::Keys;
use listener::{Listener, may_be_open, open_all};
use login::Logins;
use notify::Notify;
use scrape::Scraper;
use settings::{Settings, successor};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use store::Keeping;
use worker::{InFlight, Order, Seed, Started};

/// What to run.
pub struct Options {
    /// The configuration.
    pub snapshot: Snapshot,
    /// How to read it again; `None`: it cannot be.
    pub reload: Option<Reload>,
    /// Take the place of another process.
    pub take_over: Option<TakeOver>,
    /// Only this driver; `None`: io_uring if it is allowed, else epoll.
    pub driver: Option<DriverKind>,
    /// Called once with the addresses that are served, in the order of the configuration, with
    /// the real ports.
    pub ready: Option<Box<dyn FnOnce(Vec<Listen>) + Send>>,
}

/// Whose place to take: its listening sockets are served on, and it drains.
#[derive(Clone, Copy, Debug)]
pub struct TakeOver {
    /// The process; `None`: the only one there is, if there is one.
    pub pid: Option<u32>,
}

/// What the main thread waits for.
enum Event {
    /// A worker has answered a call.
    Alive,
    /// Another process wants something.
    Asked(Ask),
    /// The configuration is to be read again.
    Reload,
    Stop,
    WorkerEnded,
}

/// Serves until SIGINT or SIGTERM, then lets streams in flight finish; another one ends the process
/// at once. SIGHUP reads the configuration again, and so does [`reload`].
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
    let result = take_place(options, &events).and_then(|server| server.serve(&receiver, &events));
    handle.close();
    let _ = thread.join();
    result
}

/// Starts to serve, in the place of another process if that is wanted. As long as this can fail
/// that one goes on.
fn take_place(mut options: Options, events: &Sender<Event>) -> Result<Server, ServerError> {
    let mut inherited = given::listeners()?;
    let predecessor = match options.take_over.take() {
        Some(TakeOver { pid }) => Predecessor::find(pid).map_err(ServerError::TakeOver)?,
        None => None,
    };
    if let Some(predecessor) = &predecessor {
        inherited.extend(predecessor.sockets().map_err(ServerError::TakeOver)?);
    }
    let ready = options.ready.take();
    let mut server = Server::start(options, inherited, events)?;
    if let Some(predecessor) = &predecessor {
        predecessor.rest().map_err(ServerError::TakeOver)?;
    }
    server.accept()?;
    if let Some(predecessor) = &predecessor {
        let pid = predecessor.retire().map_err(ServerError::TakeOver)?;
        server
            .journal
            .info(|| format!("took the place of process {pid}"));
    }
    let control = Control::start(events.clone());
    server.announce();
    match control {
        Ok(control) => server.control = Some(control),
        Err(why) => server.journal.info(|| {
            format!(
                "no control socket: {why}; SIGHUP reloads, `strait reload` and --take-over do not"
            )
        }),
    }
    if let Some(ready) = ready {
        ready(server.addresses());
    }
    Ok(server)
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
    listeners: Vec<Listener>,
    /// Whether some worker is on epoll.
    nonblocking: bool,
    /// The drivers, for the start-up line.
    drivers: String,
    control: Option<Control>,
    notify: Notify,
    /// So many workers have not answered the last call.
    silent: usize,
    workers: Vec<Running>,
    logins: Logins,
    keeping: Keeping,
    keys: Keys,
    operator: operator::Desk,
    auditing: Auditing,
    exporter: Option<Exporter>,
    journal: Journal,
    writer: journal::Writer,
}

impl Server {
    /// Opens what is not `inherited`, and starts the workers. Nothing is accepted yet.
    fn start(
        options: Options,
        inherited: Vec<Listener>,
        events: &Sender<Event>,
    ) -> Result<Self, ServerError> {
        let snapshot = options.snapshot;
        let count = snapshot.workers.max(1);
        let listeners = open_all(&snapshot.listen, inherited, count)?;
        may_be_open(&listeners, &snapshot)?;
        let system = |e: std::io::Error| ServerError::System(format!("threads: {}", phrase(&e)));
        let resolver = resolve::Resolver::start().map_err(system)?;
        let (journal, writer) =
            journal::start(Level::from_env(), snapshot.log_format).map_err(system)?;
        let keeping = Keeping::start(&snapshot.store, snapshot.ca_file.as_deref(), &journal)?;
        let exporter = Exporter::start(&snapshot, &resolver, &journal)?;
        let auditing = Auditing::new(&snapshot, &journal)?;
        let reader = audit::Reader::new(&snapshot)?;
        let mut logins = Logins::new(resolver.clone(), journal.clone());
        let settings = Settings::new(snapshot, &mut logins, None, &journal)?;
        let settings = Arc::new(settings);

        let enabled = settings.snapshot.metrics.enabled;
        let cores: Vec<_> = (0..count).map(|_| Arc::<Core>::default()).collect();
        let traces = exporter.as_ref().map(Exporter::desk);
        let scraper = Arc::new(Scraper::new(
            cores.clone(),
            &journal,
            auditing.gauges(),
            traces.clone(),
        ));
        let operator = operator::Desk::new(scraper.clone(), reader, &journal);
        // What the store holds is known before anybody is served.
        let keys = Keys::start(&settings.snapshot, &journal).map_err(system)?;

        let cpus = worker::cpus();
        let (started, reports) = channel();
        let mut workers = Vec::with_capacity(count);
        for (index, core) in cores.iter().enumerate() {
            let (orders, received) = unbounded();
            let in_flight = InFlight::default();
            let seed = Seed {
                settings: settings.clone(),
                resolver: resolver.clone(),
                store: keeping.desk(),
                operator: operator.clone(),
                audit: auditing.desk(),
                journal: journal.clone(),
                in_flight: in_flight.clone(),
                core: enabled.then(|| core.clone()),
                traces: traces.clone(),
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
        let (drivers, nonblocking) = collect(&reports, count)?;
        scraper.runs_on(match nonblocking {
            false => DriverKind::IoUring,
            true => DriverKind::Epoll,
        });
        Ok(Server {
            settings,
            reload: options.reload,
            listeners,
            nonblocking,
            drivers,
            control: None,
            notify: Notify::from_env(),
            silent: 0,
            workers,
            logins,
            keeping,
            keys,
            operator,
            auditing,
            exporter,
            journal,
            writer,
        })
    }

    /// Gives each worker its share of the listening sockets.
    fn accept(&self) -> Result<(), ServerError> {
        for listener in &self.listeners {
            let fail = |e: std::io::Error| ServerError::Bind {
                address: listener.address.clone(),
                cause: phrase(&e),
            };
            for socket in &listener.sockets {
                // io_uring waits by itself; epoll needs sockets that do not block.
                socket.set_nonblocking(self.nonblocking).map_err(fail)?;
            }
            let shares = listener.share(self.workers.len()).map_err(fail)?;
            for (worker, share) in self.workers.iter().zip(shares) {
                let _ = worker.orders.unbounded_send(Order::Accept(share));
            }
        }
        Ok(())
    }

    /// Takes no more connections; false if a worker does not answer.
    fn rest(&self) -> bool {
        self.order_and_wait(Order::Rest)
    }

    /// Waits until all workers have done what they are told; false if one does not.
    fn order_and_wait(&self, order: impl Fn(Sender<()>) -> Order) -> bool {
        let (told, done) = channel();
        self.order(|| order(told.clone()));
        drop(told);
        // Nothing is ever sent.
        done.recv_timeout(ORDER_TIMEOUT) == Err(RecvTimeoutError::Disconnected)
    }

    fn order(&self, order: impl Fn() -> Order) {
        for worker in &self.workers {
            let _ = worker.orders.unbounded_send(order());
        }
    }

    /// Where it listens, with the real ports.
    fn addresses(&self) -> Vec<Listen> {
        self.listeners.iter().map(|l| l.address.clone()).collect()
    }

    /// The start-up line, for whoever watches and for the service manager.
    fn announce(&self) {
        let scheme = self.settings.snapshot.scheme();
        let addresses = self.addresses();
        let urls = addresses.iter().map(|address| match address {
            Listen::Tcp(address) => format!("{scheme}://{address}"),
            Listen::Unix { .. } => address.to_string(),
        });
        let urls: Vec<String> = urls.collect();
        let noun = if self.workers.len() == 1 {
            "worker"
        } else {
            "workers"
        };
        let line = format!(
            "listening on {} · {} · {} {noun}",
            urls.join(", "),
            self.drivers,
            self.workers.len()
        );
        let version = env!("CARGO_PKG_VERSION");
        let format = self.settings.snapshot.log_format;
        let shown = journal::shown(format, "info", format!("strait {version} {line}"));
        // A closed standard error is no reason not to serve.
        let _ = std::io::stderr().write_all(format!("{shown}\n").as_bytes());
        self.notify.ready(&line);
    }

    /// Reads the configuration again, and gives it to the workers if it is good.
    fn reload(&mut self) -> Result<(), String> {
        let read = self.reload.as_ref().ok_or("there is none to read")?;
        let next = successor(&self.settings.snapshot, read()?)?;
        may_be_open(&self.listeners, &next).map_err(|e| e.to_string())?;
        let running = Some(&*self.settings);
        let settings = Settings::new(next, &mut self.logins, running, &self.journal);
        let settings = settings.map_err(|e| e.to_string())?;
        self.auditing.learn(&settings.snapshot);
        self.settings = Arc::new(settings);
        self.keys
            .adopt(&self.settings.snapshot)
            .map_err(|e| phrase(&e))?;
        // Who asked may rely on it with the next request.
        if !self.order_and_wait(|told| Order::Adopt(self.settings.clone(), told)) {
            self.journal
                .info(|| "a worker is slow to take the new configuration".to_owned());
        }
        Ok(())
    }

    /// Reloads, and says how it went.
    fn try_reload(&mut self) -> Result<(), String> {
        self.notify.reloading();
        let result = self.reload();
        let said = match &result {
            Ok(()) => "configuration reloaded".to_owned(),
            Err(why) => format!("configuration not reloaded: {why}"),
        };
        self.notify.ready(&said);
        self.journal.info(|| said);
        cold::forget();
        result
    }

    /// Answers another process. True if that one serves now.
    fn answer(&mut self, ask: Ask) -> bool {
        // Whether the other process still waits for the answer is its business.
        match ask {
            Ask::Reload(answer) => {
                let _ = answer.send(self.try_reload());
            }
            Ask::Sockets(answer) => {
                let shared: std::io::Result<Vec<Listener>> =
                    self.listeners.iter().map(Listener::try_clone).collect();
                let _ = answer.send(shared.map_err(|e| phrase(&e)));
            }
            Ask::Rest(answer) => {
                let _ = answer.send(self.rest());
            }
            Ask::Resume => {
                self.journal
                    .info(|| "not handed over: the other process has failed".to_owned());
                if let Err(e) = self.accept() {
                    self.journal.info(|| e.to_string());
                }
            }
            Ask::Bequeath(pid, answer) => {
                self.journal
                    .info(|| format!("handed over to process {pid}"));
                self.notify.main_pid(pid);
                let _ = answer.send(());
                return true;
            }
        }
        false
    }

    /// Calls all workers, and tells the service manager when they have answered the last call.
    fn call(&mut self, events: &Sender<Event>) {
        if self.silent == 0 {
            self.notify.alive();
            self.silent = self.workers.len();
            self.order(|| Order::Sign(events.clone()));
        }
    }

    /// Does what it is told until that is to stop; then drains, and waits for the workers.
    fn serve(
        mut self,
        events: &Receiver<Event>,
        sender: &Sender<Event>,
    ) -> Result<(), ServerError> {
        let (mut lost, mut handed_over) = (false, false);
        let next_beat = |notify: &Notify| notify.beat().map(|beat| Instant::now() + beat);
        let mut due = next_beat(&self.notify);
        cold::forget();
        let mut settled = Some(Instant::now() + cold::SETTLED);
        loop {
            let next = due.into_iter().chain(settled).min();
            let left = next.map(|next| next.saturating_duration_since(Instant::now()));
            match events.recv_timeout(left.unwrap_or(Duration::MAX)) {
                Ok(Event::Alive) => self.silent -= 1,
                Ok(Event::Asked(ask)) => handed_over = self.answer(ask),
                Ok(Event::Reload) => drop(self.try_reload()),
                Ok(Event::WorkerEnded) => lost = true,
                Ok(Event::Stop) => break,
                // The sender of this channel lives in the caller.
                Err(_) => {
                    let now = Instant::now();
                    if settled.take_if(|at| *at <= now).is_some() {
                        cold::forget();
                    }
                    if due.is_some_and(|at| at <= now) {
                        self.call(sender);
                        due = next_beat(&self.notify);
                    }
                }
            }
            if lost || handed_over {
                break;
            }
        }
        self.close(handed_over);
        let mut running = self.workers.len() - usize::from(lost);
        while running > 0 {
            // Streams may last longer than a watchdog is patient.
            let left = self.notify.beat().unwrap_or(Duration::MAX);
            match events.recv_timeout(left) {
                Ok(Event::WorkerEnded) => running -= 1,
                // Who waits for streams of any length is told not to.
                Ok(Event::Stop) if std::mem::take(&mut handed_over) => {
                    self.order(|| Order::Drain);
                }
                Ok(Event::Stop) => std::process::exit(130),
                // It serves nobody any more.
                Ok(Event::Alive | Event::Asked(_) | Event::Reload) => {}
                Err(RecvTimeoutError::Timeout) => self.notify.alive(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let mut crashed = lost;
        for worker in self.workers {
            crashed |= worker.thread.join().is_err();
        }
        self.logins.finish();
        self.keys.finish();
        self.keeping.finish();
        self.operator.finish();
        self.auditing.finish();
        if let Some(exporter) = self.exporter {
            exporter.finish();
        }
        self.journal.info(|| "stopped".to_owned());
        self.writer.finish();
        if crashed {
            return Err(ServerError::WorkerLost);
        }
        Ok(())
    }

    /// Takes nothing new. After a hand-over streams have all the time they need.
    fn close(&mut self, handed_over: bool) {
        let streams: usize = self.workers.iter().map(|w| w.in_flight.count()).sum();
        let noun = if streams == 1 { "stream" } else { "streams" };
        let said = format!("draining: {streams} {noun} in flight");
        self.control = None;
        match handed_over {
            true => self.order(|| Order::Leave),
            false => {
                self.notify.stopping(&said);
                self.order(|| Order::Drain);
            }
        }
        for listener in self.listeners.drain(..) {
            if !handed_over {
                listener.remove();
            }
        }
        self.journal.info(|| said);
    }
}

/// How long workers may take to do what is waited for.
const ORDER_TIMEOUT: Duration = Duration::from_secs(5);

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

/// Waits for every worker's report; gives back the words for the start-up line, and whether a
/// worker is on epoll.
fn collect(
    reports: &Receiver<Result<Started, String>>,
    count: usize,
) -> Result<(String, bool), ServerError> {
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
    let line = if ring == count {
        "io_uring".to_owned()
    } else if ring == 0 {
        format!("epoll{because}")
    } else {
        format!("io_uring on {ring} workers, else epoll{because}")
    };
    Ok((line, ring < count))
}

#[cfg(test)]
mod tests;
