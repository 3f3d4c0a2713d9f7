//! What every database has to do, asked of each.

#[path = "../../../tests/it/cluster.rs"]
pub(in crate::server) mod cluster;
pub(in crate::server) mod postgres;
mod suite;

use super::*;
use crate::config::LogFormat;
use crate::ledger::stored::{Event, Key, Status, Stored};
use crate::server::journal::{self, Level};
use std::path::PathBuf;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{SystemTime, UNIX_EPOCH};

/// A database for one test.
trait World: Sync {
    /// A process that uses it.
    fn backend(&self, terms: Terms) -> Box<dyn Backend>;

    /// Makes it look like one that a newer Strait has written.
    fn age_of_tomorrow(&self);
}

struct SqliteWorld {
    dir: PathBuf,
}

impl SqliteWorld {
    fn new(name: &str) -> Self {
        let name = format!("strait-store-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        SqliteWorld { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.join("strait.db")
    }
}

impl Drop for SqliteWorld {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl World for SqliteWorld {
    fn backend(&self, terms: Terms) -> Box<dyn Backend> {
        Box::new(Sqlite::new(self.path(), terms))
    }

    fn age_of_tomorrow(&self) {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        let version = SCHEMA.version + 1;
        connection
            .pragma_update(None, "user_version", version)
            .unwrap();
    }
}

fn usual() -> Terms {
    Terms::of(&Store::none())
}

fn start(backend: Box<dyn Backend>, terms: Terms) -> Keeping {
    let (journal, writer) = journal::start(Level::Off, LogFormat::Text).unwrap();
    let keeping = Keeping::with(backend, terms.sweep_every, &journal).unwrap();
    writer.finish();
    keeping
}

fn desk(world: &dyn World, terms: Terms) -> Keeping {
    start(world.backend(terms), terms)
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}

impl Keeping {
    fn reply(&self, ask: Ask) -> Reply {
        wait(self.desk.ask(ask))
    }

    fn put(&self, stored: &Stored) -> Reply {
        self.reply(Ask::Put(Box::new(stored.clone())))
    }

    fn found(&self, key: &Key) -> Stored {
        match self.reply(Ask::Get(key.clone())) {
            Reply::Found(stored) => *stored,
            other => panic!("{key:?}: {other:?}"),
        }
    }

    fn is_missing(&self, key: &Key) -> bool {
        match self.reply(Ask::Get(key.clone())) {
            Reply::Missing => true,
            Reply::Found(_) => false,
            other => panic!("{key:?}: {other:?}"),
        }
    }

    fn events(&self, key: &Key, after: Option<u64>) -> (Vec<Event>, Status) {
        match self.reply(Ask::Events(key.clone(), after)) {
            Reply::Events(events, status) => (events, status),
            other => panic!("{key:?}: {other:?}"),
        }
    }
}

fn sweep(world: &dyn World, terms: Terms) {
    let mut backend = world.backend(terms);
    while backend.sweep().unwrap() {}
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap().as_secs()
}

fn key(id: &str, owner: &str) -> Key {
    let (id, owner) = (id.to_owned(), owner.to_owned());
    Key { id, owner }
}

fn completed(id: &str, owner: &str) -> Stored {
    Stored {
        key: key(id, owner),
        created_at: now(),
        status: Status::Completed,
        background: false,
        streamed: true,
        response: format!(r#"{{"id":"{id}","status":"completed"}}"#).into_bytes(),
        input: br#"{"id":"msg_1","role":"user"},"#.repeat(50),
    }
}

fn background(id: &str, owner: &str) -> Stored {
    Stored {
        status: Status::InProgress,
        background: true,
        response: format!(r#"{{"id":"{id}","status":"in_progress","error":null}}"#).into_bytes(),
        ..completed(id, owner)
    }
}

fn event(number: u64) -> Event {
    let data = format!(r#"{{"sequence_number":{number}}}"#).into_bytes();
    Event { number, data }
}

/// Bytes that no compression makes smaller.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2) | 1;
    let step = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// Says `Kept` to everything but a response of that name.
struct Picky {
    refused: &'static str,
}

impl Backend for Picky {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Reply>, Trouble> {
        let bad = |ask: &Ask| matches!(ask, Ask::Get(key) if key.id == self.refused);
        match asks.iter().any(bad) {
            true => Err(Trouble::Refused("not this one".to_owned())),
            false => Ok(vec![Reply::Kept; asks.len()]),
        }
    }

    fn sweep(&mut self) -> Result<bool, Trouble> {
        Ok(false)
    }
}

fn keeper(waiting: Arc<Waiting>) -> Keeper {
    let (journal, writer) = journal::start(Level::Off, LogFormat::Text).unwrap();
    writer.finish();
    Keeper {
        backend: Box::new(Picky { refused: "bad" }),
        sweep_every: limits::STORE_SWEEP_EVERY,
        waiting,
        journal,
        trouble: None,
    }
}

#[test]
fn one_bad_question_harms_no_other() {
    let (desk, questions, waiting) = queue();
    let get = |id| Ask::Get(key(id, ""));
    let replies = ["a", "bad", "c"].map(|id| desk.ask(get(id)));
    let door = desk.door.as_ref().unwrap();
    door.questions.send(None).unwrap();
    keeper(waiting).run(&questions);
    let replies = replies.map(wait);
    let failed = failed("not this one");
    assert_eq!(replies, [Reply::Kept, failed, Reply::Kept]);
}

#[test]
fn beyond_its_limits_the_queue_refuses_at_once() {
    let (desk, questions, waiting) = queue();
    let full = Reply::Failed("too much waits for the store".to_owned());
    // Held, or the keeper would leave them out.
    let many: Vec<_> = (0..limits::STORE_QUEUE_MAX)
        .map(|_| desk.ask(Ask::Get(key("a", ""))))
        .collect();
    assert_eq!(wait(desk.ask(Ask::Get(key("b", "")))), full);
    let door = desk.door.as_ref().unwrap();
    door.questions.send(None).unwrap();
    keeper(waiting.clone()).run(&questions);
    assert!(many.into_iter().map(wait).all(|r| r == Reply::Kept));
    assert_eq!(waiting.questions.load(Ordering::Relaxed), 0);
    assert_eq!(waiting.bytes.load(Ordering::Relaxed), 0);
    // As many bytes as there may be, though few questions.
    let mut large = completed("large", "");
    large.input = Vec::new();
    large.response = vec![0; limits::STORE_QUEUE_BYTES_MAX - 1000];
    let held = desk.ask(Ask::Put(Box::new(large)));
    let mut small = completed("small", "");
    small.response = vec![0; 2000];
    assert_eq!(wait(desk.ask(Ask::Put(Box::new(small)))), full);
    drop(questions);
    assert_eq!(wait(held), failed("the store has stopped"));
    // And where there is none, that is said.
    let none = Desk { door: None };
    let reply = wait(none.ask(Ask::Get(key("a", ""))));
    assert_eq!(reply, failed("there is no store"));
}

#[test]
fn the_file_shrinks_with_what_is_in_it() {
    let world = SqliteWorld::new("shrinks");
    let store = desk(&world, usual());
    for n in 0..200 {
        let mut large = completed(&format!("resp_{n}"), "me");
        large.input = noise(n, 100_000);
        assert_eq!(store.put(&large), Reply::Kept);
    }
    store.finish();
    let terms = Terms {
        max_bytes: 1_000_000,
        ..usual()
    };
    sweep(&world, terms);
    // The last connection to close has brought everything into the file.
    let bytes = std::fs::metadata(world.path()).unwrap().len();
    assert!(bytes < 6_000_000, "{bytes}");
}
