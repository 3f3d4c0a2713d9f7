//! The store in a PostgreSQL database: for several Straits that share what they keep.
//!
//! All times are the database's, so that two nodes agree.

mod answers;

use super::{Backend, SCHEMA, Terms};
use crate::config::Database;
use crate::ledger::stored::{Ask, Reply};
use crate::server::ServerError;
use crate::server::database::Trouble;
use crate::server::database::postgres::{Link, Transaction};
use answers::Answers;
use std::path::Path;

pub(super) const TABLES: &str = "
CREATE TABLE strait_schema (version BIGINT NOT NULL);
CREATE TABLE strait_responses (
    seq BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id TEXT NOT NULL,
    owner TEXT NOT NULL,
    created_at BIGINT NOT NULL,                -- Unix seconds
    status TEXT NOT NULL,
    background BOOLEAN NOT NULL,
    streamed BOOLEAN NOT NULL,
    heartbeat BIGINT NOT NULL,                 -- Unix milliseconds
    ended_at BIGINT,                           -- Unix milliseconds
    bytes BIGINT NOT NULL,                     -- of response and input
    events_bytes BIGINT NOT NULL DEFAULT 0,
    response BYTEA NOT NULL,
    input BYTEA NOT NULL,
    UNIQUE (id, owner)
);
-- What is packed already is not packed again.
ALTER TABLE strait_responses ALTER COLUMN response SET STORAGE EXTERNAL,
    ALTER COLUMN input SET STORAGE EXTERNAL;
CREATE INDEX strait_responses_by_age ON strait_responses (created_at);
CREATE INDEX strait_responses_open ON strait_responses (heartbeat)
    WHERE status IN ('queued', 'in_progress');
CREATE INDEX strait_responses_with_events ON strait_responses (ended_at) WHERE events_bytes > 0;
CREATE TABLE strait_events (
    response BIGINT NOT NULL REFERENCES strait_responses ON DELETE CASCADE,
    number BIGINT NOT NULL,
    data BYTEA NOT NULL,
    PRIMARY KEY (response, number)
);
";

/// A database, connected to when it is needed.
pub(super) struct Postgres {
    link: Link,
    terms: Terms,
}

impl Postgres {
    /// Reads the URL and the certificates; connects to nobody yet.
    pub(super) fn new(
        database: &Database,
        ca_file: Option<&Path>,
        terms: Terms,
    ) -> Result<Self, ServerError> {
        let link = Link::new(database, ca_file, &SCHEMA, TABLES).map_err(ServerError::Store)?;
        Ok(Postgres { link, terms })
    }

    fn within<T>(
        &mut self,
        act: impl Fn(&mut Answers<'_, '_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let terms = self.terms;
        self.link
            .within(|transaction: &mut Transaction<'_>| act(&mut Answers { transaction, terms }))
    }
}

impl Backend for Postgres {
    /// Who shares a database wants to know at once if it is not there.
    fn begin(&mut self) -> Result<(), Trouble> {
        self.within(|_| Ok(()))
    }

    fn answer(&mut self, asks: &[Ask]) -> Result<Vec<Reply>, Trouble> {
        self.within(|answers| asks.iter().map(|ask| answers.answer(ask)).collect())
    }

    fn sweep(&mut self) -> Result<bool, Trouble> {
        self.within(|answers| answers.sweep())
    }
}
