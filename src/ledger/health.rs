//! How a provider fares: what all workers know together of its origin, its models and its keys.
//!
//! A connection that cannot be made says something of the origin, and so of every model behind it.
//! A 5xx, a reset or silence says something of the one model: others at the same provider may
//! serve well. A 429 says something of a key and a model, a 401 of a key.
//!
//! The lock is taken when an attempt begins and when it is decided, never for an event.

use super::breaker::{Breaker, Policy, State};
use crate::limits;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// How one provider fares. What survives a reload of the configuration is this.
#[derive(Debug, Default)]
pub struct Health(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Connections; `None` before the first.
    origin: Option<Breaker>,
    /// Answers, by model; at most [`limits::HEALTH_MODELS_MAX`].
    models: BTreeMap<String, Breaker>,
    /// Keys that are out.
    resting: Vec<Resting>,
}

#[derive(Debug)]
struct Resting {
    key: u64,
    /// `None`: for every model.
    model: Option<String>,
    until: Instant,
    why: &'static str,
}

/// A try that has begun; its end is told with it.
#[derive(Debug, Default)]
pub struct Ticket {
    probes_origin: bool,
    probes_model: bool,
}

/// What a try told of the provider.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Nothing: it was given up.
    Abandoned,
    /// The provider answered, if only with a refusal.
    Answered,
    /// It took the connection and failed; a label of [`crate::error`].
    Broken(&'static str),
    /// There was no connection; a label of [`crate::error`].
    Unreachable(&'static str),
}

/// Why a target is passed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Out {
    /// When it may be tried again.
    pub until: Instant,
    /// `breaker_open`, or `key_resting` where all its keys are out.
    pub why: &'static str,
}

/// How an origin, a model or a key fares, to be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Condition {
    /// The model; `None`: the connections to the provider.
    pub model: Option<String>,
    /// Where its breaker stands.
    pub state: State,
    /// Since when; `None`: it was never tried.
    pub since: Option<Instant>,
    /// Failures since the last success.
    pub in_a_row: u32,
    /// The label of the last failure; empty where there was none.
    pub last_error: &'static str,
}

impl Condition {
    /// One of a model that was never tried.
    pub fn untried(model: &str) -> Self {
        Condition {
            model: Some(model.to_owned()),
            state: State::Closed,
            since: None,
            in_a_row: 0,
            last_error: "",
        }
    }
}

/// A key that is out, to be shown.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyOut {
    /// The key's id; see `config::ApiKey`.
    pub key: u64,
    /// For this model; `None`: for all.
    pub model: Option<String>,
    /// Till then.
    pub until: Instant,
    /// The label of the error it got.
    pub why: &'static str,
}

impl Health {
    /// Begins a try of `model` with the first of `keys` (ids, best first) that is not out, which is
    /// told. A provider may do without keys.
    pub fn begin(
        &self,
        model: &str,
        keys: &[u64],
        now: Instant,
        policy: &Policy,
    ) -> Result<(Option<u64>, Ticket), Out> {
        let mut inner = self.lock();
        if let Some(until) = inner.broken_until(model, now) {
            let why = "breaker_open";
            return Err(Out { until, why });
        }
        let key = inner.key_of(model, keys, now)?;
        Ok((key, inner.ticket(model, now, policy)))
    }

    /// Begins a try although everything is out: with the key that is back first.
    pub fn begin_anyway(
        &self,
        model: &str,
        keys: &[u64],
        now: Instant,
        policy: &Policy,
    ) -> (Option<u64>, Ticket) {
        let mut inner = self.lock();
        let keys = keys.iter().copied();
        let key = keys.min_by_key(|key| inner.key_out_until(*key, model, now));
        (key, inner.ticket(model, now, policy))
    }

    /// Tells what became of a try.
    pub fn end(
        &self,
        ticket: Ticket,
        model: &str,
        outcome: Outcome,
        now: Instant,
        policy: &Policy,
    ) {
        let mut inner = self.lock();
        let origin = inner.origin.get_or_insert_with(|| Breaker::new(now));
        match outcome {
            Outcome::Abandoned if ticket.probes_origin => origin.abandoned(now),
            Outcome::Abandoned => {}
            Outcome::Unreachable(why) => origin.failed(why, now, policy),
            Outcome::Answered | Outcome::Broken(_) => origin.succeeded(now, policy),
        }
        if let Some(breaker) = inner.model(model, now) {
            match outcome {
                Outcome::Answered => breaker.succeeded(now, policy),
                Outcome::Broken(why) => breaker.failed(why, now, policy),
                _ if ticket.probes_model => breaker.abandoned(now),
                _ => {}
            }
        }
    }

