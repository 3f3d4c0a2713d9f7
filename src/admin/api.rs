//! The same as the pages as JSON, for programs. `openapi.json` describes it; a test holds each
//! answer against it.

use super::filter::{self, wrong};
use super::keys;
use super::known::Known;
use super::query::Query;
use super::reply;
use crate::config::Snapshot;
use crate::error::{Error, Kind, Source};
use crate::ledger::audit::{Bodies, Bucket, Detail, Group, Question, Reply, Row, Said, Step};
use crate::ledger::health::Condition;
use crate::ledger::live::View;
use crate::limits;
use crate::route::operator;
use serde::Serialize;
use std::time::{Duration, Instant};

const OPENAPI: &str = include_str!("assets/openapi.json");
const ROOT: &str = "/admin/api";
const DAY_MS: u64 = 86_400_000;
/// Rows of a page, where the query names no number.
const ROWS: usize = 50;
/// How far back usage is told, where the query names no time.
const DAYS: u64 = 30;

/// What is asked for.
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) query: &'a Query,
    pub(super) snapshot: &'a Snapshot,
    pub(super) unix_s: u64,
    pub(super) now: Instant,
}

/// A list of things.
#[derive(Serialize)]
struct List<T> {
    object: &'static str,
    data: Vec<T>,
    /// The place at which the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<Option<String>>,
}

impl<T> List<T> {
    fn of(data: Vec<T>) -> Self {
        let object = "list";
        let next = None;
        List { object, data, next }
    }
}

/// Answers a path below `/admin/api`.
pub(super) fn answer(asked: &Asked<'_>, known: &mut dyn Known) -> operator::Reply {
    let path = asked.path.strip_prefix(ROOT).unwrap_or_default();
    let told = match path {
        "/openapi.json" => return reply::of(200, "application/json", OPENAPI.into()),
        "/v1/live" => Ok(live(known.live(asked.now))),
        "/v1/audit" => rows(asked.query, known),
        "/v1/usage" => usage(asked, known),
        "/v1/providers" => Ok(reply::json(&List::of(providers(asked.snapshot, asked.now)))),
        "/v1/keys" => {
            let keys = keys::all(asked.snapshot, asked.unix_s, asked.now);
            Ok(reply::json(&List::of(keys)))
        }
        "/v1/models" => Ok(reply::json(&List::of(models(asked.snapshot)))),
        _ => match path.strip_prefix("/v1/audit/") {
            Some(number) => row(number, known),
            None => Err(missing(asked.path)),
        },
    };
    told.unwrap_or_else(|error| reply::error(&error))
}

fn missing(path: &str) -> Error {
    let message = format!("Unknown request URL: GET {path}.");
    Error::new(Source::Downstream, Kind::NotFound, message)
}

fn ask(known: &mut dyn Known, question: Question) -> Result<Reply, Error> {
    match known.audit(question) {
        Some(Ok(reply)) => Ok(reply),
        Some(Err(why)) => {
            let message = format!("The audit could not be asked: {why}.");
            Err(Error::new(Source::Gateway, Kind::StoreFailed, message))
        }
        None => {
            let message = "No audit is kept: the gateway runs without one.";
            Err(Error::new(Source::Gateway, Kind::StoreOff, message))
        }
    }
}

/// A stream under way.
#[derive(Serialize)]
struct Stream<'a> {
    id: &'a str,
    key: &'a str,
    session: &'a str,
    asked: &'a str,
    provider: &'a str,
    model: &'a str,
    attempt: usize,
    phase: &'static str,
    age_ms: u64,
    silent_ms: Option<u64>,
    events: u64,
    bytes: u64,
    tokens_per_s: Option<f64>,
}

fn live(views: Vec<View>) -> operator::Reply {
    let ms = |duration: Duration| duration.as_millis() as u64;
    let streams = views.iter().map(|view| Stream {
        id: &view.facts.id,
        key: &view.facts.key,
        session: &view.facts.session,
        asked: &view.facts.asked,
        provider: &view.facts.provider,
        model: &view.facts.model,
        attempt: view.facts.attempt,
        phase: view.phase.name(),
        age_ms: ms(view.age),
        silent_ms: view.silent.map(ms),
        events: view.events,
        bytes: view.bytes,
        tokens_per_s: view.rate,
    });
    reply::json(&List::of(streams.collect()))
}

fn rows(query: &Query, known: &mut dyn Known) -> Result<operator::Reply, Error> {
    let filter = filter::filter(query)?;
    let cursor = filter::cursor(query)?;
    let limit = filter::limit(query, ROWS, limits::AUDIT_PAGE_MAX)?;
    let page = match ask(known, Question::Page(Box::new(filter), cursor, limit))? {
        Reply::Page(page) => page,
        _ => Default::default(),
    };
    let mut list = List::of(page.rows);
    list.next = Some(page.next.as_ref().map(filter::write_cursor));
    Ok(reply::json(&list))
}

/// A row with what was said.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    row: &'a Row,
    bodies: Option<Texts<'a>>,
}

#[derive(Serialize)]
struct Texts<'a> {
    request: Text<'a>,
    sent: Text<'a>,
    received: Text<'a>,
    answer: Text<'a>,
}

