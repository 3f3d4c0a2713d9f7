//! The questions, as statements of PostgreSQL.

use super::super::Terms;
use crate::ledger::ending;
use crate::ledger::stored::{Ask, Event, Key, Reply, Status, Stored};
use crate::limits;
use crate::server::database::packed::{pack, unpack};
use crate::server::database::postgres::{LOCK, Transaction};
use crate::server::database::{Trouble, millis, whole};
use postgres::Row;
use postgres::types::ToSql;

/// Most responses in a step of a sweep.
const STEP_RESPONSES: i64 = 32;
/// Most events in a step of a sweep.
const STEP_EVENTS: i64 = 1000;

/// The time of the transaction, in Unix milliseconds.
macro_rules! now {
    () => {
        "(extract(epoch FROM now()) * 1000)::bigint"
    };
}

/// Nothing more will change unless it holds.
macro_rules! open {
    () => {
        "status IN ('queued', 'in_progress')"
    };
}

const BEGIN: &str = concat!(
    "INSERT INTO strait_responses AS kept (id, owner, created_at, status, background, streamed,
        heartbeat, ended_at, bytes, response, input)
     VALUES ($1, $2, $3, $4, $5, $6, ",
    now!(),
    ", CASE WHEN $4 NOT IN ('queued', 'in_progress') THEN ",
    now!(),
    " END, $7, $8, $9)
     ON CONFLICT (id, owner) DO UPDATE SET status = excluded.status,
        heartbeat = excluded.heartbeat, ended_at = excluded.ended_at, bytes = excluded.bytes,
        response = excluded.response, input = excluded.input
     WHERE kept.",
    open!()
);

const END: &str = concat!(
    "UPDATE strait_responses SET status = $3, heartbeat = ",
    now!(),
    ", ended_at = ",
    now!(),
    ", bytes = $4, response = $5, input = $6 WHERE id = $1 AND owner = $2 AND ",
    open!()
);

const STATUS: &str = "SELECT status FROM strait_responses WHERE id = $1 AND owner = $2";

const FIND: &str = concat!(
    "SELECT seq, created_at, status, background, streamed, response, input, background AND ",
    open!(),
    " AND heartbeat <= ",
    now!(),
    " - $3 FROM strait_responses WHERE id = $1 AND owner = $2"
);

/// The same, and nobody changes it before this transaction ends.
const FIND_TO_CHANGE: &str = concat!(
    "SELECT seq, created_at, status, background, streamed, response, input, background AND ",
    open!(),
    " AND heartbeat <= ",
    now!(),
    " - $3 FROM strait_responses WHERE id = $1 AND owner = $2 FOR UPDATE"
);

const CHANGE: &str = concat!(
    "UPDATE strait_responses SET status = $2, ended_at = ",
    now!(),
    ", bytes = bytes - octet_length(response) + octet_length($3::bytea), response = $3 WHERE seq = $1"
);

const DELETE: &str = "DELETE FROM strait_responses WHERE id = $1 AND owner = $2";

const APPEND: &str = concat!(
    "WITH kept AS (
        UPDATE strait_responses SET heartbeat = ",
    now!(),
    ", events_bytes = events_bytes + $3
        WHERE id = $1 AND owner = $2 AND status <> 'cancelled' RETURNING seq
     ), added AS (
        INSERT INTO strait_events (response, number, data)
        SELECT kept.seq, event.number, event.data
        FROM kept, unnest($4::bigint[], $5::bytea[]) AS event (number, data)
        ON CONFLICT DO NOTHING
     )
     SELECT seq FROM kept"
);

const LOOK: &str = concat!(
    "SELECT seq, status, background AND ",
    open!(),
    " AND heartbeat <= ",
    now!(),
    " - $3 FROM strait_responses WHERE id = $1 AND owner = $2"
);

