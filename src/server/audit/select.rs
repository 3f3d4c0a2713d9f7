//! Questions as SQL: the same words for each database, but for placeholders, the search and the
//! names of the tables.

use crate::ledger::audit::{Cursor, Filter, Group, Page, Row};
use crate::ledger::words::wanted;
use crate::limits;
use crate::server::database::{Trouble, whole};

/// Most words that are looked for at once.
const WANTED_MAX: usize = 16;

/// What differs between databases.
pub(super) struct Dialect {
    /// Before the number of a placeholder.
    pub(super) mark: char,
    /// The table of the rows.
    pub(super) table: &'static str,
    /// The condition that a row has the words, `{}` for the placeholder.
    pub(super) search: &'static str,
    /// The row as a text.
    pub(super) row: &'static str,
    /// The words, as the search takes them.
    pub(super) words: fn(&[String]) -> String,
}

/// A value for a placeholder.
#[derive(Debug, PartialEq)]
pub(super) enum Value {
    Number(i64),
    Text(String),
}

/// A statement that has been written, and what its placeholders stand for.
pub(super) struct Select<'a> {
    dialect: &'a Dialect,
    pub(super) sql: String,
    pub(super) values: Vec<Value>,
}

impl<'a> Select<'a> {
    /// Rows, newest first; one more than are wanted, where there is one.
    pub(super) fn page(
        dialect: &'a Dialect,
        filter: &Filter,
        after: Option<Cursor>,
        most: usize,
    ) -> Self {
        let Dialect { table, row, .. } = dialect;
        let mut select = Select {
            dialect,
            sql: format!("SELECT number, {row} FROM {table} WHERE true"),
            values: Vec::new(),
        };
        select.number("started_ms >= {}", filter.from_ms);
        select.number("started_ms < {}", filter.until_ms);
        if let Some(status) = &filter.status {
            select.number("status >= {}", Some((*status.start()).into()));
            select.number("status <= {}", Some((*status.end()).into()));
        }
        for (condition, wanted) in [
            ("key = {}", &filter.key),
            ("model = {}", &filter.model),
            ("provider = {}", &filter.provider),
            ("session = {}", &filter.session),
            ("thread = {}", &filter.thread),
            ("id = {}", &filter.id),
        ] {
            // No text of a database holds a NUL, so nothing is called so.
            select.text(
                condition,
                wanted.as_ref().map(|w| w.replace('\0', "\u{fffd}")),
            );
        }
        select.text(
            "class = {}",
            filter.class.map(|class| class.name().to_owned()),
        );
        let mut words = wanted(&filter.text, WANTED_MAX);
        if let Some(id) = &filter.id {
            // There is no index of ids but that of words.
            let words_of_id = wanted(id, WANTED_MAX).into_iter();
            words.extend(words_of_id.max_by_key(String::len));
        }
        if !words.is_empty() {
            select.text(dialect.search, Some((dialect.words)(&words)));
        } else if !filter.text.trim().is_empty() {
            // Signs alone are in no word.
            select.sql.push_str(" AND false");
        }
        if let Some(cursor) = after {
            select.number("(started_ms, number) < ({}, {})", Some(cursor.started_ms));
            select.fill(Value::Number(whole(cursor.number)));
        }
        let most = most.clamp(1, limits::AUDIT_PAGE_MAX) + 1;
        let order = format!(" ORDER BY started_ms DESC, number DESC LIMIT {most}");
        select.sql.push_str(&order);
        select
    }

    fn number(&mut self, condition: &str, value: Option<u64>) {
        if let Some(value) = value {
            self.also(condition, Value::Number(whole(value)));
        }
    }

    fn text(&mut self, condition: &str, value: Option<String>) {
        if let Some(value) = value {
            self.also(condition, Value::Text(value));
        }
    }

    fn also(&mut self, condition: &str, value: Value) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.fill(value);
    }

    /// Gives the first placeholder its number. What is looked for never stands in the statement.
    fn fill(&mut self, value: Value) {
        self.values.push(value);
        let placeholder = format!("{}{}", self.dialect.mark, self.values.len());
        self.sql = self.sql.replacen("{}", &placeholder, 1);
    }
}

/// The page of rows that a [`Select::page`] for `most` has given.
pub(super) fn page(mut rows: Vec<Row>, most: usize) -> Page {
    let most = most.clamp(1, limits::AUDIT_PAGE_MAX);
    let more = rows.len() > most;
    rows.truncate(most);
    let next = rows.last().filter(|_| more).map(Row::cursor);
    Page { rows, next }
}

/// A row out of its number and its text.
pub(super) fn row(number: i64, json: &str) -> Result<Row, Trouble> {
    let damaged = |e| Trouble::Refused(format!("what was kept is damaged: {e}"));
    let mut row: Row = serde_json::from_str(json).map_err(damaged)?;
    row.number = number.unsigned_abs();
    Ok(row)
}

/// The column that groups are told apart by.
pub(super) fn column(group: Group) -> &'static str {
    match group {
        Group::All => "''",
        Group::Key => "key",
        Group::Model => "model",
        Group::Provider => "provider",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::audit::Class;

    const DIALECT: Dialect = Dialect {
        mark: '$',
        table: "rows",
        search: "words @@ {}::tsquery",
        row: "row",
        words: |words| words.join("&"),
    };

    #[test]
    fn what_somebody_types_is_a_value_and_never_sql() {
        let evil = "?' OR 1=1; DROP TABLE rows --";
        let filter = Filter {
            from_ms: Some(5),
            key: Some(evil.to_owned()),
            class: Some(Class::Failed),
            status: Some(400..=499),
            text: evil.to_owned(),
            ..Filter::default()
        };
        let cursor = Cursor {
            started_ms: 7,
            number: u64::MAX,
        };
        let select = Select::page(&DIALECT, &filter, Some(cursor), 10);
        assert_eq!(
            select.sql,
            "SELECT number, row FROM rows WHERE true AND started_ms >= $1 AND status >= $2 AND \
             status <= $3 AND key = $4 AND class = $5 AND words @@ $6::tsquery AND \
             (started_ms, number) < ($7, $8) ORDER BY started_ms DESC, number DESC LIMIT 11"
        );
        assert_eq!(select.values[3], Value::Text(evil.to_owned()));
        assert_eq!(
            select.values[5],
            Value::Text("1&drop&or&rows&table".to_owned())
        );
        assert_eq!(select.values[7], Value::Number(i64::MAX));
    }
}
