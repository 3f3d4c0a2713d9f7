//! One thread, one runtime, one accept loop per address; shares nothing that it writes.

use super::Event;
use super::accept::Intake;
use super::audit;
use super::buffers::Buffers;
use super::driver::{self, DriverKind, phrase};
use super::export;
use super::guard::CatchUnwind;
use super::journal::Journal;
use super::listener::Port;
use super::operator;
use super::pool::Pool;
use super::resolve::{Cache, Resolver};
use super::settings::Settings;
use super::store;
use super::timer::{Timer, Timers};
use crate::ledger::metrics::Core;
use crate::ledger::record::Record;
use crate::limits;
use futures_channel::mpsc::UnboundedReceiver;
use futures_core::Stream;
use ring::rand::{SecureRandom, SystemRandom};
use std::cell::{Cell, Ref, RefCell};
use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// How often idle connections and memory are looked through.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// Time for the last bytes once the drain time is over.
const ENDING_GRACE: Duration = Duration::from_secs(2);

/// How far the end has come.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Stage {
    Serving,
    /// No new connections; each that is there ends with its next request. Another process serves,
    /// so nobody has to be hurried.
    Leaving,
    /// No new connections, no new requests.
    Draining,
    /// What still runs is told to stop.
    Ending,
}

/// Exchanges in flight in one worker; written there, read by the main thread.
#[derive(Clone, Debug, Default)]
pub(super) struct InFlight(Arc<AtomicUsize>);

impl InFlight {
    pub(super) fn enter(&self) -> Counted {
        self.0.fetch_add(1, Ordering::Relaxed);
        Counted(self.clone())
    }

    pub(super) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One exchange in flight, until dropped.
pub(super) struct Counted(InFlight);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the tasks of a worker share.
pub(super) struct Worker {
    /// The newest.
    settings: RefCell<Arc<Settings>>,
    pub(super) cache: Rc<Cache>,
    pub(super) pool: Pool,
    pub(super) store: store::Desk,
    pub(super) operator: operator::Desk,
    pub(super) audit: audit::Desk,
    pub(super) journal: Journal,
    pub(super) in_flight: InFlight,
    /// What is counted; `None` where nothing is.
    pub(super) core: Option<Arc<Core>>,
    /// Where what is traced is left; `None` where nothing is.
    traces: Option<export::Desk>,
    pub(super) timers: Rc<Timers>,
    pub(super) buffers: Buffers,
    /// A secret of this worker, and how often it was used.
    random: ([u8; 32], Cell<u64>),
    pub(super) intake: Intake,
    stage: Cell<Stage>,
    tasks: RefCell<HashMap<u64, Waker>>,
    next_task: Cell<u64>,
    /// The main task, waiting for the others to end.
    waiting: Cell<Option<Waker>>,
}

impl Worker {
    /// What the next exchange is begun with. Not to be held while something is waited for.
    pub(super) fn settings(&self) -> Ref<'_, Arc<Settings>> {
        self.settings.borrow()
    }

    /// Those under way keep what they have.
    fn replace_settings(&self, settings: Arc<Settings>) {
        self.pool.keep_only(|origin| {
            let mut providers = settings.snapshot.providers.values();
            providers.any(|provider| provider.origin == *origin)
        });
        self.settings.replace(settings);
    }

    /// Whether connections end with the next thing that they do, and those that have nothing to
    /// wait for, at once.
    pub(super) fn is_leaving(&self) -> bool {
        self.stage.get() >= Stage::Leaving
    }

    /// Whether connections end with what they are doing now.
    pub(super) fn is_draining(&self) -> bool {
        self.stage.get() >= Stage::Draining
    }

    /// Whether exchanges have to end now.
    pub(super) fn is_ending(&self) -> bool {
        self.stage.get() >= Stage::Ending
    }

    /// Fresh randomness: a digest of the worker's secret and a counter, so that no request asks
    /// the kernel for it. Nobody without the secret can tell it from random.
    pub(super) fn entropy(&self) -> [u8; 32] {
        let (secret, counter) = &self.random;
        let count = counter.get();
        counter.set(count + 1);
        let mut material = [0; 40];
        material[..32].copy_from_slice(secret);
        material[32..].copy_from_slice(&count.to_le_bytes());
        let digest = ring::digest::digest(&ring::digest::SHA256, &material);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        bytes
    }

