//! The audit: a row for each exchange, what can be asked about the rows, and sums over them.
//!
//! Who answers — SQLite or PostgreSQL — is the shell's business.

use super::record::{Passed, Record, Try};
use super::usage::Usage;
use crate::limits;
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How an exchange ended, roughly.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The client has what it asked for.
    #[default]
    Done,
    /// It got an error, or an answer with an error at its end.
    Failed,
    /// It went away before the end.
    Left,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 3] = [Class::Done, Class::Failed, Class::Left];

    /// As it is stored, and said in the API.
    pub fn name(self) -> &'static str {
        match self {
            Class::Done => "done",
            Class::Failed => "failed",
            Class::Left => "left",
        }
    }

    /// The class of that name.
    pub fn named(name: &str) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.name() == name)
    }

    fn of(record: &Record) -> Class {
        let last = record.tries.last();
        match record.outcome {
            "client_gone" => Class::Left,
            "failed" => Class::Failed,
            _ if record.status >= 400 || last.is_some_and(|t| !t.error.is_empty()) => Class::Failed,
            _ => Class::Done,
        }
    }
}

/// A try upstream, as it is kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Tried {
    /// The provider's name in the configuration.
    pub provider: String,
    /// The provider's name for the model.
    pub model: String,
    /// Which of the provider's keys was shown, from 1; 0: none.
    pub api_key: u16,
    /// The status of its answer; 0 where there was none.
    pub status: u16,
    /// Why it was not the answer, in one word; empty for the one that was.
    pub error: String,
    /// From the exchange's begin to its own.
    pub began_ms: u64,
    /// From its begin to its end.
    pub took_ms: u64,
    /// The targets that were passed over on the way to it, and behind it where it was the last:
    /// `provider/model: breaker_open`, or `key_resting`.
    pub passed: Vec<String>,
}

impl Tried {
    fn of(tried: Try) -> Tried {
        Tried {
            provider: tried.provider,
            model: tried.model,
            api_key: tried.key,
            status: tried.status,
            error: tried.error.to_owned(),
            began_ms: millis(tried.began),
            took_ms: millis(tried.took),
            passed: tried.passed.iter().map(Passed::to_string).collect(),
        }
    }
}

