//! What waits, what is lost, and who is held back.

use super::*;
use crate::config::LogFormat;
use crate::server::journal::{self, Level};

fn auditing(world: &World, queue: usize, when_full: WhenFull) -> Auditing {
    let audit = Audit {
        place: world.place.clone(),
        queue,
        when_full,
        ..Audit::none()
    };
    let (journal, writer) = journal::start(Level::Off, LogFormat::default()).unwrap();
    let backend = world.backend(usual());
    let auditing = Auditing::with(backend, &audit, &journal);
    writer.finish();
    auditing
}

fn until(what: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !what() {
        assert!(Instant::now() < end);
        std::thread::yield_now();
    }
}

/// Nobody else writes as long as it lives.
fn lock(world: &World) -> rusqlite::Connection {
    world.backend(usual()).write(&[]).unwrap();
    let lock = rusqlite::Connection::open(world.path()).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    lock
}

#[test]
fn beyond_the_bound_rows_are_dropped_and_counted() {
    let world = World::sqlite("drops");
    let lock = lock(&world);
    let auditing = auditing(&world, 5, WhenFull::Drop);
    let (desk, gauges) = (auditing.desk(), auditing.gauges().unwrap());
    for n in 0..8 {
        desk.note(Box::new(record(n)));
    }
    assert_eq!((gauges.rows(), gauges.dropped()), (5, 3));
    assert!(!desk.holds_back());
    // What no model is asked for is no row, but for who was turned away.
    desk.note(Box::new(Record {
        asks_model: false,
        ..record(9)
    }));
    assert_eq!(gauges.dropped(), 3);
    drop(lock);
    until(|| gauges.rows() == 0);
    desk.note(Box::new(Record {
        asks_model: false,
        outcome: "invalid_key",
        ..record(10)
    }));
    // The end waits for what was noted.
    auditing.finish();
    let mut ids = world.backend(usual()).ids(&Filter::default());
    ids.sort();
    assert_eq!(ids, ["req_0", "req_1", "req_10", "req_2", "req_3", "req_4"]);
}

#[test]
fn where_none_may_be_lost_requests_wait_until_there_is_room() {
    let world = World::sqlite("waits");
    let lock = lock(&world);
    let auditing = auditing(&world, 2, WhenFull::Wait);
    let (desk, gauges) = (auditing.desk(), auditing.gauges().unwrap());
    assert!(!desk.holds_back());
    // Those under way are noted all the same.
    for n in 0..5 {
        desk.note(Box::new(record(n)));
    }
    assert!(desk.holds_back());
    assert_eq!((gauges.rows(), gauges.dropped()), (5, 0));
    drop(lock);
    until(|| !desk.holds_back());
    auditing.finish();
    assert_eq!(world.backend(usual()).ids(&Filter::default()).len(), 5);
}

#[test]
fn what_was_said_counts_by_its_bytes() {
    let world = World::sqlite("heavy");
    let lock = lock(&world);
    let auditing = auditing(&world, 100, WhenFull::Drop);
    let mut heavy = record(0);
    heavy.saying = Some(Box::new(Saying {
        request: Raw {
            bytes: vec![b'a'; limits::AUDIT_QUEUE_BYTES_MAX],
            cut: 0,
        },
        ..Saying::default()
    }));
    // Before the writer has made it small.
    let (desk, gauges) = (auditing.desk(), auditing.gauges().unwrap());
    gauges.rows.fetch_add(1, Ordering::Relaxed);
    gauges.bytes.fetch_add(weight(&heavy), Ordering::Relaxed);
    desk.note(Box::new(record(1)));
    assert_eq!(gauges.dropped(), 1);
    drop(lock);
    auditing.finish();
}

#[test]
fn one_row_that_is_refused_takes_no_other_with_it() {
    struct Picky(Vec<String>, std::sync::mpsc::Sender<Vec<String>>);
    impl Backend for Picky {
        fn write(&mut self, entries: &[Entry]) -> Result<(), Trouble> {
            if entries.iter().any(|e| e.row.id == "req_1") {
                return Err(Trouble::Refused("not this one".to_owned()));
            }
            self.0.extend(entries.iter().map(|e| e.row.id.clone()));
            let _ = self.1.send(self.0.clone());
            Ok(())
        }
        fn sweep(&mut self, _: u64) -> Result<bool, Trouble> {
            Ok(false)
        }
        fn ask(&mut self, _: &Question) -> Result<Reply, Trouble> {
            Err(Trouble::Refused("no answers here".to_owned()))
        }
    }
    let (sender, written) = channel();
    let (journal, writer) = journal::start(Level::Off, LogFormat::default()).unwrap();
    let picky = Box::new(Picky(Vec::new(), sender));
    let auditing = Auditing::with(picky, &Audit::none(), &journal);
    writer.finish();
    let (desk, gauges) = (auditing.desk(), auditing.gauges().unwrap());
    for n in 0..3 {
        desk.note(Box::new(record(n)));
    }
    auditing.finish();
    let all = written.into_iter().last().unwrap();
    assert_eq!(all, ["req_0", "req_2"]);
    assert_eq!((gauges.rows(), gauges.dropped()), (0, 1));
}
