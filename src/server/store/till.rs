//! Client keys and what they have spent, in the store's database: two tables beside the responses,
//! which both kinds of database understand in the same words.
//!
//! A change of a key is a row written anew under a number that only grows, so that who watches sees
//! with one short question whether there is something new.

use super::{SCHEMA, postgres, sqlite};
use crate::config::{Place, Store};
use crate::ledger::keys::StoredKey;
use crate::ledger::window::{Per, Window};
use crate::server::database::postgres::{LOCK, Link};
use crate::server::database::sqlite::File;
use crate::server::database::{Trouble, whole};
use std::path::Path;

/// How long the spending of a window is kept, in seconds: more than a year.
const SPEND_KEPT_S: u64 = 400 * 86_400;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS strait_keys (
    name TEXT PRIMARY KEY,
    version BIGINT NOT NULL,
    definition TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS strait_spend (
    name TEXT NOT NULL,
    per TEXT NOT NULL,
    start_s BIGINT NOT NULL,                   -- Unix seconds
    nanos BIGINT NOT NULL,                     -- of US dollars
    PRIMARY KEY (name, per, start_s)
);
";

const PUT: &str = "
INSERT INTO strait_keys (name, version, definition) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET version = excluded.version, definition = excluded.definition";

const PAY: &str = "
INSERT INTO strait_spend (name, per, start_s, nanos) VALUES ($1, $2, $3, $4)
ON CONFLICT (name, per, start_s) DO UPDATE SET nanos = strait_spend.nanos + excluded.nanos";

const SPENT: &str = "SELECT nanos FROM strait_spend WHERE name = $1 AND per = $2 AND start_s = $3";

/// What a key has cost in a window, in billionths of a dollar.
#[derive(Clone, Debug)]
pub struct Cost {
    /// The key's name.
    pub key: String,
    /// When.
    pub window: Window,
    /// How much.
    pub nanos: u64,
}

/// The keys in the store, and what they have spent.
pub struct Till(Connection);

enum Connection {
    Postgres(Box<::postgres::Client>),
    Sqlite(rusqlite::Connection),
}

/// What a statement is given, and what it gives.
enum Cell {
    Int(i64),
    Text(String),
}

impl Till {
    /// Opens the database and makes what is missing in it; the error is a phrase. `unix_s` is the
    /// wall clock.
    pub fn open(store: &Store, ca_file: Option<&Path>, unix_s: u64) -> Result<Till, String> {
        let connection = match &store.place {
            Place::Nowhere => return Err("there is no store".to_owned()),
            Place::Postgres(database) => {
                let link = Link::new(database, ca_file, &SCHEMA, postgres::TABLES)?;
                Connection::Postgres(Box::new(link.client().map_err(phrase)?))
            }
            Place::Sqlite(path) => {
                let file = File::new(path.clone(), &SCHEMA, sqlite::TABLES);
                Connection::Sqlite(file.open().map_err(phrase)?)
            }
        };
        let mut till = Till(connection);
        till.make(unix_s).map_err(phrase)?;
        Ok(till)
    }

    fn make(&mut self, unix_s: u64) -> Result<(), Trouble> {
        self.within(|sql| {
            sql.lock_all()?;
            sql.batch(TABLES)?;
            let old = whole(unix_s.saturating_sub(SPEND_KEPT_S));
            let sweep = "DELETE FROM strait_spend WHERE start_s < $1 AND per <> $2";
            let forever = Cell::Text(Per::Total.name().to_owned());
            sql.query(sweep, &[Cell::Int(old), forever]).map(|_| ())
        })
    }

    /// A number that is larger after every change of a key; 0 if there are none.
    pub fn version(&mut self) -> Result<u64, String> {
        let newest = "SELECT coalesce(max(version), 0) FROM strait_keys";
        let found = self.within(|sql| sql.query(newest, &[]));
        found.map(|rows| first(&rows)).map_err(phrase)
    }

    /// All keys, revoked ones too, by name.
    pub fn keys(&mut self) -> Result<Vec<StoredKey>, String> {
        let all = "SELECT definition FROM strait_keys ORDER BY name";
        let rows = self.within(|sql| sql.query(all, &[])).map_err(phrase)?;
        let read = |row: &Vec<Cell>| match row.first() {
            Some(Cell::Text(text)) => serde_json::from_str(text).map_err(|e| e.to_string()),
            _ => Err("is no text".to_owned()),
        };
        let keys = rows.iter().map(read).collect::<Result<_, _>>();
        keys.map_err(|why| format!("a key in the store cannot be read: {why}"))
    }

    /// Changes the key `name`, alone: `change` is given what is there. What it refuses is the
    /// error.
    pub fn change(
        &mut self,
        name: &str,
        change: impl Fn(Option<StoredKey>) -> Result<StoredKey, String>,
    ) -> Result<StoredKey, String> {
        let named = |name: &str| Cell::Text(name.to_owned());
        let changed = self.within(|sql| {
            sql.lock_keys()?;
            let newest = sql.query("SELECT coalesce(max(version), 0) FROM strait_keys", &[])?;
            let one = "SELECT definition FROM strait_keys WHERE name = $1";
            let before = match sql.query(one, &[named(name)])?.pop().as_deref() {
                Some([Cell::Text(text)]) => {
                    let read = serde_json::from_str(text);
                    Some(read.map_err(|e| Trouble::Refused(e.to_string()))?)
                }
                _ => None,
            };
            let key = match change(before) {
                Ok(key) => key,
                Err(why) => return Ok(Err(why)),
            };
            let text = serde_json::to_string(&key).map_err(|e| Trouble::Refused(e.to_string()))?;
            let version = Cell::Int(whole(first(&newest) + 1));
            sql.query(PUT, &[named(name), version, Cell::Text(text)])?;
            Ok(Ok(key))
        });
        changed.map_err(phrase)?
    }

    /// Adds what was spent, and says what all have spent in the windows of `wanted`, in their
    /// order; all of it or nothing.
    pub fn spend(
        &mut self,
        paid: &[Cost],
        wanted: &[(String, Window)],
    ) -> Result<Vec<u64>, String> {
        let of = |key: &str, window: &Window| {
            let per = Cell::Text(window.per.name().to_owned());
            let start = Cell::Int(whole(window.start_s));
            [Cell::Text(key.to_owned()), per, start]
        };
        let spent = self.within(|sql| {
            for cost in paid {
                let [key, per, start] = of(&cost.key, &cost.window);
                sql.query(PAY, &[key, per, start, Cell::Int(whole(cost.nanos))])?;
            }
            let mut all = Vec::with_capacity(wanted.len());
            for (key, window) in wanted {
                all.push(first(&sql.query(SPENT, &of(key, window))?));
            }
            Ok(all)
        });
        spent.map_err(phrase)
    }

    fn within<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Sql) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        match &mut self.0 {
            Connection::Postgres(client) => {
                let mut transaction = client.transaction()?;
                let result = act(&mut transaction)?;
                transaction.commit()?;
                Ok(result)
            }
            Connection::Sqlite(connection) => {
                // What is read before it is written must not change in between.
                let immediate = rusqlite::TransactionBehavior::Immediate;
                let begun = connection.transaction_with_behavior(immediate);
                let mut transaction = begun?;
                let result = act(&mut transaction)?;
                transaction.commit()?;
                Ok(result)
            }
        }
    }
}