/// Defines the row, and how it is kept: without what is as in a row that tells nothing.
macro_rules! row {
    ($(#[$about:meta])* pub struct Row { $($(#[$doc:meta])* pub $field:ident: $type:ty,)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
        #[serde(default)]
        pub struct Row { $($(#[$doc])* pub $field: $type,)* }

        impl Serialize for Sparse<'_> {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut map = to.serialize_map(None)?;
                $(if self.0.$field != <$type>::default() {
                    map.serialize_entry(stringify!($field), &self.0.$field)?;
                })*
                map.end()
            }
        }
    };
}

/// A row as it is kept.
pub struct Sparse<'a>(&'a Row);

row! {
    /// An exchange, as it is kept. Nothing in it is secret, and nothing is content.
    pub struct Row {
        /// Its number in the database, which nothing else has; 0 before it is kept.
        pub number: u64,
        /// When its head was there, in Unix milliseconds.
        pub started_ms: u64,
        /// From there to the first piece of the answer.
        pub first_event_ms: Option<u64>,
        /// From there to the end.
        pub took_ms: u64,
        /// The request's own id, as the client was told it.
        pub id: String,
        /// The id that the client gave it; empty where it gave none.
        pub client_id: String,
        /// The request's method; `WEBSOCKET` for one over a WebSocket.
        pub method: String,
        /// The request's path, without its query.
        pub path: String,
        /// Where it came from: an IP address, or `unix`; empty where that is not known.
        pub client: String,
        /// The name of the client key; empty where Strait asked for none.
        pub key: String,
        /// Codex's session; empty for other clients.
        pub session: String,
        /// Codex's thread: the session itself, or one of its sub-agents.
        pub thread: String,
        /// Codex's turn.
        pub turn: String,
        /// The client's program and its version: `codex_exec/0.169.0`.
        pub agent: String,
        /// The model that the client asked for.
        pub model: String,
        /// The model that the answer names.
        pub served: String,
        /// The name in the configuration of the provider that was asked last; empty where none was.
        pub provider: String,
        /// That provider's name for the model.
        pub target: String,
        /// The tries upstream, in order.
        pub tries: Vec<Tried>,
        /// How it ended, roughly.
        pub class: Class,
        /// The status that the client got; 0 where it got none.
        pub status: u16,
        /// How it ended, in one word.
        pub outcome: String,
        /// Why the model stopped, in the provider's word.
        pub stop: String,
        /// The error's code, as the client was told it.
        pub code: String,
        /// What the error says.
        pub detail: String,
        /// What was dropped or changed: `code path`, comma separated.
        pub diagnostics: String,
        /// Token counts, where known.
        pub usage: Option<Usage>,
        /// What it cost, in billionths of a US dollar; `None` where tokens or prices are not known.
        pub cost_nanos: Option<u64>,
        /// The client was answered with a stream.
        pub streamed: bool,
        /// Whether the response is kept; `None` where the client wanted none kept.
        pub stored: Option<String>,
        /// How a response in the background ended.
        pub background: Option<String>,
        /// Bytes of the request's body, as they were sent.
        pub request_bytes: u64,
        /// Bytes that providers sent.
        pub upstream_bytes: u64,
        /// Bytes that the client was sent.
        pub answer_bytes: u64,
        /// There is a [`Detail`] with what was said.
        pub has_bodies: bool,
    }
}

impl Row {
    /// The row as it is kept: what is missing is read as what it was.
    pub fn sparse(&self) -> Sparse<'_> {
        Sparse(self)
    }

    /// The row of an exchange that was over at `ended_ms`, in Unix milliseconds.
    pub fn of(record: Record, ended_ms: u64) -> Row {
        let class = Class::of(&record);
        let took_ms = millis(record.took);
        let last = record.tries.last().cloned().unwrap_or_default();
        let name = |text: String| cut(text, limits::AUDIT_NAME_BYTES_MAX);
        let text = |text: String| cut(text, limits::AUDIT_TEXT_BYTES_MAX);
        Row {
            number: 0,
            started_ms: ended_ms.saturating_sub(took_ms),
            first_event_ms: record.first_event.map(millis),
            took_ms,
            id: record.id,
            client_id: name(record.client_id),
            method: name(record.method),
            path: name(record.path),
            client: record.client.to_string(),
            key: record.key,
            session: name(record.session),
            thread: name(record.thread),
            turn: name(record.turn),
            agent: name(record.agent),
            model: name(record.model),
            served: name(record.served),
            provider: last.provider,
            target: name(last.model),
            tries: record.tries.into_iter().map(Tried::of).collect(),
            class,
            status: record.status,
            outcome: record.outcome.to_owned(),
            stop: name(record.stop),
            code: name(record.code),
            detail: text(record.detail),
            diagnostics: text(record.diagnostics),
            usage: record.usage,
            cost_nanos: record.cost_nanos,
            streamed: record.streamed,
            stored: record.kept.map(|kept| kept.name().to_owned()),
            background: record.background.map(str::to_owned),
            request_bytes: record.request_bytes,
            upstream_bytes: record.upstream_bytes,
            answer_bytes: record.answer_bytes,
            has_bodies: false,
        }
    }

    /// Where a page that ends with this row goes on.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            started_ms: self.started_ms,
            number: self.number,
        }
    }
}

/// The place of a row among all: by begin, then by number.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Cursor {
    /// When it began, in Unix milliseconds.
    pub started_ms: u64,
    /// Its number.
    pub number: u64,
}

