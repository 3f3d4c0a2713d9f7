//! The audit: a row for each exchange, written by one thread.
//!
//! ```text
//! workers ──record──▶ Desk ──queue──▶ Writer ──many rows, in one transaction──▶ Backend
//!                                                    Reader ◀──its own connection───┘
//! ```
//!
//! To a worker a row is a message. The writer rests between two transactions, so that rows come
//! together, and so that nobody has to wake it: it sleeps for a while, whatever comes. What it has
//! taken is tried until it is written; meanwhile the queue fills up to its bound, and then rows
//! are dropped and counted, or requests that have not begun wait. No stream ever does.

mod entry;
mod postgres;
mod select;
mod sqlite;
#[cfg(test)]
mod tests;

use super::ServerError;
use super::database::{Schema, Trouble, millis, packed, place, whole};
use super::journal::Journal;
use crate::config::{Audit, Place, Snapshot, WhenFull};
use crate::ledger::audit::{Bucket, Detail, Question, Reply, Step, Totals};
use crate::ledger::record::Record;
use crate::ledger::redact::Redactor;
use crate::ledger::usage::Usage;
use crate::limits;
use entry::Entry;
use postgres::Postgres;
use sqlite::Sqlite;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most rows in one transaction.
const BATCH_MAX: usize = 1000;
/// Slices of a rest, between which the end may come, or enough rows for a transaction.
const REST_SLICE: Duration = Duration::from_millis(20);

/// The tables here. Files are marked with "Stra".
const SCHEMA: Schema = Schema {
    application: 0x5374_7261,
    table: "strait_audit_schema",
    version: 1,
};

/// Makes the place of the audit, or finds out that it cannot be used. Call it after
/// that of the store, which has complained of a missing home.
pub fn settle(audit: &mut Audit) -> Result<(), ServerError> {
    place::settle(&mut audit.place, audit.chosen, &SCHEMA, ("audit", "audit"))
        .map_err(ServerError::Audit)
}

/// For how long rows are kept, and how much.
#[derive(Clone, Copy, Debug)]
struct Terms {
    max_age: Duration,
    max_bytes: u64,
    usage_max_age: Duration,
}

impl Terms {
    fn of(audit: &Audit) -> Self {
        Terms {
            max_age: audit.max_age,
            max_bytes: audit.max_bytes,
            usage_max_age: limits::AUDIT_USAGE_AGE_MAX,
        }
    }
}

/// A database.
trait Backend: Send {
    /// Writes the rows in one transaction: all of them or none.
    fn write(&mut self, entries: &[Entry]) -> Result<(), Trouble>;

    /// Takes away a little of what is too old or too much; true if there is more to do.
    fn sweep(&mut self, now_ms: u64) -> Result<bool, Trouble>;

    /// Answers, from what is written.
    fn ask(&mut self, question: &Question) -> Result<Reply, Trouble>;
}

fn backend(
    place: &Place,
    ca_file: Option<&Path>,
    terms: Terms,
) -> Result<Option<Box<dyn Backend>>, ServerError> {
    Ok(match place {
        Place::Nowhere => None,
        Place::Sqlite(path) => Some(Box::new(Sqlite::new(path.clone(), terms))),
        Place::Postgres(database) => {
            let postgres = Postgres::new(database, ca_file, terms);
            Some(Box::new(postgres.map_err(ServerError::Audit)?))
        }
    })
}

/// What sums are kept of.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
struct Group<'a> {
    /// The begin of the hour in which it began, in Unix milliseconds.
    hour_ms: u64,
    key: &'a str,
    model: &'a str,
    provider: &'a str,
}

/// What the rows count for.
fn sums(entries: &[Entry]) -> BTreeMap<Group<'_>, Totals> {
    let hour = Step::Hour.millis();
    let mut sums: BTreeMap<Group<'_>, Totals> = BTreeMap::new();
    for Entry { row, totals, .. } in entries {
        let group = Group {
            hour_ms: row.started_ms / hour * hour,
            key: &row.key,
            model: &row.model,
            provider: &row.provider,
        };
        sums.entry(group).or_default().add(totals);
    }
    sums
}

