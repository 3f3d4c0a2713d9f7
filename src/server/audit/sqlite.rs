//! The audit in an SQLite file; what holds of such files: [`crate::server::database::sqlite`].

use super::entry::Entry;
use super::select::{self, Dialect, Select, Value};
use super::{Backend, SCHEMA, Terms};
use crate::ledger::audit::{
    Bucket, Cursor, Detail, Filter, Group, Page, Question, Reply, Step, Totals,
};
use crate::server::database::sqlite::{self, File};
use crate::server::database::{Trouble, millis, whole};
use rusqlite::types::ToSql;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::PathBuf;

/// Most rows in a step of a sweep.
const STEP_ROWS: i64 = 500;

/// The search has an index without the texts, which stand in `row` and `bodies`.
const TABLES: &str = "
CREATE TABLE exchanges (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    started_ms INTEGER NOT NULL,               -- Unix milliseconds
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    session TEXT NOT NULL,
    thread TEXT NOT NULL,
    class TEXT NOT NULL,                       -- done, failed, left
    status INTEGER NOT NULL,
    row TEXT NOT NULL,                         -- all of it: JSON
    bodies BLOB                                -- JSON, packed
);
CREATE INDEX exchanges_by_time ON exchanges (started_ms, number);
CREATE INDEX exchanges_by_session ON exchanges (session, started_ms) WHERE session <> '';
CREATE VIRTUAL TABLE words USING fts5(word, content = '', contentless_delete = 1, detail = none,
    tokenize = 'ascii');
CREATE TABLE usage (
    hour INTEGER NOT NULL,                     -- its begin, Unix milliseconds
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    input INTEGER NOT NULL,
    cached INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    output INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost_nanos INTEGER NOT NULL,               -- billionths of a US dollar
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (hour, key, model, provider)
) WITHOUT ROWID;
";

const INSERT: &str = "
INSERT INTO exchanges (started_ms, id, key, model, provider, session, thread, class, status, row,
    bodies)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

const COUNT: &str = "
INSERT INTO usage (hour, key, model, provider, requests, errors, input, cached, cache_write,
    output, reasoning, cost_nanos, unpriced)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
ON CONFLICT DO UPDATE SET requests = requests + excluded.requests,
    errors = errors + excluded.errors, input = input + excluded.input,
    cached = cached + excluded.cached, cache_write = cache_write + excluded.cache_write,
    output = output + excluded.output, reasoning = reasoning + excluded.reasoning,
    cost_nanos = cost_nanos + excluded.cost_nanos, unpriced = unpriced + excluded.unpriced";

const DIALECT: Dialect = Dialect {
    mark: '?',
    table: "exchanges",
    search: "number IN (SELECT rowid FROM words WHERE words MATCH {})",
    row: "row",
    // Words are letters and digits, so nothing in them ends the quotes.
    words: |words| {
        let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"*")).collect();
        quoted.join(" ")
    },
};

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

impl Backend for Sqlite {
    fn write(&mut self, entries: &[Entry]) -> Result<(), Trouble> {
        self.file.with(|connection| {
            let behavior = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
            insert(&transaction, entries)?;
            Ok(transaction.commit()?)
        })
    }

    fn sweep(&mut self, now_ms: u64) -> Result<bool, Trouble> {
        let terms = self.terms;
        self.file.sweep(|connection| {
            let behavior = TransactionBehavior::Immediate;
            let transaction = connection.transaction_with_behavior(behavior)?;
            let more = sweep(&transaction, terms, whole(now_ms))?;
            transaction.commit()?;
            Ok(more)
        })
    }

    fn ask(&mut self, question: &Question) -> Result<Reply, Trouble> {
        self.file.with(|connection| match question {
            Question::Page(filter, after, most) => {
                page(connection, filter, *after, *most).map(Reply::Page)
            }
            Question::Detail(number) => detail(connection, *number).map(Reply::Detail),
            Question::Usage {
                from_ms,
                until_ms,
                step,
                group,
            } => usage(connection, *from_ms, *until_ms, *step, *group).map(Reply::Usage),
        })
    }
}