    /// Notes an exchange that is over.
    pub(super) fn note(&self, record: Box<Record>) {
        if let Some(core) = &self.core {
            let snapshot = &self.settings().snapshot;
            core.note(&record, |provider, model| snapshot.knows(provider, model));
        }
        if let Some(traces) = &self.traces {
            traces.leave(&record);
        }
        self.journal.exchange(&record);
        self.audit.note(record);
    }

    /// Waits until an exchange may begin: where no row of the audit may be lost, that needs room
    /// for one.
    pub(super) async fn room(&self) {
        while self.audit.holds_back() && !self.is_draining() {
            // On the heap for as long as it takes: a timer of the runtime is large, and every
            // connection would have a place for one.
            Box::pin(monoio::time::sleep(limits::AUDIT_ROOM_EVERY)).await;
        }
    }

    fn enter(&self, stage: Stage) {
        self.stage.set(stage);
        for waker in self.tasks.borrow().values() {
            waker.wake_by_ref();
        }
    }

    /// Runs a task that is woken when the stage changes; its panic is its own.
    pub(super) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        let worker = self.clone();
        let id = self.next_task.get();
        self.next_task.set(id + 1);
        // It counts from now on, not from when it first runs.
        self.tasks.borrow_mut().insert(id, Waker::noop().clone());
        // Here and not inside: the outer future would hold a second place for it.
        let task = CatchUnwind::new(task);
        monoio::spawn(async move {
            // One waker serves for the task's whole life.
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            worker.tasks.borrow_mut().insert(id, waker);
            let result = task.await;
            worker.tasks.borrow_mut().remove(&id);
            if let Err(message) = result {
                worker
                    .journal
                    .info(|| format!("panic, one connection lost: {message}"));
            }
            if worker.is_leaving()
                && let Some(waiting) = worker.waiting.take()
            {
                waiting.wake();
            }
        });
    }

    /// Does what it is told, until a drain is over.
    async fn obey(self: &Rc<Self>, mut orders: UnboundedReceiver<Order>) {
        let mut timer = Timer::new(self.timers.clone());
        let mut until = None;
        loop {
            let order = poll_fn(|cx| {
                match Pin::new(&mut orders).poll_next(cx) {
                    Poll::Ready(Some(order)) => return Poll::Ready(Some(order)),
                    // The main thread has given up.
                    Poll::Ready(None) if !self.is_leaving() => {
                        return Poll::Ready(Some(Order::Drain));
                    }
                    _ if !self.is_leaving() => return Poll::Pending,
                    _ => {}
                }
                if self.tasks.borrow().is_empty() {
                    return Poll::Ready(None);
                }
                self.waiting.set(Some(cx.waker().clone()));
                match until {
                    Some(until) => timer.poll(cx, until).map(|()| None),
                    None => Poll::Pending,
                }
            })
            .await;
            match order {
                Some(Order::Accept(ports)) => self.accept(ports),
                Some(Order::Adopt(settings, told)) => {
                    self.replace_settings(settings);
                    drop(told);
                }
                Some(Order::Drain) => {
                    let within = self.settings().snapshot.timeouts.drain;
                    until = Some(Instant::now() + within);
                    self.intake.rest(None);
                    self.enter(Stage::Draining);
                }
                Some(Order::Leave) => {
                    self.intake.rest(None);
                    self.enter(Stage::Leaving);
                }
                Some(Order::Rest(told)) => self.intake.rest(Some(told)),
                Some(Order::Sign(told)) => drop(told.send(Event::Alive)),
                None => return,
            }
        }
    }

    fn accept(self: &Rc<Self>, ports: Vec<Port>) {
        if let Err(e) = Intake::open(self, ports) {
            self.journal
                .info(|| format!("a listening socket is not served: {}", phrase(&e)));
        }
    }

    /// Waits until all tasks have ended, or until `limit` is over.
    async fn all_ended(&self, limit: Duration) {
        let mut timer = Timer::new(self.timers.clone());
        let deadline = Instant::now() + limit;
        poll_fn(|cx| {
            if self.tasks.borrow().is_empty() {
                return Poll::Ready(());
            }
            self.waiting.set(Some(cx.waker().clone()));
            timer.poll(cx, deadline)
        })
        .await;
    }
}