/// Sums as both databases give them: the begin, the name, and then the numbers in the order of
/// [`Totals`].
fn bucket<E>(name: String, number: impl Fn(usize) -> Result<u64, E>) -> Result<Bucket, E> {
    Ok(Bucket {
        from_ms: number(0)?,
        name,
        totals: Totals {
            requests: number(2)?,
            errors: number(3)?,
            usage: Usage {
                input: number(4)?,
                cached: number(5)?,
                cache_write: number(6)?,
                output: number(7)?,
                reasoning: number(8)?,
            },
            cost_nanos: number(9)?,
            unpriced: number(10)?,
        },
    })
}

/// Later hours are those in a time that begins so.
fn hour_before(from_ms: u64) -> i64 {
    let hour = millis(Duration::from_millis(Step::Hour.millis()));
    whole(from_ms).saturating_sub(hour)
}

/// An exchange out of what was kept of it.
fn detail(number: i64, json: &str, bodies: Option<&[u8]>) -> Result<Box<Detail>, Trouble> {
    let damaged = |e: serde_json::Error| Trouble::Refused(format!("what was kept is damaged: {e}"));
    let bodies = match bodies {
        Some(packed) => {
            let json = packed::unpack(packed).map_err(Trouble::Refused)?;
            Some(serde_json::from_slice(&json).map_err(damaged)?)
        }
        None => None,
    };
    let row = select::row(number, json)?;
    Ok(Box::new(Detail { row, bodies }))
}

/// What waits, and what was lost; written by all, read by who shows it.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    rows: AtomicUsize,
    bytes: AtomicUsize,
    dropped: AtomicU64,
}

impl Gauges {
    /// Rows that wait to be written.
    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Rows that were dropped since the start.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// What the writer is told.
enum Told {
    /// These are secrets, too.
    Secrets(Vec<String>),
    /// An exchange is over, at this time in Unix milliseconds.
    Over(Box<Record>, u64),
    /// Nothing more comes: handles may outlive their workers, as in [`super::journal`].
    End,
}

/// Where workers note exchanges; cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    /// `None`: there is no audit.
    door: Option<Arc<Door>>,
}

struct Door {
    gauges: Arc<Gauges>,
    rows_max: usize,
    when_full: WhenFull,
    /// To the writer, which starts with the first row; `None`: it could not.
    told: OnceLock<Option<Sender<Told>>>,
    inside: Mutex<Inside>,
}

/// What the writer is started with, then how it is reached.
struct Inside {
    backend: Option<Box<dyn Backend>>,
    redactor: Redactor,
    journal: Journal,
    running: Option<(Sender<Told>, JoinHandle<()>)>,
}

impl Desk {
    /// Notes an exchange that is over, if it belongs into the audit.
    pub(super) fn note(&self, record: Box<Record>) {
        let Some(door) = &self.door else { return };
        if !record.asks_model && record.outcome != "invalid_key" {
            return;
        }
        let gauges = &door.gauges;
        let full = door.when_full == WhenFull::Drop && door.is_full();
        let Some(told) = door.told().filter(|_| !full) else {
            gauges.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        gauges.rows.fetch_add(1, Ordering::Relaxed);
        gauges.bytes.fetch_add(weight(&record), Ordering::Relaxed);
        // A writer that has gone is one that was told to.
        let _ = told.send(Told::Over(record, now_ms()));
    }

    /// Whether a request that has not begun has to wait. Those under way are noted all the same,
    /// so the queue's bound is passed by as many as there are.
    pub(super) fn holds_back(&self) -> bool {
        self.door
            .as_ref()
            .is_some_and(|door| door.when_full == WhenFull::Wait && door.is_full())
    }
}

impl Door {
    fn is_full(&self) -> bool {
        self.gauges.rows() >= self.rows_max
            || self.gauges.bytes.load(Ordering::Relaxed) >= limits::AUDIT_QUEUE_BYTES_MAX
    }

