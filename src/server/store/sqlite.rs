//! The store in an SQLite file: for one machine, with nothing to set up.

use super::{Backend, SCHEMA, Terms};
use crate::ledger::ending;
use crate::ledger::stored::{Ask, Event, Key, Reply, Status, Stored};
use crate::limits;
use crate::server::database::packed::{pack, unpack};
use crate::server::database::sqlite::{self, File};
use crate::server::database::{Trouble, millis, whole};
use rusqlite::types::Type;
use rusqlite::{
    Connection, OptionalExtension, Row, Transaction, TransactionBehavior, named_params, params,
};
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// Most responses in a step of a sweep.
const STEP_RESPONSES: usize = 32;
/// Most events in a step of a sweep.
const STEP_EVENTS: usize = 1000;
pub(super) const TABLES: &str = "
CREATE TABLE responses (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at INTEGER NOT NULL,               -- Unix seconds
    status TEXT NOT NULL,
    background INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    heartbeat INTEGER NOT NULL,                -- Unix milliseconds
    ended_at INTEGER,                          -- Unix milliseconds
    has_events INTEGER NOT NULL DEFAULT 0,
    response BLOB NOT NULL,
    input BLOB NOT NULL,
    UNIQUE (id, owner)
);
CREATE INDEX responses_by_age ON responses (created_at);
CREATE INDEX responses_open ON responses (heartbeat) WHERE status IN ('queued', 'in_progress');
CREATE INDEX responses_with_events ON responses (ended_at) WHERE has_events;
CREATE TABLE events (
    response INTEGER NOT NULL,
    number INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (response, number)
) WITHOUT ROWID;
";

const PUT: &str = "
INSERT INTO responses (id, owner, created_at, status, background, streamed, heartbeat, ended_at,
    response, input)
VALUES (:id, :owner, :created_at, :status, :background, :streamed, :now, :ended_at,
    :response, :input)
ON CONFLICT (id, owner) DO UPDATE SET status = excluded.status, heartbeat = excluded.heartbeat,
    ended_at = excluded.ended_at, response = excluded.response, input = excluded.input
WHERE status IN ('queued', 'in_progress')";

/// A file, opened when it is needed.
pub(super) struct Sqlite {
    file: File,
    terms: Terms,
}

impl Sqlite {
    pub(super) fn new(path: PathBuf, terms: Terms) -> Self {
        let file = File::new(path, &SCHEMA, TABLES);
        Sqlite { file, terms }
    }
}

fn transact<T>(
    connection: &mut Connection,
    terms: Terms,
    act: impl FnOnce(&Desktop<'_>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    // A reader may have to write that a response has failed, and cannot become a writer later.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let desktop = Desktop {
        now: now.map_or(0, millis),
        transaction,
        terms,
    };
    let result = act(&desktop)?;
    desktop.transaction.commit()?;
    Ok(result)
}

impl Backend for Sqlite {
    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Reply>, Trouble> {
        let all = |desktop: &Desktop<'_>| asks.iter().map(|ask| desktop.answer(ask)).collect();
        self.file
            .with(|connection| transact(connection, self.terms, all))
    }

    fn sweep(&mut self) -> Result<bool, Trouble> {
        let step = |desktop: &Desktop<'_>| desktop.sweep();
        self.file
            .sweep(|connection| transact(connection, self.terms, step))
    }
}

/// A transaction, and what holds in it.
struct Desktop<'a> {
    transaction: Transaction<'a>,
    terms: Terms,
    /// Unix milliseconds.
    now: i64,
}