    /// Nobody uses the key till then; for `model`, or for all. `why` is a label of
    /// [`crate::error`].
    pub fn rest(
        &self,
        key: u64,
        model: Option<&str>,
        until: Instant,
        why: &'static str,
        now: Instant,
    ) {
        let mut inner = self.lock();
        let same = |r: &Resting| r.key == key && r.model.as_deref() == model;
        inner.resting.retain(|r| r.until > now && !same(r));
        if inner.resting.len() < limits::HEALTH_KEYS_MAX {
            let model = model.map(str::to_owned);
            let resting = Resting {
                key,
                model,
                until,
                why,
            };
            inner.resting.push(resting);
        }
    }

    /// Whether a try of `model` is out at `now`, whatever the key.
    pub fn is_broken(&self, model: &str, now: Instant) -> bool {
        self.lock().broken_until(model, now).is_some()
    }

    /// Whether the key is out at `now`, for `model` or for all.
    pub fn key_rests(&self, key: u64, model: &str, now: Instant) -> bool {
        self.lock().key_out_until(key, model, now).is_some()
    }

    /// How connections and the models that were tried fare.
    pub fn conditions(&self) -> Vec<Condition> {
        let inner = self.lock();
        let origin = inner.origin.iter().map(|b| condition(None, b));
        let models = inner.models.iter();
        origin
            .chain(models.map(|(model, b)| condition(Some(model), b)))
            .collect()
    }

    /// The keys that are out.
    pub fn keys_out(&self, now: Instant) -> Vec<KeyOut> {
        let inner = self.lock();
        let resting = inner.resting.iter().filter(|r| r.until > now);
        resting
            .map(|r| KeyOut {
                key: r.key,
                model: r.model.clone(),
                until: r.until,
                why: r.why,
            })
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing in here is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn ticket(&mut self, model: &str, now: Instant, policy: &Policy) -> Ticket {
        let origin = self.origin.get_or_insert_with(|| Breaker::new(now));
        let probes_origin = origin.begin(now, policy);
        let breaker = self.model(model, now);
        Ticket {
            probes_origin,
            probes_model: breaker.is_some_and(|b| b.begin(now, policy)),
        }
    }

    /// The breaker of a model. Where clients may name models freely only the first are watched.
    fn model(&mut self, model: &str, now: Instant) -> Option<&mut Breaker> {
        if !self.models.contains_key(model) {
            if self.models.len() >= limits::HEALTH_MODELS_MAX {
                return None;
            }
            self.models.insert(model.to_owned(), Breaker::new(now));
        }
        self.models.get_mut(model)
    }

    fn broken_until(&self, model: &str, now: Instant) -> Option<Instant> {
        let breakers = [self.origin.as_ref(), self.models.get(model)];
        let out = breakers.into_iter().flatten();
        out.filter_map(|b| b.out_until(now)).max()
    }

    fn key_of(&self, model: &str, keys: &[u64], now: Instant) -> Result<Option<u64>, Out> {
        let mut soonest: Option<Instant> = None;
        for &key in keys {
            match self.key_out_until(key, model, now) {
                None => return Ok(Some(key)),
                Some(until) => soonest = Some(soonest.map_or(until, |s| s.min(until))),
            }
        }
        match soonest {
            None => Ok(None),
            Some(until) => Err(Out {
                until,
                why: "key_resting",
            }),
        }
    }

    fn key_out_until(&self, key: u64, model: &str, now: Instant) -> Option<Instant> {
        let of_model = |r: &Resting| r.model.as_deref().is_none_or(|m| m == model);
        let resting = self.resting.iter();
        let out = resting.filter(|r| r.key == key && of_model(r) && r.until > now);
        out.map(|r| r.until).max()
    }
}

fn condition(model: Option<&String>, breaker: &Breaker) -> Condition {
    Condition {
        model: model.cloned(),
        state: breaker.state(),
        since: Some(breaker.since()),
        in_a_row: breaker.in_a_row(),
        last_error: breaker.last_error(),
    }
}