    fn told(&self) -> Option<&Sender<Told>> {
        self.told.get_or_init(|| self.start()).as_ref()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the writer, once.
    fn start(&self) -> Option<Sender<Told>> {
        let mut inside = self.inside();
        let (told, receiver) = channel();
        let writer = Writer {
            backend: inside.backend.take()?,
            redactor: std::mem::take(&mut inside.redactor),
            gauges: self.gauges.clone(),
            journal: inside.journal.clone(),
            entries: Vec::new(),
            over: false,
            lost: 0,
            trouble: None,
        };
        let thread = std::thread::Builder::new()
            .name("strait-audit".to_owned())
            .spawn(move || writer.run(&receiver));
        match thread {
            Ok(thread) => {
                inside.running = Some((told.clone(), thread));
                Some(told)
            }
            Err(e) => {
                inside
                    .journal
                    .info(|| format!("audit: no thread, all rows are dropped: {e}"));
                None
            }
        }
    }
}

/// Bytes of what was said; a row's own are the business of the bound of rows.
fn weight(record: &Record) -> usize {
    record.saying.as_ref().map_or(0, |saying| saying.weight())
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_millis().try_into().unwrap_or(u64::MAX))
}

/// The audit of a process, ended by [`Auditing::finish`].
pub(super) struct Auditing {
    desk: Desk,
}

impl Auditing {
    /// Reads what the database is reached with. The thread, and the database itself, wait for the
    /// first row.
    pub(super) fn new(snapshot: &Snapshot, journal: &Journal) -> Result<Self, ServerError> {
        let audit = &snapshot.audit;
        let terms = Terms::of(audit);
        let Some(backend) = backend(&audit.place, snapshot.ca_file.as_deref(), terms)? else {
            let desk = Desk { door: None };
            return Ok(Auditing { desk });
        };
        let auditing = Self::with(backend, audit, journal);
        auditing.learn(snapshot);
        Ok(auditing)
    }

    fn with(backend: Box<dyn Backend>, audit: &Audit, journal: &Journal) -> Self {
        let inside = Inside {
            backend: Some(backend),
            redactor: Redactor::new(audit.redact.clone()),
            journal: journal.clone(),
            running: None,
        };
        let door = Door {
            gauges: Arc::default(),
            rows_max: audit.queue,
            when_full: audit.when_full,
            told: OnceLock::new(),
            inside: Mutex::new(inside),
        };
        let door = Some(Arc::new(door));
        Auditing {
            desk: Desk { door },
        }
    }

    /// Takes what is secret in a configuration, before anything is done with it.
    pub(super) fn learn(&self, snapshot: &Snapshot) {
        let Some(door) = &self.desk.door else { return };
        let secrets = snapshot.secrets();
        let mut inside = door.inside();
        match &inside.running {
            Some((told, _)) => {
                let _ = told.send(Told::Secrets(secrets));
            }
            None => secrets.iter().for_each(|s| inside.redactor.add(s)),
        }
    }

    /// A handle for a worker.
    pub(super) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// What waits, and what was lost; `None`: there is no audit.
    pub(super) fn gauges(&self) -> Option<Arc<Gauges>> {
        self.desk.door.as_ref().map(|door| door.gauges.clone())
    }

    /// Ends the thread. What was noted before is written first, if the database is there.
    pub(super) fn finish(self) {
        let Some(door) = &self.desk.door else { return };
        let running = door.inside().running.take();
        if let Some((told, thread)) = running {
            let _ = told.send(Told::End);
            let _ = thread.join();
        }
    }
}

/// The thread that writes.
struct Writer {
    backend: Box<dyn Backend>,
    redactor: Redactor,
    gauges: Arc<Gauges>,
    journal: Journal,
    /// Taken, and not written yet.
    entries: Vec<Entry>,
    /// Nothing more comes.
    over: bool,
    /// So many dropped rows were told of.
    lost: u64,
    /// What was last told to the operator, until the database works again.
    trouble: Option<String>,
}

impl Writer {
    fn run(mut self, told: &Receiver<Told>) {
        let mut sweep_at = Instant::now() + limits::AUDIT_SWEEP_EVERY;
        while !self.over {
            let wait = sweep_at.saturating_duration_since(Instant::now());
            match told.recv_timeout(wait) {
                Ok(first) => {
                    self.take(first);
                    self.rest();
                    self.write_all(told);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.over = true,
            }
            if Instant::now() >= sweep_at && !self.over {
                let pause = match self.sweep() {
                    true => Duration::ZERO,
                    false => limits::AUDIT_SWEEP_EVERY,
                };
                sweep_at = Instant::now() + pause;
            }
        }
    }

    /// Lets rows come together. Who sends one meanwhile need not wake anybody.
    fn rest(&self) {
        let until = Instant::now() + limits::AUDIT_REST;
        while !self.over && Instant::now() < until && self.gauges.rows() < BATCH_MAX {
            std::thread::sleep(REST_SLICE);
        }
    }

    /// Writes all that waits; returns when nothing does, or at the end.
    fn write_all(&mut self, told: &Receiver<Told>) {
        loop {
            while self.entries.len() < BATCH_MAX && !self.over {
                match told.try_recv() {
                    Ok(next) => self.take(next),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => self.over = true,
                }
            }
            if self.entries.is_empty() {
                return;
            }
            if !self.write() {
                if self.over {
                    return self.forget();
                }
                std::thread::sleep(limits::AUDIT_PAUSE);
            }
            self.tell_losses();
        }
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Secrets(secrets) => secrets.iter().for_each(|s| self.redactor.add(s)),
            Told::Over(record, ended_ms) => {
                let weight = weight(&record);
                self.entries
                    .push(Entry::of(*record, ended_ms, &self.redactor));
                self.gauges.bytes.fetch_sub(weight, Ordering::Relaxed);
            }
            Told::End => self.over = true,
        }
    }

