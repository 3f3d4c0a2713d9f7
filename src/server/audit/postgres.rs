//! The audit in a PostgreSQL database, which several Straits may share.

use super::entry::Entry;
use super::select::{self, Dialect, Select, Value};
use super::{Backend, SCHEMA, Terms};
use crate::config::Database;
use crate::ledger::audit::{
    Bucket, Cursor, Detail, Filter, Group, Page, Question, Reply, Step, Totals,
};
use crate::server::database::postgres::{LOCK, Link, Transaction};
use crate::server::database::{Trouble, millis, whole};
use postgres::types::ToSql;
use std::path::Path;

/// Most rows in a step of a sweep.
const STEP_ROWS: i64 = 500;

const TABLES: &str = "
CREATE TABLE strait_audit_schema (version BIGINT NOT NULL);
CREATE TABLE strait_exchanges (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    started_ms BIGINT NOT NULL,                -- Unix milliseconds
    id TEXT NOT NULL,
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    session TEXT NOT NULL,
    thread TEXT NOT NULL,
    class TEXT NOT NULL,                       -- done, failed, left
    status BIGINT NOT NULL,
    bytes BIGINT NOT NULL,                     -- of the row, its words and its bodies
    row JSONB NOT NULL,                        -- all of it
    words TSVECTOR NOT NULL,
    bodies BYTEA                               -- JSON, packed
);
-- What is packed already is not packed again.
ALTER TABLE strait_exchanges ALTER COLUMN bodies SET STORAGE EXTERNAL;
CREATE INDEX strait_exchanges_by_time ON strait_exchanges (started_ms, number) INCLUDE (bytes);
CREATE INDEX strait_exchanges_by_session ON strait_exchanges (session, started_ms)
    WHERE session <> '';
CREATE INDEX strait_exchanges_by_words ON strait_exchanges USING GIN (words);
CREATE TABLE strait_usage (
    hour BIGINT NOT NULL,                      -- its begin, Unix milliseconds
    key TEXT NOT NULL,
    model TEXT NOT NULL,
    provider TEXT NOT NULL,
    requests BIGINT NOT NULL,
    errors BIGINT NOT NULL,
    input BIGINT NOT NULL,
    cached BIGINT NOT NULL,
    cache_write BIGINT NOT NULL,
    output BIGINT NOT NULL,
    reasoning BIGINT NOT NULL,
    cost_nanos BIGINT NOT NULL,                -- billionths of a US dollar
    unpriced BIGINT NOT NULL,
    PRIMARY KEY (hour, key, model, provider)
);
";

/// All rows of a transaction in one statement.
const INSERT: &str = "
INSERT INTO strait_exchanges (started_ms, id, key, model, provider, session, thread, class, status,
    bytes, row, words, bodies)
SELECT started_ms, id, key, model, provider, session, thread, class, status, bytes, row::jsonb,
    array_to_tsvector(string_to_array(words, ' ')), bodies
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::bigint[], $10::bigint[], $11::text[], $12::text[], $13::bytea[])
    AS entry (started_ms, id, key, model, provider, session, thread, class, status, bytes, row,
        words, bodies)";

const COUNT: &str = "
INSERT INTO strait_usage AS sums (hour, key, model, provider, requests, errors, input, cached,
    cache_write, output, reasoning, cost_nanos, unpriced)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (hour, key, model, provider) DO UPDATE SET requests = sums.requests + excluded.requests,
    errors = sums.errors + excluded.errors, input = sums.input + excluded.input,
    cached = sums.cached + excluded.cached, cache_write = sums.cache_write + excluded.cache_write,
    output = sums.output + excluded.output, reasoning = sums.reasoning + excluded.reasoning,
    cost_nanos = sums.cost_nanos + excluded.cost_nanos,
    unpriced = sums.unpriced + excluded.unpriced";

const BYTES: &str = "SELECT coalesce(sum(bytes), 0)::bigint FROM strait_exchanges";