fn insert(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), Trouble> {
    let mut rows = transaction.prepare_cached(INSERT)?;
    let mut words =
        transaction.prepare_cached("INSERT INTO words (rowid, word) VALUES (?1, ?2)")?;
    let mut counts = transaction.prepare_cached(COUNT)?;
    for entry in entries {
        let row = &entry.row;
        rows.execute(params![
            whole(row.started_ms),
            row.id,
            row.key,
            row.model,
            row.provider,
            row.session,
            row.thread,
            row.class.name(),
            row.status,
            entry.json,
            entry.bodies,
        ])?;
        words.execute(params![transaction.last_insert_rowid(), entry.words])?;
    }
    for (group, totals) in &super::sums(entries) {
        let Totals { usage, .. } = totals;
        counts.execute(params![
            whole(group.hour_ms),
            group.key,
            group.model,
            group.provider,
            whole(totals.requests),
            whole(totals.errors),
            whole(usage.input),
            whole(usage.cached),
            whole(usage.cache_write),
            whole(usage.output),
            whole(usage.reasoning),
            whole(totals.cost_nanos),
            whole(totals.unpriced),
        ])?;
    }
    Ok(())
}

fn sweep(transaction: &Transaction<'_>, terms: Terms, now_ms: i64) -> Result<bool, Trouble> {
    let before = now_ms.saturating_sub(millis(terms.usage_max_age));
    transaction.execute("DELETE FROM usage WHERE hour <= ?1", [before])?;
    let before = now_ms.saturating_sub(millis(terms.max_age));
    let old = delete(transaction, Some(before))?;
    let large = sqlite::bytes(transaction)? > terms.max_bytes;
    let gone = match large {
        true => delete(transaction, None)?,
        false => 0,
    };
    Ok(old == STEP_ROWS || gone > 0)
}

/// Deletes some of the oldest rows, of those that began till then; how many.
fn delete(transaction: &Transaction<'_>, till_ms: Option<i64>) -> Result<i64, Trouble> {
    let mut oldest = transaction.prepare_cached(
        "SELECT number FROM exchanges WHERE started_ms <= ?1
         ORDER BY started_ms, number LIMIT ?2",
    )?;
    let given = params![till_ms.unwrap_or(i64::MAX), STEP_ROWS];
    let numbers = oldest.query_map(given, |row| row.get(0))?;
    let numbers = numbers.collect::<Result<Vec<i64>, _>>()?;
    let mut words = transaction.prepare_cached("DELETE FROM words WHERE rowid = ?1")?;
    let mut rows = transaction.prepare_cached("DELETE FROM exchanges WHERE number = ?1")?;
    for number in &numbers {
        words.execute([number])?;
        rows.execute([number])?;
    }
    Ok(whole(numbers.len() as u64))
}

fn page(
    connection: &Connection,
    filter: &Filter,
    after: Option<Cursor>,
    most: usize,
) -> Result<Page, Trouble> {
    let select = Select::page(&DIALECT, filter, after, most);
    let given: Vec<&dyn ToSql> = select
        .values
        .iter()
        .map(|value| match value {
            Value::Number(number) => number as &dyn ToSql,
            Value::Text(text) => text as &dyn ToSql,
        })
        .collect();
    let mut statement = connection.prepare(&select.sql)?;
    let mut found = statement.query(given.as_slice())?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        rows.push(select::row(
            row.get(0)?,
            row.get_ref(1)?.as_str().unwrap_or(""),
        )?);
    }
    Ok(select::page(rows, most))
}

fn detail(connection: &Connection, number: u64) -> Result<Option<Box<Detail>>, Trouble> {
    let mut statement =
        connection.prepare_cached("SELECT row, bodies FROM exchanges WHERE number = ?1")?;
    let found = statement.query_row([whole(number)], |row| {
        Ok((row.get::<_, String>(0)?, row.get::<_, Option<Vec<u8>>>(1)?))
    });
    let Some((json, bodies)) = found.optional()? else {
        return Ok(None);
    };
    super::detail(whole(number), &json, bodies.as_deref()).map(Some)
}

fn usage(
    connection: &Connection,
    from_ms: u64,
    until_ms: u64,
    step: Step,
    group: Group,
) -> Result<Vec<Bucket>, Trouble> {
    let name = select::column(group);
    let mut statement = connection.prepare(&format!(
        "SELECT hour / ?3 * ?3 AS step, {name} AS name, sum(requests), sum(errors), sum(input),
             sum(cached), sum(cache_write), sum(output), sum(reasoning), sum(cost_nanos),
             sum(unpriced)
         FROM usage WHERE hour > ?1 AND hour < ?2
         GROUP BY step, name ORDER BY step, name"
    ))?;
    let given = params![
        super::hour_before(from_ms),
        whole(until_ms),
        whole(step.millis())
    ];
    let buckets = statement.query_map(given, |row| {
        let number = |at| Ok::<u64, rusqlite::Error>(row.get::<_, i64>(at)?.unsigned_abs());
        super::bucket(row.get(1)?, number)
    })?;
    Ok(buckets.collect::<Result<_, _>>()?)
}