impl Desktop<'_> {
    fn answer(&self, ask: &Ask) -> Result<Reply, Trouble> {
        match ask {
            Ask::Put(stored) => self.put(stored),
            Ask::Get(key) => Ok(self.find(key)?.map_or(Reply::Missing, found)),
            Ask::Delete(key) => self.delete(key),
            Ask::Append(key, events) => self.append(key, events),
            Ask::Events(key, after) => self.events(key, *after),
            Ask::Cancel(key) => self.cancel(key),
        }
    }

    fn put(&self, stored: &Stored) -> Result<Reply, Trouble> {
        let key = &stored.key;
        let is_final = stored.status.is_final();
        let before = self.status(key)?;
        match before {
            Some(Status::Cancelled) => return Ok(Reply::Cancelled),
            Some(status) if status.is_final() => return Ok(Reply::Kept),
            // It was begun, and deleted since.
            None if stored.background && is_final => return Ok(Reply::Cancelled),
            _ => {}
        }
        self.transaction
            .prepare_cached(PUT)?
            .execute(named_params! {
                ":id": key.id,
                ":owner": key.owner,
                ":created_at": whole(stored.created_at),
                ":status": stored.status.name(),
                ":background": stored.background,
                ":streamed": stored.streamed,
                ":now": self.now,
                ":ended_at": is_final.then_some(self.now),
                ":response": pack(&stored.response).map_err(Trouble::Refused)?,
                ":input": pack(&stored.input).map_err(Trouble::Refused)?,
            })?;
        Ok(Reply::Kept)
    }

    fn status(&self, key: &Key) -> Result<Option<Status>, Trouble> {
        let mut statement = self
            .transaction
            .prepare_cached("SELECT status FROM responses WHERE id = ?1 AND owner = ?2")?;
        let status = statement.query_row([&key.id, &key.owner], |row| status_at(row, 0));
        Ok(status.optional()?)
    }

    /// The response, and its row. One whose worker has gone has failed by then.
    fn find(&self, key: &Key) -> Result<Option<(i64, Stored)>, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT row, created_at, status, background, streamed, heartbeat, response, input
             FROM responses WHERE id = ?1 AND owner = ?2",
        )?;
        let found = statement.query_row([&key.id, &key.owner], |row| {
            let packed: (Vec<u8>, Vec<u8>) = (row.get(6)?, row.get(7)?);
            let stored = Stored {
                key: key.clone(),
                created_at: row.get::<_, i64>(1)?.unsigned_abs(),
                status: status_at(row, 2)?,
                background: row.get(3)?,
                streamed: row.get(4)?,
                response: Vec::new(),
                input: Vec::new(),
            };
            Ok((row.get(0)?, row.get(5)?, stored, packed))
        });
        let Some((row, heartbeat, mut stored, packed)) = found.optional()? else {
            return Ok(None);
        };
        stored.response = unpack(&packed.0).map_err(Trouble::Refused)?;
        stored.input = unpack(&packed.1).map_err(Trouble::Refused)?;
        if stored.background && !stored.status.is_final() && self.is_silent(heartbeat) {
            stored.status = Status::Failed;
            stored.response = ending::lost(&stored.response);
            self.end(row, stored.status, &stored.response)?;
        }
        Ok(Some((row, stored)))
    }

    fn is_silent(&self, heartbeat: i64) -> bool {
        heartbeat <= self.now - millis(self.terms.silence)
    }

    fn end(&self, row: i64, status: Status, response: &[u8]) -> Result<(), Trouble> {
        let packed = pack(response).map_err(Trouble::Refused)?;
        let mut statement = self.transaction.prepare_cached(
            "UPDATE responses SET status = ?2, ended_at = ?3, response = ?4 WHERE row = ?1",
        )?;
        statement.execute(params![row, status.name(), self.now, packed])?;
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<Reply, Trouble> {
        let mut statement = self
            .transaction
            .prepare_cached("DELETE FROM responses WHERE id = ?1 AND owner = ?2 RETURNING row")?;
        let row = statement.query_row([&key.id, &key.owner], |row| row.get(0));
        match row.optional()? {
            Some(row) => {
                self.delete_events(row)?;
                Ok(Reply::Kept)
            }
            None => Ok(Reply::Missing),
        }
    }

    fn delete_events(&self, row: i64) -> Result<(), Trouble> {
        let mut statement = self
            .transaction
            .prepare_cached("DELETE FROM events WHERE response = ?1")?;
        statement.execute([row])?;
        Ok(())
    }

    fn append(&self, key: &Key, events: &[Event]) -> Result<Reply, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "UPDATE responses SET heartbeat = ?3, has_events = max(has_events, ?4)
             WHERE id = ?1 AND owner = ?2 AND status <> 'cancelled' RETURNING row",
        )?;
        let given = params![key.id, key.owner, self.now, !events.is_empty()];
        let row: Option<i64> = statement.query_row(given, |row| row.get(0)).optional()?;
        let Some(row) = row else {
            return Ok(match self.status(key)? {
                Some(_) => Reply::Cancelled,
                None => Reply::Missing,
            });
        };
        let mut statement = self.transaction.prepare_cached(
            "INSERT OR IGNORE INTO events (response, number, data) VALUES (?1, ?2, ?3)",
        )?;
        for event in events {
            statement.execute(params![row, whole(event.number), event.data])?;
        }
        Ok(Reply::Kept)
    }

    fn events(&self, key: &Key, after: Option<u64>) -> Result<Reply, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT row, status, background, heartbeat FROM responses
             WHERE id = ?1 AND owner = ?2",
        )?;
        let found = statement.query_row([&key.id, &key.owner], |row| {
            let fields: (i64, bool, i64) = (row.get(0)?, row.get(2)?, row.get(3)?);
            Ok((fields, status_at(row, 1)?))
        });
        let Some(((row, background, heartbeat), mut status)) = found.optional()? else {
            return Ok(Reply::Missing);
        };
        if background && !status.is_final() && self.is_silent(heartbeat) {
            status = self.find(key)?.map_or(status, |(_, stored)| stored.status);
        }
        let mut statement = self.transaction.prepare_cached(
            "SELECT number, data FROM events WHERE response = ?1 AND number > ?2
             ORDER BY number LIMIT ?3",
        )?;
        let most = limits::STORE_EVENTS_MAX as i64;
        let mut rows = statement.query(params![row, after.map_or(-1, whole), most])?;
        let mut events = Vec::new();
        let mut bytes = 0;
        while bytes < limits::STORE_EVENTS_BYTES
            && let Some(row) = rows.next()?
        {
            let event = Event {
                number: row.get::<_, i64>(0)?.unsigned_abs(),
                data: row.get(1)?,
            };
            bytes += event.data.len();
            events.push(event);
        }
        Ok(Reply::Events(events, status))
    }

    fn cancel(&self, key: &Key) -> Result<Reply, Trouble> {
        let Some((row, mut stored)) = self.find(key)? else {
            return Ok(Reply::Missing);
        };
        if stored.background && !stored.status.is_final() {
            stored.status = Status::Cancelled;
            stored.response = ending::cancelled(&stored.response);
            self.end(row, stored.status, &stored.response)?;
        }
        Ok(found((row, stored)))
    }

    /// A step; true if there is more to do.
    fn sweep(&self) -> Result<bool, Trouble> {
        let more = self.sweep_silent()?;
        let more = self.sweep_events()? || more;
        let more = self.sweep_old()? || more;
        Ok(self.sweep_size()? || more)
    }

    fn sweep_silent(&self) -> Result<bool, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT id, owner FROM responses WHERE status IN ('queued', 'in_progress')
             AND background AND heartbeat <= ?1 LIMIT ?2",
        )?;
        let given = params![self.now - millis(self.terms.silence), STEP_RESPONSES as i64];
        let silent = statement.query_map(given, |row| {
            let (id, owner) = (row.get(0)?, row.get(1)?);
            Ok(Key { id, owner })
        })?;
        let silent = silent.collect::<Result<Vec<_>, _>>()?;
        for key in &silent {
            self.find(key)?;
        }
        Ok(silent.len() == STEP_RESPONSES)
    }

    fn sweep_events(&self) -> Result<bool, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "SELECT row FROM responses WHERE has_events AND ended_at <= ?1 LIMIT 1",
        )?;
        let given = [self.now - millis(self.terms.events_kept)];
        let row: Option<i64> = statement.query_row(given, |row| row.get(0)).optional()?;
        let Some(row) = row else {
            return Ok(false);
        };
        let mut statement = self.transaction.prepare_cached(
            "DELETE FROM events WHERE response = ?1 AND number IN
             (SELECT number FROM events WHERE response = ?1 LIMIT ?2)",
        )?;
        if statement.execute(params![row, STEP_EVENTS as i64])? < STEP_EVENTS {
            let mut statement = self
                .transaction
                .prepare_cached("UPDATE responses SET has_events = 0 WHERE row = ?1")?;
            statement.execute([row])?;
        }
        Ok(true)
    }

    fn sweep_old(&self) -> Result<bool, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "DELETE FROM responses WHERE row IN (SELECT row FROM responses
             WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2) RETURNING row",
        )?;
        let before = (self.now - millis(self.terms.max_age)) / 1000;
        let rows = statement.query_map(params![before, STEP_RESPONSES as i64], |row| row.get(0))?;
        let rows = rows.collect::<Result<Vec<i64>, _>>()?;
        for row in &rows {
            self.delete_events(*row)?;
        }
        Ok(rows.len() == STEP_RESPONSES)
    }

    /// The oldest go first; those that are not done yet stay.
    fn sweep_size(&self) -> Result<bool, Trouble> {
        let mut statement = self.transaction.prepare_cached(
            "DELETE FROM responses WHERE row = (SELECT row FROM responses
             WHERE ended_at IS NOT NULL ORDER BY created_at LIMIT 1) RETURNING row",
        )?;
        for _ in 0..STEP_RESPONSES {
            if sqlite::bytes(&self.transaction)? <= self.terms.max_bytes {
                return Ok(false);
            }
            let row = statement.query_row([], |row| row.get(0)).optional()?;
            match row {
                Some(row) => self.delete_events(row)?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

fn found((_, stored): (i64, Stored)) -> Reply {
    Reply::Found(Box::new(stored))
}

fn status_at(row: &Row<'_>, index: usize) -> rusqlite::Result<Status> {
    let name = row.get_ref(index)?.as_str()?;
    let unknown = || rusqlite::Error::InvalidColumnType(index, name.to_owned(), Type::Text);
    Status::named(name).ok_or_else(unknown)
}