const DELETE_OLD: &str = "
DELETE FROM strait_exchanges WHERE number IN (SELECT number FROM strait_exchanges
    WHERE started_ms <= $1 ORDER BY started_ms, number LIMIT $2)";

/// The oldest, until so many bytes are gone.
const DELETE_OLDEST: &str = "
DELETE FROM strait_exchanges WHERE number IN (
    SELECT number FROM (
        SELECT number, sum(bytes) OVER (ORDER BY started_ms, number) - bytes AS before
        FROM (SELECT number, started_ms, bytes FROM strait_exchanges
            ORDER BY started_ms, number LIMIT $2) AS oldest
    ) AS counted WHERE before < $1::bigint
)";

const DELETE_USAGE: &str = "DELETE FROM strait_usage WHERE hour <= $1";

const DETAIL: &str = "SELECT row::text, bodies FROM strait_exchanges WHERE number = $1";

const DIALECT: Dialect = Dialect {
    mark: '$',
    table: "strait_exchanges",
    search: "words @@ {}::text::tsquery",
    row: "row::text",
    // Words are letters and digits, so nothing in them ends the quotes.
    words: |words| {
        let quoted: Vec<String> = words.iter().map(|word| format!("'{word}':*")).collect();
        quoted.join(" & ")
    },
};

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
    ) -> Result<Self, String> {
        let link = Link::new(database, ca_file, &SCHEMA, TABLES)?;
        Ok(Postgres { link, terms })
    }
}

impl Backend for Postgres {
    fn write(&mut self, entries: &[Entry]) -> Result<(), Trouble> {
        self.link.within(|transaction| insert(transaction, entries))
    }

    fn sweep(&mut self, now_ms: u64) -> Result<bool, Trouble> {
        let terms = self.terms;
        self.link
            .within(|transaction| sweep(transaction, terms, whole(now_ms)))
    }

    fn ask(&mut self, question: &Question) -> Result<Reply, Trouble> {
        self.link.within(|transaction| match question {
            Question::Page(filter, after, most) => {
                page(transaction, filter, *after, *most).map(Reply::Page)
            }
            Question::Detail(number) => detail(transaction, *number).map(Reply::Detail),
            Question::Usage {
                from_ms,
                until_ms,
                step,
                group,
            } => usage(transaction, *from_ms, *until_ms, *step, *group).map(Reply::Usage),
        })
    }
}

fn insert(transaction: &mut Transaction<'_>, entries: &[Entry]) -> Result<(), Trouble> {
    let numbers =
        |of: fn(&Entry) -> u64| -> Vec<i64> { entries.iter().map(|e| whole(of(e))).collect() };
    let texts = |of: fn(&Entry) -> &str| -> Vec<&str> { entries.iter().map(of).collect() };
    let bodies: Vec<Option<&[u8]>> = entries.iter().map(|e| e.bodies.as_deref()).collect();
    transaction.execute(
        INSERT,
        &[
            &numbers(|e| e.row.started_ms),
            &texts(|e| &e.row.id),
            &texts(|e| &e.row.key),
            &texts(|e| &e.row.model),
            &texts(|e| &e.row.provider),
            &texts(|e| &e.row.session),
            &texts(|e| &e.row.thread),
            &texts(|e| e.row.class.name()),
            &numbers(|e| e.row.status.into()),
            &numbers(|e| {
                let bodies = e.bodies.as_ref().map_or(0, Vec::len);
                (e.json.len() + e.words.len() + bodies) as u64
            }),
            &texts(|e| &e.json),
            &texts(|e| &e.words),
            &bodies,
        ],
    )?;
    // In the order of the groups, so that two who do it at once cannot wait for each other.
    for (group, totals) in &super::sums(entries) {
        let Totals { usage, .. } = totals;
        transaction.execute(
            COUNT,
            &[
                &whole(group.hour_ms),
                &group.key,
                &group.model,
                &group.provider,
                &whole(totals.requests),
                &whole(totals.errors),
                &whole(usage.input),
                &whole(usage.cached),
                &whole(usage.cache_write),
                &whole(usage.output),
                &whole(usage.reasoning),
                &whole(totals.cost_nanos),
                &whole(totals.unpriced),
            ],
        )?;
    }
    Ok(())
}

