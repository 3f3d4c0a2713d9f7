//! The store of responses: one thread, one database, many who ask.
//!
//! ```text
//! workers ──Ask──▶ Desk ──queue──▶ Keeper ──all that waits, in one transaction──▶ Backend
//!         ◀─────────────Reply────────────┘
//! ```
//!
//! No worker waits for a disk: what a question costs them is a message. The keeper takes all
//! questions that wait, in their order, and commits them together; so a reader waits for two
//! transactions at most, however many writers there are. What is too old or too much goes in
//! small steps between the questions.

mod postgres;
mod sqlite;
#[cfg(test)]
pub(super) mod tests;
mod till;

use super::ServerError;
use super::database::place;
use super::database::{Schema, Trouble};
use super::journal::Journal;
use super::wire::Local;
use crate::config::{Place, Store};
use crate::ledger::stored::{Ask, Reply};
use crate::limits;
use futures_channel::oneshot;
use postgres::Postgres;
use sqlite::Sqlite;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
pub use till::{Cost, Till};

/// Most questions, and about most bytes, in one transaction.
const BATCH_MAX: usize = 256;
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The tables here. Files are marked with "Strt".
const SCHEMA: Schema = Schema {
    application: 0x5374_7274,
    table: "strait_schema",
    version: 1,
};

/// Makes the place of the store, or finds out that it cannot be used.
pub fn settle(store: &mut Store) -> Result<(), ServerError> {
    if !store.chosen && !store.keeps() {
        eprintln!("strait: no store of responses: neither STATE_DIRECTORY nor HOME is set.");
    }
    let names = ("store of responses", "store");
    place::settle(&mut store.place, store.chosen, &SCHEMA, names).map_err(ServerError::Store)
}

/// For how long things are kept, and how much.
#[derive(Clone, Copy, Debug)]
struct Terms {
    max_age: Duration,
    max_bytes: u64,
    /// After so much silence a background response has failed.
    silence: Duration,
    /// How long the events of a response stay after its end.
    events_kept: Duration,
    /// How often what has to go is looked for.
    sweep_every: Duration,
}

impl Terms {
    fn of(store: &Store) -> Self {
        Terms {
            max_age: store.max_age,
            max_bytes: store.max_bytes,
            silence: limits::BACKGROUND_SILENCE,
            events_kept: limits::STORE_EVENTS_KEPT,
            sweep_every: limits::STORE_SWEEP_EVERY,
        }
    }
}

/// A database.
trait Backend: Send {
    /// Called once, before the first question.
    fn begin(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    /// Answers the questions in one transaction, in their order; all of them or none.
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Reply>, Trouble>;

    /// Takes away a little of what is too old or too much, and fails background responses
    /// without a worker. True if there is more to do.
    fn sweep(&mut self) -> Result<bool, Trouble>;
}

struct Question {
    ask: Ask,
    bytes: usize,
    answer: oneshot::Sender<Reply>,
}

/// How much waits.
#[derive(Debug, Default)]
struct Waiting {
    questions: AtomicUsize,
    bytes: AtomicUsize,
}

impl Waiting {
    /// False if there is no room.
    fn enter(&self, bytes: usize) -> bool {
        let questions = self.questions.fetch_add(1, Ordering::Relaxed) + 1;
        let all = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let room = questions <= limits::STORE_QUEUE_MAX && all <= limits::STORE_QUEUE_BYTES_MAX;
        if !room {
            self.leave(1, bytes);
        }
        room
    }

    fn leave(&self, questions: usize, bytes: usize) {
        self.questions.fetch_sub(questions, Ordering::Relaxed);
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Where workers ask; cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    /// `None`: there is no store.
    door: Option<Door>,
}

#[derive(Clone)]
struct Door {
    /// `None` ends the thread, as in [`super::journal`].
    questions: Sender<Option<Question>>,
    waiting: Arc<Waiting>,
}

impl Desk {
    /// Asks. The question is carried out also if nobody waits for the answer.
    pub(super) fn ask(&self, ask: Ask) -> Local<Reply> {
        match self.send(ask) {
            Ok(receiver) => Box::pin(async move {
                let lost = |_| failed("the store has stopped");
                receiver.await.unwrap_or_else(lost)
            }),
            Err(why) => Box::pin(std::future::ready(failed(why))),
        }
    }

    fn send(&self, ask: Ask) -> Result<oneshot::Receiver<Reply>, &'static str> {
        let door = self.door.as_ref().ok_or("there is no store")?;
        let bytes = weight(&ask);
        if !door.waiting.enter(bytes) {
            return Err("too much waits for the store");
        }
        let (answer, receiver) = oneshot::channel();
        let question = Question { ask, bytes, answer };
        // A thread that has gone drops the question, which the receiver sees.
        let _ = door.questions.send(Some(question));
        Ok(receiver)
    }
}

fn failed(why: &str) -> Reply {
    Reply::Failed(why.to_owned())
}

/// About how many bytes a question holds.
fn weight(ask: &Ask) -> usize {
    size_of::<Question>()
        + match ask {
            Ask::Put(stored) => stored.response.len() + stored.input.len(),
            Ask::Append(_, events) => events.iter().map(|e| e.data.len()).sum(),
            _ => 0,
        }
}

/// The thread of the store, ended and waited for by [`Keeping::finish`].
pub(super) struct Keeping {
    desk: Desk,
    thread: Option<JoinHandle<()>>,
}

impl Keeping {
    /// Starts the thread, if anything is kept.
    pub(super) fn start(
        store: &Store,
        ca_file: Option<&Path>,
        journal: &Journal,
    ) -> Result<Self, ServerError> {
        let terms = Terms::of(store);
        let backend: Box<dyn Backend> = match &store.place {
            Place::Nowhere => {
                return Ok(Keeping {
                    desk: Desk { door: None },
                    thread: None,
                });
            }
            Place::Sqlite(path) => Box::new(Sqlite::new(path.clone(), terms)),
            Place::Postgres(database) => Box::new(Postgres::new(database, ca_file, terms)?),
        };
        let started = Self::with(backend, terms.sweep_every, journal);
        started.map_err(|e| ServerError::Store(format!("{}: {e}", store.place)))
    }

