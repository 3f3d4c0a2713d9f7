//! The store in a PostgreSQL database: for several Straits that share what they keep.
//!
//! All times are the database's, so that two nodes agree. What happens to the database while
//! Strait runs (a restart, a failover) costs at most the questions of that moment: a connection
//! that broke is made anew once, at once; then with growing pauses, in which the answer is that
//! the store is away.

mod answers;

use super::place::{SCHEMA, newer};
use super::{Backend, Terms, Trouble};
use crate::config::Database;
use crate::ledger::stored::{Ask, Reply};
use crate::limits;
use crate::server::ServerError;
use crate::server::tls;
use answers::Answers;
use postgres::config::SslMode;
use postgres::{Client, NoTls, Statement};
use std::collections::HashMap;
use std::error::Error as _;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio_postgres_rustls::MakeRustlsConnect;

/// The first pause before another try to connect, and the longest.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// After so much silence the system asks whether the database is still there.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// Taken by whoever makes the tables, and by whoever sweeps: any number, the same everywhere.
pub(super) const LOCK: i64 = 0x5374_7274;

const TABLES: &str = "
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
    config: postgres::Config,
    tls: Option<MakeRustlsConnect>,
    shown: String,
    terms: Terms,
    session: Option<Session>,
    pause: Duration,
    /// Until when, and why, no connection is tried.
    away: Option<(Instant, String)>,
}

/// A connection, with the statements that were prepared on it.
struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
}

impl Postgres {
    /// Reads the URL and the certificates; connects to nobody yet.
    pub(super) fn new(
        database: &Database,
        ca_file: Option<&Path>,
        terms: Terms,
    ) -> Result<Self, ServerError> {
        let parsed = database.url.expose().parse::<postgres::Config>();
        let mut config = parsed.map_err(|e| {
            let why = phrase(&e);
            ServerError::Store(format!("{}: {why}", database.shown))
        })?;
        config.ssl_mode(match database.tls {
            true => SslMode::Require,
            false => SslMode::Disable,
        });
        config.connect_timeout(limits::STORE_TIMEOUT);
        config.tcp_user_timeout(2 * limits::STORE_TIMEOUT);
        config.keepalives_idle(KEEPALIVE);
        config.keepalives_interval(limits::STORE_TIMEOUT);
        config.keepalives_retries(3);
        if config.get_application_name().is_none() {
            config.application_name("strait");
        }
        let tls = match database.tls {
            true => {
                let mut own = (*tls::config(true, ca_file)?).clone();
                // What is spoken here is no HTTP.
                own.alpn_protocols.clear();
                Some(MakeRustlsConnect::new(own))
            }
            false => None,
        };
        Ok(Postgres {
            config,
            tls,
            shown: database.shown.clone(),
            terms,
            session: None,
            pause: PAUSE_MIN,
            away: None,
        })
    }

    /// Does `act` in a transaction, on a connection made anew if the one there is broke.
    fn within<T>(
        &mut self,
        act: impl Fn(&mut Answers<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let fresh = self.session.is_none();
        match self.attempt(&act) {
            Err(Trouble::Away(_)) if !fresh => self.attempt(&act),
            result => result,
        }
    }

    fn attempt<T>(
        &mut self,
        act: &impl Fn(&mut Answers<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        let result = transact(&mut session, self.terms, act);
        if !matches!(result, Err(Trouble::Away(_))) {
            self.session = Some(session);
        }
        result.map_err(|trouble| match trouble {
            Trouble::Away(why) => Trouble::Away(format!("{}: {why}", self.shown)),
            Trouble::Refused(why) => Trouble::Refused(format!("{}: {why}", self.shown)),
        })
    }

    fn connect(&mut self) -> Result<Session, Trouble> {
        if let Some((until, why)) = &self.away
            && Instant::now() < *until
        {
            return Err(Trouble::Away(why.clone()));
        }
        match self.session() {
            Ok(session) => {
                self.pause = PAUSE_MIN;
                self.away = None;
                Ok(session)
            }
            Err(Trouble::Away(why) | Trouble::Refused(why)) => {
                let why = format!("{}: {why}", self.shown);
                self.away = Some((Instant::now() + self.pause, why.clone()));
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                Err(Trouble::Away(why))
            }
        }
    }

    /// A connection of its own, tables made.
    pub(super) fn client(&self) -> Result<Client, Trouble> {
        Ok(self.session()?.client)
    }

    fn session(&self) -> Result<Session, Trouble> {
        let mut client = match &self.tls {
            Some(tls) => self.config.connect(tls.clone())?,
            None => self.config.connect(NoTls)?,
        };
        let limit = limits::STORE_TIMEOUT.as_millis();
        client.batch_execute(&format!(
            "SET statement_timeout = {limit}; SET idle_in_transaction_session_timeout = {limit}"
        ))?;
        let mut transaction = client.transaction()?;
        transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
        let there = "SELECT to_regclass('strait_schema') IS NOT NULL";
        match transaction.query_one(there, &[])?.try_get(0)? {
            true => {
                let version = "SELECT max(version) FROM strait_schema";
                let version: i64 = transaction.query_one(version, &[])?.try_get(0)?;
                if version > i64::from(SCHEMA) {
                    return Err(Trouble::Away(newer(version)));
                }
            }
            false => {
                transaction.batch_execute(TABLES)?;
                let version = "INSERT INTO strait_schema (version) VALUES ($1)";
                transaction.execute(version, &[&i64::from(SCHEMA)])?;
            }
        }
        transaction.commit()?;
        Ok(Session {
            client,
            statements: HashMap::new(),
        })
    }
}

fn transact<T>(
    session: &mut Session,
    terms: Terms,
    act: impl Fn(&mut Answers<'_>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut answers = Answers {
        transaction: session.client.transaction()?,
        statements: &mut session.statements,
        terms,
    };
    let result = act(&mut answers)?;
    answers.transaction.commit()?;
    Ok(result)
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

impl From<postgres::Error> for Trouble {
    fn from(error: postgres::Error) -> Self {
        let why = phrase(&error);
        // Of the classes of errors (PostgreSQL's documentation, appendix A) these are about what
        // was asked: a value, a duplicate, a conflict between transactions, a size.
        match error.code().map(|state| &state.code()[..2]) {
            Some("22" | "23" | "40" | "54") => Trouble::Refused(why),
            _ => Trouble::Away(why),
        }
    }
}

/// What an error says, the server's own words if there are any.
fn phrase(error: &postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return said.message().to_owned();
    }
    match error.source() {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}