/// A step, unless another node is at it; true if there is more to do.
fn sweep(transaction: &mut Transaction<'_>, terms: Terms, now_ms: i64) -> Result<bool, Trouble> {
    let alone = transaction.first("SELECT pg_try_advisory_xact_lock($1)", &[&LOCK])?;
    if !alone.map_or(Ok(false), |row| row.try_get(0))? {
        return Ok(false);
    }
    let before = now_ms.saturating_sub(millis(terms.usage_max_age));
    transaction.execute(DELETE_USAGE, &[&before])?;
    let before = now_ms.saturating_sub(millis(terms.max_age));
    let old = transaction.execute(DELETE_OLD, &[&before, &STEP_ROWS])?;
    let bytes: i64 = match transaction.first(BYTES, &[])? {
        Some(row) => row.try_get(0)?,
        None => 0,
    };
    let excess = bytes.saturating_sub(whole(terms.max_bytes));
    let gone = match excess > 0 {
        true => transaction.execute(DELETE_OLDEST, &[&excess, &STEP_ROWS])?,
        false => 0,
    };
    Ok(old == STEP_ROWS || gone == STEP_ROWS)
}

fn page(
    transaction: &mut Transaction<'_>,
    filter: &Filter,
    after: Option<Cursor>,
    most: usize,
) -> Result<Page, Trouble> {
    let select = Select::page(&DIALECT, filter, after, most);
    let given: Vec<&(dyn ToSql + Sync)> = select
        .values
        .iter()
        .map(|value| match value {
            Value::Number(number) => number as &(dyn ToSql + Sync),
            Value::Text(text) => text as &(dyn ToSql + Sync),
        })
        .collect();
    let mut rows = Vec::new();
    for row in transaction.query_once(&select.sql, &given)? {
        rows.push(select::row(row.try_get(0)?, row.try_get(1)?)?);
    }
    Ok(select::page(rows, most))
}

fn detail(transaction: &mut Transaction<'_>, number: u64) -> Result<Option<Box<Detail>>, Trouble> {
    let Some(row) = transaction.first(DETAIL, &[&whole(number)])? else {
        return Ok(None);
    };
    super::detail(whole(number), row.try_get(0)?, row.try_get(1)?).map(Some)
}

fn usage(
    transaction: &mut Transaction<'_>,
    from_ms: u64,
    until_ms: u64,
    step: Step,
    group: Group,
) -> Result<Vec<Bucket>, Trouble> {
    let name = select::column(group);
    let sql = format!(
        "SELECT hour / $3 * $3, ({name})::text, sum(requests)::bigint,
             sum(errors)::bigint, sum(input)::bigint, sum(cached)::bigint,
             sum(cache_write)::bigint, sum(output)::bigint, sum(reasoning)::bigint,
             sum(cost_nanos)::bigint, sum(unpriced)::bigint
         FROM strait_usage WHERE hour > $1 AND hour < $2
         GROUP BY 1, 2 ORDER BY 1, ({name})::text COLLATE \"C\""
    );
    let given: [&(dyn ToSql + Sync); 3] = [
        &super::hour_before(from_ms),
        &whole(until_ms),
        &whole(step.millis()),
    ];
    let mut buckets = Vec::new();
    for row in transaction.query_once(&sql, &given)? {
        let number = |at: usize| Ok::<u64, Trouble>(row.try_get::<_, i64>(at)?.unsigned_abs());
        buckets.push(super::bucket(row.try_get(1)?, number)?);
    }
    Ok(buckets)
}