/// A secret from the kernel.
fn secret() -> [u8; 32] {
    let mut bytes = [0; 32];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        // getrandom(2) does not fail on a kernel with io_uring or a recent epoll. Without
        // randomness identifiers would repeat: rather not serve.
        panic!("the kernel gave no randomness");
    }
    bytes
}

/// What a worker's thread is started with.
pub(super) struct Seed {
    pub(super) settings: Arc<Settings>,
    pub(super) resolver: Resolver,
    pub(super) store: store::Desk,
    pub(super) operator: operator::Desk,
    pub(super) audit: audit::Desk,
    pub(super) journal: Journal,
    pub(super) in_flight: InFlight,
    pub(super) core: Option<Arc<Core>>,
    pub(super) traces: Option<export::Desk>,
    pub(super) driver: Option<DriverKind>,
    /// The CPU to stay on.
    pub(super) cpu: Option<usize>,
    /// What the main thread wants; once it has gone, a drain.
    pub(super) orders: UnboundedReceiver<Order>,
}

/// What the main thread tells a worker.
pub(super) enum Order {
    /// Take connections from these.
    Accept(Vec<Port>),
    /// Begin what comes with these. Dropped when that is so.
    Adopt(Arc<Settings>, Sender<()>),
    /// Take nothing new, and end when what is in flight has ended, or the drain time is over.
    Drain,
    /// Take no connections, and end when those that are there have ended.
    Leave,
    /// Take no connections. Dropped when the last accept has ended.
    Rest(Sender<()>),
    /// Show that orders are carried out.
    Sign(Sender<Event>),
}

/// A worker has started: with which driver, and why not with io_uring.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) kind: DriverKind,
    pub(super) refused: Option<String>,
}

/// The life of a worker's thread. `started` is told once whether it could start.
pub(super) fn main(seed: Seed, started: &Sender<Result<Started, String>>) {
    if let Some(cpu) = seed.cpu {
        pin_to(cpu);
    }
    let mut built = match driver::build(seed.driver) {
        Ok(built) => built,
        Err(why) => {
            let _ = started.send(Err(why));
            return;
        }
    };
    let report = Started {
        kind: built.kind,
        refused: built.refused.take(),
    };
    built.runtime.block_on(serve(seed, report, started));
}

async fn serve(seed: Seed, report: Started, started: &Sender<Result<Started, String>>) {
    let worker = Rc::new(Worker {
        settings: RefCell::new(seed.settings),
        cache: Rc::new(Cache::new(seed.resolver)),
        pool: Pool::default(),
        store: seed.store,
        operator: seed.operator,
        audit: seed.audit,
        journal: seed.journal,
        in_flight: seed.in_flight,
        core: seed.core,
        traces: seed.traces,
        timers: Rc::default(),
        buffers: Buffers::default(),
        random: (secret(), Cell::new(0)),
        intake: Intake::default(),
        stage: Cell::new(Stage::Serving),
        tasks: RefCell::default(),
        next_task: Cell::new(0),
        waiting: Cell::new(None),
    });
    let timers = worker.timers.clone();
    monoio::spawn(async move { timers.keep().await });
    let sweeper = worker.clone();
    monoio::spawn(async move {
        loop {
            monoio::time::sleep(SWEEP_EVERY).await;
            sweeper.pool.sweep(Instant::now());
            sweeper.buffers.clear();
        }
    });
    let _ = started.send(Ok(report));

    worker.obey(seed.orders).await;
    worker.enter(Stage::Ending);
    worker.all_ended(ENDING_GRACE).await;
    worker.pool.clear();
}

/// The CPUs that this process may use.
pub(super) fn cpus() -> Vec<usize> {
    // SAFETY: an all-zero cpu_set_t is a valid empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer and the size are those of `set`, which outlives the call.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    if result != 0 {
        return Vec::new();
    }
    (0..libc::CPU_SETSIZE as usize)
        // SAFETY: `cpu` is below CPU_SETSIZE.
        .filter(|cpu| unsafe { libc::CPU_ISSET(*cpu, &set) })
        .collect()
}

/// Best effort: an unpinned worker works as well, only its cache is colder.
fn pin_to(cpu: usize) {
    // SAFETY: an all-zero cpu_set_t is a valid empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: `cpu` comes from `cpus`, so it is below CPU_SETSIZE; the pointer and the size are
    // those of `set`, which outlives the call.
    unsafe {
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &raw const set);
    }
}
