//! A database in an SQLite file: for one machine, with nothing to set up.
//!
//! WAL with `synchronous=NORMAL`: what was committed survives the end of the process, `kill -9`
//! included, because the log is the kernel's by then; a power cut may take the last commits, but
//! never breaks the file. A sync per commit would cost a disk's round trip for a promise that
//! nobody makes to a client.
//!
//! Pages that become free are used again first; beyond [`SLACK_PAGES`] the file shrinks, a
//! little at a time (`auto_vacuum=INCREMENTAL`).

use super::{Schema, Trouble, place};
use crate::limits;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Most pages given back in a step of a sweep: 1 MiB.
const STEP_PAGES: i64 = 256;
/// Free pages that are kept for what comes next: 4 MiB.
const SLACK_PAGES: i64 = 1024;
/// Pages in the log that are written to the file together: 16 MiB. The more there are, the more
/// often one was written again meanwhile.
const CHECKPOINT_PAGES: i64 = 4096;
/// How often a file that nobody asks is opened to see what is too old.
const SWEEP_UNUSED_EVERY: Duration = Duration::from_secs(3600);

/// A file, opened when it is needed.
pub(in crate::server) struct File {
    path: PathBuf,
    schema: &'static Schema,
    tables: &'static str,
    connection: Option<Connection>,
    /// When an unused file was last looked at.
    swept: Option<Instant>,
}

impl File {
    /// A file in which `tables` are made.
    pub(in crate::server) fn new(
        path: PathBuf,
        schema: &'static Schema,
        tables: &'static str,
    ) -> Self {
        File {
            path,
            schema,
            tables,
            connection: None,
            swept: None,
        }
    }

    /// Does `act` with the open file.
    pub(in crate::server) fn with<T>(
        &mut self,
        act: impl FnOnce(&mut Connection) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let result = self.opened().and_then(act);
        if matches!(result, Err(Trouble::Away(_))) {
            self.connection = None;
        }
        result.map_err(|trouble| trouble.at(format_args!("sqlite:{}", self.path.display())))
    }

    fn opened(&mut self) -> Result<&mut Connection, Trouble> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.open()?,
        };
        Ok(self.connection.insert(connection))
    }

    /// Opens it, and makes what is missing.
    pub(in crate::server) fn open(&self) -> Result<Connection, Trouble> {
        place::prepare(&self.path, self.schema).map_err(Trouble::Away)?;
        let mut connection = Connection::open(&self.path)?;
        connection.busy_timeout(limits::STORE_TIMEOUT)?;
        // In this order: what is vacuumed is decided before there is a page.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma_update(None, "journal_size_limit", 4 * 1024 * 1024)?;
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let number = |name: &str| -> rusqlite::Result<u32> {
            transaction.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
        };
        let version = number("user_version")?;
        place::versions(number("application_id")?, version, self.schema).map_err(Trouble::Away)?;
        if version == 0 {
            transaction.execute_batch(self.tables)?;
            transaction.pragma_update(None, "application_id", self.schema.application)?;
            transaction.pragma_update(None, "user_version", self.schema.version)?;
        }
        transaction.commit()?;
        Ok(connection)
    }

    /// Does `step`, then gives a few free pages back to the file system; true if there is more to
    /// do. A file that nobody asks is seldom looked at, and closed again.
    pub(in crate::server) fn sweep(
        &mut self,
        step: impl FnOnce(&mut Connection) -> Result<bool, Trouble>,
    ) -> Result<bool, Trouble> {
        let unused = self.connection.is_none();
        if unused {
            let empty = std::fs::metadata(&self.path).map_or(true, |file| file.len() == 0);
            if empty
                || self
                    .swept
                    .is_some_and(|at| at.elapsed() < SWEEP_UNUSED_EVERY)
            {
                return Ok(false);
            }
        }
        let swept = self.with(|connection| {
            let more = step(connection)?;
            Ok(shrink(connection)? || more)
        });
        if unused {
            self.connection = None;
            self.swept = matches!(swept, Ok(false)).then(Instant::now);
        }
        swept
    }
}

/// Gives a few free pages back to the file system; true if there are more.
fn shrink(connection: &Connection) -> Result<bool, Trouble> {
    let free = || connection.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
    if free()? <= SLACK_PAGES {
        return Ok(false);
    }
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({STEP_PAGES})"))?;
    // A page a row.
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(free()? > SLACK_PAGES)
}

/// Bytes of the pages that are in use.
pub(in crate::server) fn bytes(connection: &Connection) -> Result<u64, Trouble> {
    let number = |name: &str| -> Result<u64, Trouble> {
        let mut statement = connection.prepare_cached(&format!("PRAGMA {name}"))?;
        Ok(statement
            .query_row([], |row| row.get::<_, i64>(0))?
            .unsigned_abs())
    };
    let used = number("page_count")?.saturating_sub(number("freelist_count")?);
    Ok(used * number("page_size")?)
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string();
        match error.sqlite_error_code() {
            // One question at a time would only wait again, or fail again.
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull,
            ) => Trouble::Away(why),
            _ => Trouble::Refused(why),
        }
    }
}
