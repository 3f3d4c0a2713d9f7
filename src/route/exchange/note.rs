//! What an exchange notes of itself while it lives.

use super::allow::price;
use super::{Attempt, Exchange, RequestId};
use crate::error::Error;
use crate::http::head::RequestHead;
use crate::json::Value;
use crate::ledger::raw::Saying;
use crate::ledger::record::{Record, Try};
use crate::ledger::span::{SpanId, Trace};
use crate::route::plan::Course;
use crate::route::{request_id, trace};
use crate::translate::diagnostic::Diagnostic;

/// Bytes after which a record lists no further diagnostics.
const DIAGNOSTICS_BYTES: usize = 1024;

/// A record that knows only who asks.
pub(super) fn begin(head: &RequestHead, id: RequestId, trace: Option<Box<Trace>>) -> Box<Record> {
    let field = |name| head.headers.get(name).unwrap_or_default().to_owned();
    Box::new(Record {
        id: id.text(),
        client_id: request_id::told(&head.headers).to_owned(),
        trace,
        session: field("session-id"),
        thread: field("thread-id"),
        agent: product(head.headers.get("user-agent").unwrap_or_default()),
        ..Record::default()
    })
}

/// The first product of a `user-agent` (RFC 9110, section 10.1.5).
fn product(agent: &str) -> String {
    agent.split(' ').next().unwrap_or_default().to_owned()
}

/// Notes what was dropped or changed.
pub(super) fn diagnose(record: &mut Record, attempt: &Attempt) {
    let noted = &mut record.diagnostics;
    noted.clear();
    for Diagnostic { code, path, .. } in attempt.diagnostics() {
        if noted.len() > DIAGNOSTICS_BYTES {
            return noted.push_str(", …");
        }
        if !noted.is_empty() {
            noted.push_str(", ");
        }
        noted.push_str(code);
        noted.push(' ');
        noted.push_str(path);
    }
}

impl Exchange {
    /// Notes what the body says of who asks: Codex names its session, thread and turn in it, and on
    /// a WebSocket nowhere else. Begins to note what is said, where the audit wants that.
    pub(super) fn note_request(&mut self, request: Value<'_>, body: &[u8]) {
        let record = &mut self.record;
        if let Some(client) = request.get("client_metadata") {
            for (noted, name) in [
                (&mut record.session, "session_id"),
                (&mut record.thread, "thread_id"),
                (&mut record.turn, "turn_id"),
            ] {
                if noted.is_empty() {
                    let named = client.str(name).map(|id| id.text().into_owned());
                    *noted = named.unwrap_or_default();
                }
            }
        }
        if let Some(max) = self.snapshot.audit.body_max {
            let fields = self.head.headers.iter();
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            let mut saying = Saying {
                max,
                fields: fields.map(owned).collect(),
                ..Saying::default()
            };
            saying.request.take(body, max);
            record.saying = Some(Box::new(saying));
        }
    }

    /// How many tries have begun.
    pub(super) fn tries(&self) -> u32 {
        self.record.tries.len().try_into().unwrap_or(u32::MAX)
    }

    /// Another try upstream begins.
    pub(super) fn try_begins(&mut self, course: &Course) {
        let number = self.tries() + 1;
        let traced = self.record.trace.is_some();
        let passed = self.plan.take_passed().collect();
        let key = course.key.map_or(0, |place| place + 1);
        // Most have one.
        self.record.tries.reserve_exact(1);
        self.record.tries.push(Try {
            provider: course.target.provider.name.clone(),
            model: course.target.model.clone(),
            key: key.try_into().unwrap_or(u16::MAX),
            passed,
            began: self.last.duration_since(self.started),
            span: match traced {
                true => trace::span(&self.entropy, number),
                false => SpanId::default(),
            },
            ..Try::default()
        });
    }

    /// The try upstream is over, for whatever reason.
    pub(super) fn try_ends(&mut self, error: Option<&Error>) {
        if let Some(last) = self.record.tries.last_mut() {
            if let Some(attempt) = &self.attempt {
                last.status = attempt.status();
                attempt.request_id().clone_into(&mut last.request_id);
            }
            last.error = error.map_or("", Error::label);
            let since = self.last.duration_since(self.started);
            last.took = since.saturating_sub(last.began);
        }
    }

    /// Whoever is left after the last try is out.
    pub(super) fn nobody_is_left(&mut self) {
        let passed = self.plan.take_passed();
        if let Some(last) = self.record.tries.last_mut() {
            last.passed.extend(passed);
        }
    }

    /// The try upstream was the last: notes what it came to.
    pub(super) fn note_end(&mut self) {
        let Some(attempt) = &self.attempt else { return };
        diagnose(&mut self.record, attempt);
        let failed = self
            .record
            .tries
            .last()
            .is_some_and(|t| !t.error.is_empty());
        let (stop, served) = (attempt.stop().to_owned(), attempt.served());
        self.record.stop = stop;
        self.record.served = served;
        self.record.usage = attempt.usage();
        self.record.cost_nanos = attempt.usage().and_then(|usage| price(attempt, &usage));
        if !failed {
            self.try_ends(None);
        }
    }

    /// Takes the record away: the exchange is over.
    pub(in crate::route) fn take_record(&mut self) -> Box<Record> {
        let mut record = std::mem::take(&mut self.record);
        // A conversation may go on from here.
        self.record.status = record.status;
        self.record.client = record.client;
        record.method.clone_from(&self.head.method);
        record.path.clone_from(&self.head.path);
        record.endpoint = self.endpoint.name();
        record.events = self.attempt.as_ref().map_or(0, Attempt::events);
        record.asks_model = self.endpoint.needs_model();
        record.streamed = self.attempt.as_ref().is_some_and(Attempt::committed);
        record.took = self.last.duration_since(self.started);
        self.settle(&record);
        record
    }
}
