//! What every database has to do for the audit, asked of each; and what the queue does.

mod queue;
mod suite;

use super::*;
use crate::config::Database;
use crate::ledger::audit::{Bodies, Bucket, Cursor, Filter, Group as By, Page, Row, Said};
use crate::ledger::raw::{Raw, Saying};
use crate::ledger::record::Try;
use crate::ledger::usage::Usage;
use crate::server::store::tests::cluster::Cluster;
use crate::server::store::tests::postgres as server;
use std::path::PathBuf;

/// A place for one test.
struct World {
    place: Place,
    dir: Option<PathBuf>,
}

impl World {
    fn sqlite(name: &str) -> World {
        let name = format!("strait-audit-{name}-{}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&dir);
        World {
            place: Place::Sqlite(dir.join("audit.db")),
            dir: Some(dir),
        }
    }

    fn postgres(database: Database) -> World {
        World {
            place: Place::Postgres(database),
            dir: None,
        }
    }

    /// A process that uses it.
    fn backend(&self, terms: Terms) -> Box<dyn Backend> {
        backend(&self.place, None, terms).unwrap().unwrap()
    }

    fn path(&self) -> &Path {
        match &self.place {
            Place::Sqlite(path) => path,
            other => panic!("{other}"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(dir) = &self.dir {
            let _ = std::fs::remove_dir_all(dir);
        }
    }
}

fn usual() -> Terms {
    Terms::of(&Audit::none())
}

/// A time on which hours and days are counted: 2026-11-20, 00:00.
const DAY: u64 = 1_795_132_800_000;
const HOUR: u64 = 3_600_000;

fn record(n: u64) -> Record {
    Record {
        id: format!("req_{n}"),
        method: "POST".to_owned(),
        path: "/v1/responses".to_owned(),
        asks_model: true,
        key: "team".to_owned(),
        session: "s-1".to_owned(),
        thread: format!("t-{n}"),
        turn: "turn".to_owned(),
        agent: "codex_exec/0.169.0".to_owned(),
        model: "gpt-x".to_owned(),
        served: "gpt-x-2026".to_owned(),
        tries: vec![Try {
            provider: "mock".to_owned(),
            model: "m".to_owned(),
            status: 200,
            error: "",
            took: Duration::from_millis(40),
            ..Try::default()
        }],
        status: 200,
        outcome: "completed",
        stop: "stop".to_owned(),
        usage: Some(Usage {
            input: 100,
            cached: 60,
            cache_write: 5,
            output: 10,
            reasoning: 3,
        }),
        cost_nanos: Some(1_000),
        streamed: true,
        diagnostics: "dropped_field top_logprobs".to_owned(),
        first_event: Some(Duration::from_millis(20)),
        took: Duration::from_millis(50),
        request_bytes: 300,
        upstream_bytes: 2_000,
        answer_bytes: 4_000,
        ..Record::default()
    }
}

/// The entry of an exchange that began at `started_ms`.
fn entry(record: Record, started_ms: u64) -> Entry {
    let ended_ms = started_ms + record.took.as_millis() as u64;
    Entry::of(record, ended_ms, &Redactor::default())
}

/// As many rows, a second apart, the first one at [`DAY`].
fn rows(count: u64) -> Vec<Entry> {
    (0..count)
        .map(|n| entry(record(n), DAY + n * 1000))
        .collect()
}

impl dyn Backend + '_ {
    fn page(&mut self, filter: &Filter, after: Option<Cursor>, most: usize) -> Page {
        match self.ask(&Question::Page(Box::new(filter.clone()), after, most)) {
            Ok(Reply::Page(page)) => page,
            other => panic!("{other:?}"),
        }
    }

    /// The ids of all that is found.
    fn ids(&mut self, filter: &Filter) -> Vec<String> {
        let page = self.page(filter, None, limits::AUDIT_PAGE_MAX);
        page.rows.into_iter().map(|row| row.id).collect()
    }

    fn found(&mut self, text: &str) -> Vec<String> {
        let text = text.to_owned();
        self.ids(&Filter {
            text,
            ..Filter::default()
        })
    }

    fn usage(&mut self, from_ms: u64, until_ms: u64, step: Step, group: By) -> Vec<Bucket> {
        let question = Question::Usage {
            from_ms,
            until_ms,
            step,
            group,
        };
        match self.ask(&question) {
            Ok(Reply::Usage(buckets)) => buckets,
            other => panic!("{other:?}"),
        }
    }

    fn detail(&mut self, number: u64) -> Option<Box<Detail>> {
        match self.ask(&Question::Detail(number)) {
            Ok(Reply::Detail(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }
}