    fn with(
        backend: Box<dyn Backend>,
        sweep_every: Duration,
        journal: &Journal,
    ) -> io::Result<Self> {
        let (desk, questions, waiting) = queue();
        let keeper = Keeper {
            backend,
            sweep_every,
            waiting,
            journal: journal.clone(),
            trouble: None,
        };
        let thread = std::thread::Builder::new()
            .name("strait-store".to_owned())
            .spawn(move || keeper.run(&questions))?;
        Ok(Keeping {
            desk,
            thread: Some(thread),
        })
    }

    /// A handle for a worker.
    pub(super) fn desk(&self) -> Desk {
        self.desk.clone()
    }

    /// Ends the thread. What was asked before is done first.
    pub(super) fn finish(self) {
        if let Some(door) = &self.desk.door {
            let _ = door.questions.send(None);
        }
        if let Some(thread) = self.thread {
            let _ = thread.join();
        }
    }
}

fn queue() -> (Desk, Receiver<Option<Question>>, Arc<Waiting>) {
    let (questions, receiver) = channel();
    let waiting = Arc::new(Waiting::default());
    let door = Door {
        questions,
        waiting: waiting.clone(),
    };
    (Desk { door: Some(door) }, receiver, waiting)
}

/// The thread that owns the database.
struct Keeper {
    backend: Box<dyn Backend>,
    sweep_every: Duration,
    waiting: Arc<Waiting>,
    journal: Journal,
    /// What was last told to the operator, until the database answers again.
    trouble: Option<String>,
}

impl Keeper {
    fn run(mut self, questions: &Receiver<Option<Question>>) {
        if let Err(Trouble::Away(why) | Trouble::Refused(why)) = self.backend.begin() {
            self.ill(why);
        }
        let mut sweep_at = Instant::now() + self.sweep_every;
        loop {
            let wait = sweep_at.saturating_duration_since(Instant::now());
            match questions.recv_timeout(wait) {
                Ok(Some(first)) => {
                    let (batch, last) = batch(first, questions);
                    self.serve(batch);
                    if last {
                        return;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(None) | Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= sweep_at {
                let pause = match self.sweep() {
                    true => Duration::ZERO,
                    false => self.sweep_every,
                };
                sweep_at = Instant::now() + pause;
            }
        }
    }

    fn serve(&mut self, mut batch: Vec<Question>) {
        let (count, bytes) = (batch.len(), batch.iter().map(|q| q.bytes).sum());
        // Who only wanted to know, and has gone, needs no answer.
        batch.retain(|q| {
            let only_asks = matches!(q.ask, Ask::Get(_) | Ask::Events(..));
            !(only_asks && q.answer.is_canceled())
        });
        let (asks, answers): (Vec<Ask>, Vec<_>) =
            batch.into_iter().map(|q| (q.ask, q.answer)).unzip();
        let replies = self.answer(&asks);
        self.waiting.leave(count, bytes);
        for (answer, reply) in answers.into_iter().zip(replies) {
            let _ = answer.send(reply);
        }
    }

    fn answer(&mut self, asks: &[Ask]) -> Vec<Reply> {
        match self.backend.answer(asks) {
            Ok(replies) => {
                self.well();
                replies
            }
            Err(Trouble::Refused(_)) if asks.len() > 1 => {
                asks.chunks(1).flat_map(|one| self.answer(one)).collect()
            }
            Err(Trouble::Refused(why) | Trouble::Away(why)) => {
                let replies = vec![failed(&why); asks.len()];
                self.ill(why);
                replies
            }
        }
    }

    fn sweep(&mut self) -> bool {
        match self.backend.sweep() {
            Ok(more) => {
                self.well();
                more
            }
            Err(Trouble::Refused(why) | Trouble::Away(why)) => {
                self.ill(why);
                false
            }
        }
    }

    fn ill(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            self.journal.info(|| format!("store: {why}"));
            self.trouble = Some(why);
        }
    }

    fn well(&mut self) {
        if self.trouble.take().is_some() {
            self.journal.info(|| "store: works again".to_owned());
        }
    }
}

/// All that waits, up to a limit; and whether the end came after it.
fn batch(first: Question, questions: &Receiver<Option<Question>>) -> (Vec<Question>, bool) {
    let mut bytes = first.bytes;
    let mut batch = vec![first];
    while batch.len() < BATCH_MAX && bytes < BATCH_BYTES {
        match questions.try_recv() {
            Ok(Some(question)) => {
                bytes += question.bytes;
                batch.push(question);
            }
            Ok(None) => return (batch, true),
            Err(_) => break,
        }
    }
    (batch, false)
}