#[derive(Serialize)]
struct Text<'a> {
    head: &'a str,
    body: String,
    cut: u64,
}

impl<'a> Texts<'a> {
    fn of(bodies: &'a Bodies) -> Self {
        Texts {
            request: Text::of(&bodies.request),
            sent: Text::of(&bodies.sent),
            received: Text::of(&bodies.received),
            answer: Text::of(&bodies.answer),
        }
    }
}

impl<'a> Text<'a> {
    fn of(said: &'a Said) -> Self {
        Text {
            head: &said.head,
            body: String::from_utf8_lossy(&said.body).into_owned(),
            cut: said.cut,
        }
    }
}

fn row(number: &str, known: &mut dyn Known) -> Result<operator::Reply, Error> {
    let gone = || {
        let message = format!("There is no exchange of the number {number:?}.");
        Error::new(Source::Downstream, Kind::NotFound, message)
    };
    let question = Question::Detail(number.parse().map_err(|_| gone())?);
    let Reply::Detail(Some(detail)) = ask(known, question)? else {
        return Err(gone());
    };
    let Detail { row, bodies } = &*detail;
    let bodies = bodies.as_ref().map(Texts::of);
    Ok(reply::json(&Whole { row, bodies }))
}

fn usage(asked: &Asked<'_>, known: &mut dyn Known) -> Result<operator::Reply, Error> {
    let times = filter::filter(asked.query)?;
    let now_ms = asked.unix_s.saturating_mul(1000);
    let tomorrow = now_ms - now_ms % DAY_MS + DAY_MS;
    let step = match asked.query.get("step") {
        "" | "day" => Step::Day,
        "hour" => Step::Hour,
        "whole" => Step::Whole,
        _ => return Err(wrong("step", "day, hour or whole")),
    };
    let group = match asked.query.get("by") {
        "" => Group::All,
        "key" => Group::Key,
        "model" => Group::Model,
        "provider" => Group::Provider,
        _ => return Err(wrong("by", "key, model or provider")),
    };
    let question = Question::Usage {
        from_ms: times
            .from_ms
            .unwrap_or(tomorrow.saturating_sub(DAYS * DAY_MS)),
        until_ms: times.until_ms.unwrap_or(tomorrow),
        step,
        group,
    };
    let buckets: Vec<Bucket> = match ask(known, question)? {
        Reply::Usage(buckets) => buckets,
        _ => Vec::new(),
    };
    Ok(reply::json(&List::of(buckets)))
}

/// A provider; nothing of its credential.
#[derive(Serialize)]
struct Provider<'a> {
    name: &'a str,
    profile: &'a str,
    host: &'a str,
    port: u16,
    tls: bool,
    credential: &'static str,
    keys: usize,
    keys_resting: usize,
    health: Vec<Health>,
}

/// How a model, or connections as such, fare.
#[derive(Serialize)]
struct Health {
    model: Option<String>,
    breaker: &'static str,
    failures_in_a_row: u32,
    last_error: &'static str,
}

fn health(condition: Condition) -> Health {
    Health {
        model: condition.model,
        breaker: condition.state.name(),
        failures_in_a_row: condition.in_a_row,
        last_error: condition.last_error,
    }
}

fn providers(snapshot: &Snapshot, now: Instant) -> Vec<Provider<'_>> {
    let all = snapshot.providers.values();
    all.map(|provider| Provider {
        name: &provider.name,
        profile: &provider.profile.name,
        host: &provider.origin.host,
        port: provider.origin.port,
        tls: provider.origin.tls,
        credential: match (&provider.login, provider.keys.len()) {
            (Some(_), _) => "login",
            (None, 0) => "none",
            (None, _) => "key",
        },
        keys: provider.keys.len(),
        keys_resting: provider.health.keys_out(now).len(),
        health: provider
            .health
            .conditions()
            .into_iter()
            .map(health)
            .collect(),
    })
    .collect()
}

/// A name that clients may ask for.
#[derive(Serialize)]
struct Model {
    name: String,
    targets: Vec<String>,
    context_window: Option<u64>,
    price: Option<Price>,
}

/// In US dollars per million tokens.
#[derive(Serialize)]
struct Price {
    input: f64,
    cached: Option<f64>,
    output: f64,
}

fn models(snapshot: &Snapshot) -> Vec<Model> {
    let known = snapshot.catalog().into_iter().map(|entry| entry.slug);
    let fallback = snapshot.models.contains_key("*").then(|| "*".to_owned());
    let model = |name: String| {
        let chain = snapshot.resolve(&name).unwrap_or_default();
        let first = chain.first();
        let facts = first.and_then(|t| t.provider.profile.model(&t.model));
        let targets = chain
            .iter()
            .map(|t| format!("{}/{}", t.provider.name, t.model));
        Model {
            targets: targets.collect(),
            context_window: facts.and_then(|f| f.context_window),
            price: facts.and_then(|f| f.price).map(|p| Price {
                input: p.input,
                cached: p.cached,
                output: p.output,
            }),
            name,
        }
    };
    known.chain(fallback).map(model).collect()
}
