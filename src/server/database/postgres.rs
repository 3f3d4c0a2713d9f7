//! A PostgreSQL database: for several Straits that share it.
//!
//! What happens to the database while Strait runs (a restart, a failover) costs at most the
//! questions of that moment: a connection that broke is made anew once, at once; then with growing
//! pauses, in which the answer is that the database is away.

use super::place::newer;
use super::{Schema, Trouble, whole};
use crate::config::Database;
use crate::limits;
use crate::server::tls;
use postgres::config::SslMode;
use postgres::types::ToSql;
use postgres::{Client, NoTls, Row, Statement};
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
pub(in crate::server) const LOCK: i64 = 0x5374_7274;

/// A database, connected to when it is needed.
pub(in crate::server) struct Link {
    config: postgres::Config,
    tls: Option<MakeRustlsConnect>,
    shown: String,
    schema: &'static Schema,
    tables: &'static str,
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

/// A transaction.
pub(in crate::server) struct Transaction<'a> {
    inner: postgres::Transaction<'a>,
    statements: &'a mut HashMap<&'static str, Statement>,
}

impl Transaction<'_> {
    fn statement(&mut self, sql: &'static str) -> Result<Statement, Trouble> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.inner.prepare(sql)?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }

    /// How many rows it changed.
    pub(in crate::server) fn execute(
        &mut self,
        sql: &'static str,
        given: &[&(dyn ToSql + Sync)],
    ) -> Result<i64, Trouble> {
        let statement = self.statement(sql)?;
        Ok(whole(self.inner.execute(&statement, given)?))
    }

    /// Its rows.
    pub(in crate::server) fn query(
        &mut self,
        sql: &'static str,
        given: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        let statement = self.statement(sql)?;
        Ok(self.inner.query(&statement, given)?)
    }

    /// Its first row.
    pub(in crate::server) fn first(
        &mut self,
        sql: &'static str,
        given: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Trouble> {
        Ok(self.query(sql, given)?.into_iter().next())
    }

    /// The rows of a statement that was made for this once.
    pub(in crate::server) fn query_once(
        &mut self,
        sql: &str,
        given: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Trouble> {
        Ok(self.inner.query(sql, given)?)
    }
}

impl Link {
    /// Reads the URL and the certificates; connects to nobody yet. An error names the database.
    pub(in crate::server) fn new(
        database: &Database,
        ca_file: Option<&Path>,
        schema: &'static Schema,
        tables: &'static str,
    ) -> Result<Self, String> {
        let parsed = database.url.expose().parse::<postgres::Config>();
        let mut config = parsed.map_err(|e| format!("{}: {}", database.shown, phrase(&e)))?;
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
                let roots = tls::config(true, ca_file).map_err(|e| e.to_string())?;
                let mut own = (*roots).clone();
                // What is spoken here is no HTTP.
                own.alpn_protocols.clear();
                Some(MakeRustlsConnect::new(own))
            }
            false => None,
        };
        Ok(Link {
            config,
            tls,
            shown: database.shown.clone(),
            schema,
            tables,
            session: None,
            pause: PAUSE_MIN,
            away: None,
        })
    }

    /// Does `act` in a transaction, on a connection made anew if the one there is broke.
    pub(in crate::server) fn within<T>(
        &mut self,
        act: impl Fn(&mut Transaction<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let fresh = self.session.is_none();
        match self.attempt(&act) {
            Err(Trouble::Away(_)) if !fresh => self.attempt(&act),
            result => result,
        }
    }

    fn attempt<T>(
        &mut self,
        act: &impl Fn(&mut Transaction<'_>) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.connect()?,
        };
        let result = transact(&mut session, act);
        if !matches!(result, Err(Trouble::Away(_))) {
            self.session = Some(session);
        }
        result.map_err(|trouble| trouble.at(&self.shown))
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
    pub(in crate::server) fn client(&self) -> Result<Client, Trouble> {
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
        let table = self.schema.table;
        let there = "SELECT to_regclass($1) IS NOT NULL";
        match transaction.query_one(there, &[&table])?.try_get(0)? {
            true => {
                let version = format!("SELECT max(version) FROM {table}");
                let version: i64 = transaction.query_one(&version, &[])?.try_get(0)?;
                if version > i64::from(self.schema.version) {
                    return Err(Trouble::Away(newer(version, self.schema)));
                }
            }
            false => {
                transaction.batch_execute(self.tables)?;
                let version = format!("INSERT INTO {table} (version) VALUES ($1)");
                transaction.execute(&version, &[&i64::from(self.schema.version)])?;
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
    act: impl Fn(&mut Transaction<'_>) -> Result<T, Trouble>,
) -> Result<T, Trouble> {
    let mut transaction = Transaction {
        inner: session.client.transaction()?,
        statements: &mut session.statements,
    };
    let result = act(&mut transaction)?;
    transaction.inner.commit()?;
    Ok(result)
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