/// Which rows; what is `None` or empty leaves none out.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Filter {
    /// Begun at this time or later, in Unix milliseconds.
    pub from_ms: Option<u64>,
    /// Begun before this time, in Unix milliseconds.
    pub until_ms: Option<u64>,
    /// The name of the client key.
    pub key: Option<String>,
    /// The model that the client asked for.
    pub model: Option<String>,
    /// The provider that was asked last.
    pub provider: Option<String>,
    /// How it ended.
    pub class: Option<Class>,
    /// The status that the client got.
    pub status: Option<RangeInclusive<u16>>,
    /// Codex's session.
    pub session: Option<String>,
    /// Codex's thread.
    pub thread: Option<String>,
    /// The request's own id.
    pub id: Option<String>,
    /// Words, each of which is the beginning of a word in the row or in what was said.
    pub text: String,
}

/// Rows, newest first.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Page {
    /// The rows.
    pub rows: Vec<Row>,
    /// Where older ones begin; `None`: there are none.
    pub next: Option<Cursor>,
}

/// One side of what was said.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Said {
    /// The first line and the fields, redacted; empty for what came over a WebSocket.
    pub head: String,
    /// The body: redacted, without its framing, perhaps only its begin; of a WebSocket, a line for
    /// each message.
    #[serde(with = "text")]
    pub body: Vec<u8>,
    /// How many more bytes there were.
    pub cut: u64,
}

/// All that was said in an exchange; empty where nothing was.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Bodies {
    /// The request as the client sent it.
    pub request: Said,
    /// The request as the last provider got it.
    pub sent: Said,
    /// That provider's answer.
    pub received: Said,
    /// The answer as the client got it.
    pub answer: Said,
}

/// An exchange with all that is kept of it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Detail {
    /// The row.
    pub row: Row,
    /// What was said, where that is kept.
    pub bodies: Option<Bodies>,
}

/// How wide the steps of a sum over time are. Days are those of UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step {
    /// Days.
    Day,
    /// Hours.
    Hour,
    /// All in one.
    Whole,
}

impl Step {
    /// In milliseconds; of the whole, larger than any time.
    pub fn millis(self) -> u64 {
        match self {
            Step::Day => 86_400_000,
            Step::Hour => 3_600_000,
            Step::Whole => i64::MAX as u64,
        }
    }
}

/// What sums are told apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Group {
    /// Nothing.
    All,
    /// The client key.
    Key,
    /// The model that clients asked for.
    Model,
    /// The provider that was asked last.
    Provider,
}

/// Sums over exchanges.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// How many there were.
    pub requests: u64,
    /// How many of them failed.
    pub errors: u64,
    /// Their tokens.
    pub usage: Usage,
    /// What they cost, in billionths of a US dollar, as far as that is known.
    pub cost_nanos: u64,
    /// How many had tokens but no price.
    pub unpriced: u64,
}

impl Totals {
    /// What a row counts for: tokens and money up to a million millions, so that no provider's
    /// nonsense makes the sums overflow.
    pub fn of(row: &Row) -> Totals {
        let sane = |n: u64| n.min(1_000_000_000_000);
        let usage = row.usage.unwrap_or_default();
        Totals {
            requests: 1,
            errors: u64::from(row.class == Class::Failed),
            usage: Usage {
                input: sane(usage.input),
                cached: sane(usage.cached),
                cache_write: sane(usage.cache_write),
                output: sane(usage.output),
                reasoning: sane(usage.reasoning),
            },
            cost_nanos: sane(row.cost_nanos.unwrap_or_default()),
            unpriced: u64::from(row.usage.is_some() && row.cost_nanos.is_none()),
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Totals) {
        let (own, more) = (&mut self.usage, &other.usage);
        for (sum, addend) in [
            (&mut self.requests, other.requests),
            (&mut self.errors, other.errors),
            (&mut self.cost_nanos, other.cost_nanos),
            (&mut self.unpriced, other.unpriced),
            (&mut own.input, more.input),
            (&mut own.cached, more.cached),
            (&mut own.cache_write, more.cache_write),
            (&mut own.output, more.output),
            (&mut own.reasoning, more.reasoning),
        ] {
            *sum = sum.saturating_add(addend);
        }
    }
}

/// The sums of one step and group.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Bucket {
    /// When the step begins, in Unix milliseconds; 0 for [`Step::Whole`].
    pub from_ms: u64,
    /// The name of the key, model or provider; empty for [`Group::All`].
    pub name: String,
    /// The sums.
    pub totals: Totals,
}