/// So many of the next events as have so many bytes before them at most.
const EVENTS: &str = "
    SELECT number, data FROM (
        SELECT number, data, sum(octet_length(data)) OVER (ORDER BY number) - octet_length(data)
            AS before
        FROM (SELECT number, data FROM strait_events WHERE response = $1 AND number > $2
            ORDER BY number LIMIT $3) AS next
    ) AS counted WHERE before < $4::bigint ORDER BY number";

const SILENT: &str = concat!(
    "SELECT id, owner FROM strait_responses WHERE background AND ",
    open!(),
    " AND heartbeat <= ",
    now!(),
    " - $1 LIMIT $2"
);

const LOG_TO_GO: &str = concat!(
    "SELECT seq FROM strait_responses WHERE events_bytes > 0 AND ended_at <= ",
    now!(),
    " - $1 LIMIT 1"
);

const DELETE_EVENTS: &str = "
    DELETE FROM strait_events WHERE response = $1 AND number IN
        (SELECT number FROM strait_events WHERE response = $1 LIMIT $2)";

const NO_EVENTS: &str = "UPDATE strait_responses SET events_bytes = 0 WHERE seq = $1";

const DELETE_OLD: &str = concat!(
    "DELETE FROM strait_responses WHERE seq IN (SELECT seq FROM strait_responses
        WHERE created_at <= (",
    now!(),
    " - $1) / 1000 ORDER BY created_at LIMIT $2)"
);

const BYTES: &str = "
    SELECT coalesce(sum(bytes + events_bytes), 0)::bigint FROM strait_responses";

/// The oldest that are done, until so many bytes are gone.
const DELETE_OLDEST: &str = "
    DELETE FROM strait_responses WHERE seq IN (
        SELECT seq FROM (
            SELECT seq, sum(size) OVER (ORDER BY created_at, seq) - size AS before
            FROM (SELECT seq, created_at, bytes + events_bytes AS size FROM strait_responses
                WHERE ended_at IS NOT NULL ORDER BY created_at, seq LIMIT $2) AS oldest
        ) AS counted WHERE before < $1::bigint
    )";

/// A transaction, and what holds in it.
pub(super) struct Answers<'a, 't> {
    pub(super) transaction: &'a mut Transaction<'t>,
    pub(super) terms: Terms,
}

/// A response, and what is known of it here.
struct Found {
    seq: i64,
    stored: Stored,
    /// Its worker has gone.
    lost: bool,
}

impl Answers<'_, '_> {
    pub(super) fn answer(&mut self, ask: &Ask) -> Result<Reply, Trouble> {
        match ask {
            Ask::Put(stored) => self.put(stored),
            // What no text of PostgreSQL can hold, nothing is called.
            Ask::Get(key)
            | Ask::Delete(key)
            | Ask::Append(key, _)
            | Ask::Events(key, _)
            | Ask::Cancel(key)
                if key.id.contains('\0') || key.owner.contains('\0') =>
            {
                Ok(Reply::Missing)
            }
            Ask::Get(key) => Ok(self.find(key)?.map_or(Reply::Missing, reply)),
            Ask::Delete(key) => Ok(
                match self.transaction.execute(DELETE, &[&key.id, &key.owner])? {
                    0 => Reply::Missing,
                    _ => Reply::Kept,
                },
            ),
            Ask::Append(key, events) => self.append(key, events),
            Ask::Events(key, after) => self.events(key, *after),
            Ask::Cancel(key) => self.cancel(key),
        }
    }

    fn put(&mut self, stored: &Stored) -> Result<Reply, Trouble> {
        let (id, owner) = (&stored.key.id, &stored.key.owner);
        let status = stored.status.name();
        let response = pack(&stored.response).map_err(Trouble::Refused)?;
        let input = pack(&stored.input).map_err(Trouble::Refused)?;
        let bytes = whole((response.len() + input.len()) as u64);
        let ends = stored.background && stored.status.is_final();
        let changed = match ends {
            true => {
                let given: [&(dyn ToSql + Sync); 6] =
                    [id, owner, &status, &bytes, &response, &input];
                self.transaction.execute(END, &given)?
            }
            false => {
                let created_at = whole(stored.created_at);
                let given: [&(dyn ToSql + Sync); 9] = [
                    id,
                    owner,
                    &created_at,
                    &status,
                    &stored.background,
                    &stored.streamed,
                    &bytes,
                    &response,
                    &input,
                ];
                self.transaction.execute(BEGIN, &given)?
            }
        };
        if changed > 0 {
            return Ok(Reply::Kept);
        }
        // It has its final status, or was deleted meanwhile.
        Ok(match self.status(&stored.key)? {
            None | Some(Status::Cancelled) => Reply::Cancelled,
            Some(_) => Reply::Kept,
        })
    }

    fn status(&mut self, key: &Key) -> Result<Option<Status>, Trouble> {
        let row = self.transaction.first(STATUS, &[&key.id, &key.owner])?;
        row.map(|row| status_at(&row, 0)).transpose()
    }

    /// The response. One whose worker has gone has failed by then.
    fn find(&mut self, key: &Key) -> Result<Option<Found>, Trouble> {
        match self.read(FIND, key)? {
            // Somebody may end it in this moment.
            Some(found) if found.lost => self.find_to_change(key),
            found => Ok(found),
        }
    }

    fn find_to_change(&mut self, key: &Key) -> Result<Option<Found>, Trouble> {
        let mut found = self.read(FIND_TO_CHANGE, key)?;
        if let Some(found) = &mut found
            && found.lost
        {
            found.stored.status = Status::Failed;
            found.stored.response = ending::lost(&found.stored.response);
            self.change(found)?;
        }
        Ok(found)
    }

    fn read(&mut self, sql: &'static str, key: &Key) -> Result<Option<Found>, Trouble> {
        let silence = millis(self.terms.silence);
        let Some(row) = self
            .transaction
            .first(sql, &[&key.id, &key.owner, &silence])?
        else {
            return Ok(None);
        };
        let stored = Stored {
            key: key.clone(),
            created_at: row.try_get::<_, i64>(1)?.unsigned_abs(),
            status: status_at(&row, 2)?,
            background: row.try_get(3)?,
            streamed: row.try_get(4)?,
            response: unpack(row.try_get(5)?).map_err(Trouble::Refused)?,
            input: unpack(row.try_get(6)?).map_err(Trouble::Refused)?,
        };
        let (seq, lost) = (row.try_get(0)?, row.try_get(7)?);
        Ok(Some(Found { seq, stored, lost }))
    }

    fn change(&mut self, found: &Found) -> Result<(), Trouble> {
        let response = pack(&found.stored.response).map_err(Trouble::Refused)?;
        let status = found.stored.status.name();
        self.transaction
            .execute(CHANGE, &[&found.seq, &status, &response])?;
        Ok(())
    }

    fn append(&mut self, key: &Key, events: &[Event]) -> Result<Reply, Trouble> {
        let numbers: Vec<i64> = events.iter().map(|e| whole(e.number)).collect();
        let bodies: Vec<&[u8]> = events.iter().map(|e| e.data.as_slice()).collect();
        let bytes = whole(bodies.iter().map(|b| b.len() as u64).sum());
        let given: [&(dyn ToSql + Sync); 5] = [&key.id, &key.owner, &bytes, &numbers, &bodies];
        if self.transaction.first(APPEND, &given)?.is_some() {
            return Ok(Reply::Kept);
        }
        Ok(match self.status(key)? {
            Some(_) => Reply::Cancelled,
            None => Reply::Missing,
        })
    }

    fn events(&mut self, key: &Key, after: Option<u64>) -> Result<Reply, Trouble> {
        let silence = millis(self.terms.silence);
        let Some(row) = self
            .transaction
            .first(LOOK, &[&key.id, &key.owner, &silence])?
        else {
            return Ok(Reply::Missing);
        };
        let seq: i64 = row.try_get(0)?;
        let mut status = status_at(&row, 1)?;
        if row.try_get(2)? {
            let found = self.find_to_change(key)?;
            status = found.map_or(status, |found| found.stored.status);
        }
        let after = after.map_or(-1, whole);
        let (most, bytes) = (
            whole(limits::STORE_EVENTS_MAX as u64),
            whole(limits::STORE_EVENTS_BYTES as u64),
        );
        let mut events = Vec::new();
        for row in self
            .transaction
            .query(EVENTS, &[&seq, &after, &most, &bytes])?
        {
            events.push(Event {
                number: row.try_get::<_, i64>(0)?.unsigned_abs(),
                data: row.try_get(1)?,
            });
        }
        Ok(Reply::Events(events, status))
    }

    fn cancel(&mut self, key: &Key) -> Result<Reply, Trouble> {
        let Some(mut found) = self.find_to_change(key)? else {
            return Ok(Reply::Missing);
        };
        if found.stored.background && !found.stored.status.is_final() {
            found.stored.status = Status::Cancelled;
            found.stored.response = ending::cancelled(&found.stored.response);
            self.change(&found)?;
        }
        Ok(reply(found))
    }

    /// A step, unless another node is at it; true if there is more to do.
    pub(super) fn sweep(&mut self) -> Result<bool, Trouble> {
        let alone = self
            .transaction
            .first("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK])?;
        if !alone.map_or(Ok(false), |row| row.try_get(0))? {
            return Ok(false);
        }
        let more = self.sweep_silent()?;
        let more = self.sweep_events()? || more;
        let max_age = millis(self.terms.max_age);
        let gone = self
            .transaction
            .execute(DELETE_OLD, &[&max_age, &STEP_RESPONSES])?;
        let more = gone == STEP_RESPONSES || more;
        Ok(self.sweep_size()? || more)
    }

    fn sweep_silent(&mut self) -> Result<bool, Trouble> {
        let silence = millis(self.terms.silence);
        let silent = self
            .transaction
            .query(SILENT, &[&silence, &STEP_RESPONSES])?;
        for row in &silent {
            let (id, owner) = (row.try_get(0)?, row.try_get(1)?);
            self.find_to_change(&Key { id, owner })?;
        }
        Ok(whole(silent.len() as u64) == STEP_RESPONSES)
    }

    fn sweep_events(&mut self) -> Result<bool, Trouble> {
        let kept = millis(self.terms.events_kept);
        let Some(row) = self.transaction.first(LOG_TO_GO, &[&kept])? else {
            return Ok(false);
        };
        let seq: i64 = row.try_get(0)?;
        if self
            .transaction
            .execute(DELETE_EVENTS, &[&seq, &STEP_EVENTS])?
            < STEP_EVENTS
        {
            self.transaction.execute(NO_EVENTS, &[&seq])?;
        }
        Ok(true)
    }

    /// The oldest go first; those that are not done yet stay.
    fn sweep_size(&mut self) -> Result<bool, Trouble> {
        let bytes: i64 = match self.transaction.first(BYTES, &[])? {
            Some(row) => row.try_get(0)?,
            None => 0,
        };
        let excess = bytes - whole(self.terms.max_bytes);
        if excess <= 0 {
            return Ok(false);
        }
        Ok(self
            .transaction
            .execute(DELETE_OLDEST, &[&excess, &STEP_RESPONSES])?
            == STEP_RESPONSES)
    }
}

fn reply(found: Found) -> Reply {
    Reply::Found(Box::new(found.stored))
}

fn status_at(row: &Row, index: usize) -> Result<Status, Trouble> {
    let name: &str = row.try_get(index)?;
    Status::named(name).ok_or_else(|| Trouble::Refused(format!("{name:?} is no status")))
}