    /// Writes what was taken; false: the database is away.
    fn write(&mut self) -> bool {
        let entries = std::mem::take(&mut self.entries);
        let mut left = match self.backend.write(&entries) {
            Err(Trouble::Refused(_)) if entries.len() > 1 => self.write_one_by_one(entries),
            Err(Trouble::Refused(why)) => {
                self.refused(why);
                Vec::new()
            }
            Err(Trouble::Away(why)) => {
                self.ill(why);
                entries
            }
            Ok(()) => {
                self.written(entries.len());
                Vec::new()
            }
        };
        self.entries.append(&mut left);
        self.entries.is_empty()
    }

    /// Writes all but those that are refused; returns those that could not be tried.
    fn write_one_by_one(&mut self, mut entries: Vec<Entry>) -> Vec<Entry> {
        let mut done = 0;
        for entry in &entries {
            match self.backend.write(std::slice::from_ref(entry)) {
                Ok(()) => self.written(1),
                Err(Trouble::Refused(why)) => self.refused(why),
                Err(Trouble::Away(why)) => {
                    self.ill(why);
                    break;
                }
            }
            done += 1;
        }
        entries.split_off(done)
    }

    fn written(&mut self, rows: usize) {
        self.gauges.rows.fetch_sub(rows, Ordering::Relaxed);
        if self.trouble.take().is_some() {
            self.journal.info(|| "audit: works again".to_owned());
        }
    }

    fn refused(&mut self, why: String) {
        self.gauges.rows.fetch_sub(1, Ordering::Relaxed);
        self.gauges.dropped.fetch_add(1, Ordering::Relaxed);
        self.ill(why);
    }

    /// The end has come, and the database is away.
    fn forget(&mut self) {
        let rows = self.entries.len();
        self.entries.clear();
        self.gauges.rows.fetch_sub(rows, Ordering::Relaxed);
        self.gauges
            .dropped
            .fetch_add(rows as u64, Ordering::Relaxed);
        self.tell_losses();
    }

    fn tell_losses(&mut self) {
        let dropped = self.gauges.dropped();
        if dropped > self.lost {
            let rows = dropped - self.lost;
            self.lost = dropped;
            self.journal.info(|| format!("audit: {rows} rows dropped"));
        }
    }

    fn sweep(&mut self) -> bool {
        match self.backend.sweep(now_ms()) {
            Ok(more) => more,
            Err(Trouble::Refused(why) | Trouble::Away(why)) => {
                self.ill(why);
                false
            }
        }
    }

    fn ill(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            self.journal.info(|| format!("audit: {why}"));
            self.trouble = Some(why);
        }
    }
}

/// Answers questions about what is written, on a connection of its own: it waits for no writer,
/// and no writer for it. Not for the threads of workers.
pub(super) struct Reader {
    backend: Option<Box<dyn Backend>>,
}

impl Reader {
    /// Opens nothing yet.
    pub(super) fn new(snapshot: &Snapshot) -> Result<Self, ServerError> {
        let audit = &snapshot.audit;
        let backend = backend(&audit.place, snapshot.ca_file.as_deref(), Terms::of(audit))?;
        Ok(Reader { backend })
    }

    /// Answers; `None`: there is no audit. An error is a phrase for the operator.
    pub(super) fn ask(&mut self, question: &Question) -> Option<Result<Reply, String>> {
        let reply = self.backend.as_mut()?.ask(question);
        Some(reply.map_err(|trouble| match trouble {
            Trouble::Away(why) | Trouble::Refused(why) => why,
        }))
    }
}