/// A question about what is kept.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Question {
    /// Rows, newest first, behind a cursor; at most [`crate::limits::AUDIT_PAGE_MAX`].
    /// [`Reply::Page`].
    Page(Box<Filter>, Option<Cursor>, usize),
    /// All of one exchange, by its number. [`Reply::Detail`].
    Detail(u64),
    /// Sums over the exchanges that began in a time, which is widened to whole hours (Unix
    /// milliseconds, the end not included); steps and groups in order, without the empty ones.
    /// They are kept longer than rows. [`Reply::Usage`].
    Usage {
        /// The begin of the time.
        from_ms: u64,
        /// Its end.
        until_ms: u64,
        /// How wide the steps are.
        step: Step,
        /// What is told apart.
        group: Group,
    },
}

/// What is answered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply {
    /// Rows.
    Page(Page),
    /// An exchange; `None`: there is none of that number (any more).
    Detail(Option<Box<Detail>>),
    /// Sums.
    Usage(Vec<Bucket>),
}

/// Bytes as the text that they nearly always are.
mod text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&String::from_utf8_lossy(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        String::deserialize(from).map(String::into_bytes)
    }
}

/// What no database has trouble with: not too long, and without the NUL that PostgreSQL's texts
/// cannot hold.
fn cut(mut text: String, max: usize) -> String {
    if text.len() > max {
        let end = (0..=max).rev().find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        text.push('…');
    }
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}"),
        false => text,
    }
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(outcome: &'static str, status: u16, error: &'static str) -> Record {
        let tried = Try {
            provider: "mock".to_owned(),
            model: "m-1".to_owned(),
            status,
            error,
            took: Duration::from_millis(40),
            ..Try::default()
        };
        Record {
            outcome,
            status,
            tries: vec![Try::default(), tried],
            first_event: Some(Duration::from_millis(20)),
            took: Duration::from_millis(50),
            ..Record::default()
        }
    }

    #[test]
    fn a_row_knows_when_it_began_who_answered_and_how_it_ended() {
        let row = Row::of(record("completed", 200, ""), 1_000);
        assert_eq!((row.started_ms, row.first_event_ms), (950, Some(20)));
        assert_eq!(row.took_ms, 50);
        assert_eq!(
            (row.provider.as_str(), row.target.as_str()),
            ("mock", "m-1")
        );
        assert_eq!((row.tries.len(), row.tries[1].took_ms), (2, 40));
        for (outcome, status, error, class) in [
            ("completed", 200, "", Class::Done),
            ("incomplete", 200, "", Class::Done),
            ("failed", 200, "", Class::Failed),
            ("overloaded", 503, "overloaded", Class::Failed),
            ("invalid_key", 401, "", Class::Failed),
            ("completed", 200, "upstream_broken", Class::Failed),
            ("client_gone", 0, "", Class::Left),
        ] {
            let row = Row::of(record(outcome, status, error), 1_000);
            assert_eq!(row.class, class, "{outcome}");
            assert_eq!(Class::named(class.name()), Some(class));
        }
    }

    #[test]
    fn what_others_say_is_cut_and_has_no_nul() {
        let mut long = record("completed", 200, "");
        long.session = "é".repeat(1000);
        long.model = "a\0b".to_owned();
        let row = Row::of(long, 1_000);
        assert_eq!(row.session.len(), 256 + "…".len());
        assert_eq!(row.model, "a\u{fffd}b");
    }

    #[test]
    fn sums_add_up_whatever_a_provider_says() {
        let mut row = Row::of(record("failed", 200, ""), 1_000);
        row.usage = Some(Usage {
            input: u64::MAX,
            output: 3,
            ..Usage::default()
        });
        let mut sum = Totals::of(&row);
        sum.add(&Totals::of(&row));
        assert_eq!((sum.requests, sum.errors, sum.unpriced), (2, 2, 2));
        assert_eq!((sum.usage.input, sum.usage.output), (2_000_000_000_000, 6));
    }
}
