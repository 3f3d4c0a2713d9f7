//! What the client's key allows: whether it is one, which models, and how much. Asked once at the
//! beginning of a request, and told once at its end what that has cost.

use super::{Attempt, Exchange, bearer};
use crate::config::Refused;
use crate::error::{Error, Kind, Source};
use crate::ledger::record::Record;
use crate::ledger::usage::Usage;
use crate::route::endpoint::Endpoint;
use crate::route::quota::{self, Shown};
use crate::route::{identity, operator, origin};
use std::sync::Arc;

/// Bytes of a request for which a token is counted where its provider counted none.
const INPUT_BYTES: u64 = 4;

impl Exchange {
    /// Finds out who asks.
    pub(super) fn authorize(&mut self) -> Result<(), Error> {
        if self.endpoint == Endpoint::Operator {
            // Before anything of the body is read.
            operator::admit(&self.head, &self.snapshot, self.unix_s)?;
        } else if !self.endpoint.is_open() {
            let open = self.snapshot.is_open();
            origin::admit(&self.head, open)?;
            if !open {
                let known = self.snapshot.authorize(bearer(&self.head), self.unix_s);
                self.key = known.map_err(refused)?;
            }
            if let Some(key) = &self.key {
                self.record.key.clone_from(&key.name);
            }
        }
        Ok(())
    }

    /// Whether the key may ask for this model.
    pub(super) fn may_ask_for(&self, model: &str) -> Result<(), Error> {
        match &self.key {
            Some(key) if !key.models.has(model) => Err(quota::not_allowed(key, model)),
            _ => Ok(()),
        }
    }

    /// Takes what a request needs of what its key may have, unless that was done.
    pub(super) fn take_lease(&mut self) -> Result<(), Error> {
        let Some(key) = self.key.as_ref().filter(|key| !key.limits.is_none()) else {
            return Ok(());
        };
        if self.lease.is_none() {
            let lease = key.meter.admit(&key.limits, self.last, self.wall());
            let lease = lease.map_err(quota::refused)?;
            let spent = lease.spent.as_ref();
            let codex = identity::is_codex(&self.head);
            self.quota = spent.map(|spent| Arc::new(Shown::new(&key.name, spent, codex)));
            self.lease = Some(Box::new(lease));
        }
        Ok(())
    }

    /// The exchange is over: what it was is counted, and its place is free.
    pub(super) fn settle(&mut self, record: &Record) {
        let Some(lease) = self.lease.take() else {
            return;
        };
        let attempt = self.attempt.as_ref().filter(|attempt| attempt.committed());
        let (usage, nanos) = match (record.usage, attempt) {
            (Some(usage), _) => (usage, record.cost_nanos),
            // Cut short: the provider has said nothing of what it will ask for.
            (None, Some(attempt)) => {
                let usage = Usage {
                    input: record.request_bytes / INPUT_BYTES,
                    // Providers mostly send an event for each token.
                    output: record.events,
                    ..Usage::default()
                };
                (usage, price(attempt, &usage))
            }
            (None, None) => return,
        };
        let tokens = usage.input.saturating_add(usage.output);
        lease.settle(self.last, self.wall(), tokens, nanos.unwrap_or(0));
    }

    /// The wall clock.
    fn wall(&self) -> u64 {
        self.unix_s + self.last.duration_since(self.started).as_secs()
    }
}

/// What it costs, in billionths of a dollar, if the model has a price.
pub(super) fn price(attempt: &Attempt, usage: &Usage) -> Option<u64> {
    let target = attempt.target();
    let model = target.provider.profile.model(&target.model)?;
    model.price.map(|price| price.nanos(usage))
}

fn refused(refused: Refused) -> Error {
    let (kind, message) = match refused {
        Refused::Unknown => (
            Kind::InvalidKey,
            "Incorrect or missing API key. Present one of Strait's client keys as a bearer token.",
        ),
        Refused::Expired => (Kind::InvalidKey, "This API key has expired."),
        Refused::Unsure => {
            let message = "The store of client keys has not been reached yet; try again.";
            return Error::new(Source::Gateway, Kind::StoreFailed, message);
        }
    };
    Error::new(Source::Downstream, kind, message)
}