/// The first number; 0 if there is none.
fn first(rows: &[Vec<Cell>]) -> u64 {
    match rows.first().and_then(|row| row.first()) {
        Some(Cell::Int(n)) => n.unsigned_abs(),
        _ => 0,
    }
}

fn phrase(trouble: Trouble) -> String {
    let (Trouble::Away(why) | Trouble::Refused(why)) = trouble;
    why
}

/// A transaction.
trait Sql {
    /// Nobody else makes tables.
    fn lock_all(&mut self) -> Result<(), Trouble>;
    /// Nobody else changes keys.
    fn lock_keys(&mut self) -> Result<(), Trouble>;
    fn batch(&mut self, sql: &str) -> Result<(), Trouble>;
    /// The placeholders `$1`, `$2`, … stand once each, in their order.
    fn query(&mut self, sql: &str, given: &[Cell]) -> Result<Vec<Vec<Cell>>, Trouble>;
}

impl Sql for rusqlite::Transaction<'_> {
    fn lock_all(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn lock_keys(&mut self) -> Result<(), Trouble> {
        Ok(())
    }

    fn batch(&mut self, sql: &str) -> Result<(), Trouble> {
        Ok(self.execute_batch(sql)?)
    }

    fn query(&mut self, sql: &str, given: &[Cell]) -> Result<Vec<Vec<Cell>>, Trouble> {
        let read = || -> rusqlite::Result<Vec<Vec<Cell>>> {
            let mut statement = self.prepare_cached(sql)?;
            let columns = statement.column_count();
            let rows = statement.query_map(rusqlite::params_from_iter(given), |row| {
                let cell = |index| match row.get_ref(index)? {
                    rusqlite::types::ValueRef::Integer(n) => Ok(Cell::Int(n)),
                    other => Ok(Cell::Text(other.as_str()?.to_owned())),
                };
                (0..columns).map(cell).collect()
            })?;
            rows.collect()
        };
        Ok(read()?)
    }
}

impl rusqlite::ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        match self {
            Cell::Int(n) => n.to_sql(),
            Cell::Text(text) => text.to_sql(),
        }
    }
}

impl Sql for ::postgres::Transaction<'_> {
    fn lock_all(&mut self) -> Result<(), Trouble> {
        self.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])?;
        Ok(())
    }

    fn lock_keys(&mut self) -> Result<(), Trouble> {
        // Who only reads is not held up.
        Ok(self.batch_execute("LOCK TABLE strait_keys IN SHARE ROW EXCLUSIVE MODE")?)
    }

    fn batch(&mut self, sql: &str) -> Result<(), Trouble> {
        Ok(self.batch_execute(sql)?)
    }

    fn query(&mut self, sql: &str, given: &[Cell]) -> Result<Vec<Vec<Cell>>, Trouble> {
        let given: Vec<&(dyn ::postgres::types::ToSql + Sync)> = given
            .iter()
            .map(|cell| match cell {
                Cell::Int(n) => n as &(dyn ::postgres::types::ToSql + Sync),
                Cell::Text(text) => text,
            })
            .collect();
        let rows = ::postgres::Transaction::query(self, sql, &given)?;
        let read = |row: &::postgres::Row| {
            let cell = |index: usize| match row.columns()[index].type_() {
                &::postgres::types::Type::INT8 => row.try_get(index).map(Cell::Int),
                _ => row.try_get(index).map(Cell::Text),
            };
            (0..row.len()).map(cell).collect::<Result<_, _>>()
        };
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }
}
