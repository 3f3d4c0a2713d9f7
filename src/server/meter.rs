//! Counts what an exchange does while it does it: once for each input of its machine and each
//! write to its client, by the clock that was looked at anyway.

use crate::config::Snapshot;
use crate::ledger::live::{Entry, Facts};
use crate::ledger::metrics::{Core, Target};
use crate::ledger::record::Record;
use crate::route::machine::Machine;
use std::sync::Arc;
use std::time::Instant;

/// What is counted of the exchanges of one machine, one after the other.
pub(super) struct Meter<'a> {
    core: Option<&'a Core>,
    entry: Option<Entry<'a>>,
    target: Option<&'a Target>,
    /// Events of the exchange under way that are counted already.
    events: u64,
    /// When its client was last told an event.
    told: Option<Instant>,
    /// When the provider was last read from, if nothing was written since.
    read: Option<Instant>,
}

impl<'a> Meter<'a> {
    /// `None`: nothing is counted.
    pub(super) fn new(core: Option<&'a Core>) -> Self {
        Meter {
            core,
            entry: None,
            target: None,
            events: 0,
            told: None,
            read: None,
        }
    }

    /// A connection for the next try is asked for.
    pub(super) fn tries(&mut self, machine: &impl Machine, snapshot: &Snapshot) {
        let (Some(core), Some((record, began))) = (self.core, machine.under_way()) else {
            return;
        };
        let Some(last) = record.tries.last() else {
            return;
        };
        let knows = || snapshot.knows(&last.provider, &last.model);
        self.target = Some(core.target(&last.provider, &last.model, knows));
        let facts = Facts {
            id: record.id.clone(),
            key: record.key.clone(),
            session: record.session.clone(),
            asked: record.model.clone(),
            provider: last.provider.clone(),
            model: last.model.clone(),
            attempt: record.tries.len(),
        };
        // The earlier try leaves the list first.
        self.entry = None;
        self.entry = Some(core.live.enter(facts, began));
    }

    /// The connection is there.
    pub(super) fn connected(&self) {
        if let Some(entry) = &self.entry {
            entry.waits();
        }
    }

    /// The machine was given bytes from upstream, which were read at `now`.
    pub(super) fn received(&mut self, bytes: usize, now: Instant) {
        if let Some(core) = self.core {
            core.from_providers.add(bytes as u64);
            self.read = Some(now);
        }
    }

    /// The machine has taken an input at `now`.
    pub(super) fn look(&mut self, machine: &impl Machine, now: Instant) {
        let Some(core) = self.core else { return };
        let events = machine.events();
        if events <= self.events {
            return;
        }
        core.events.add(events - self.events);
        self.events = events;
        if let (Some(target), Some(told)) = (self.target, self.told) {
            target.gap.observe(now.saturating_duration_since(told));
        }
        self.told = Some(now);
        if let Some(entry) = &self.entry {
            entry.told(events, now);
        }
    }

    /// The client was sent so many bytes; the write of them began at `now`.
    pub(super) fn sent(&mut self, bytes: usize, now: Option<Instant>) {
        let Some(core) = self.core else { return };
        core.to_clients.add(bytes as u64);
        if let (Some(read), Some(now)) = (self.read.take(), now) {
            core.added.observe(now.saturating_duration_since(read));
        }
        if let Some(entry) = &self.entry {
            entry.sent(bytes as u64);
        }
    }

    /// The client has sent bytes.
    pub(super) fn heard(&self, bytes: usize) {
        if let Some(core) = self.core {
            core.from_clients.add(bytes as u64);
        }
    }

    /// The exchange is over; another may follow.
    pub(super) fn over(&mut self, record: &Record) {
        if let Some(core) = self.core {
            core.events.add(record.events.saturating_sub(self.events));
        }
        *self = Meter::new(self.core);
    }
}

/// A connection to a provider in the count of its worker, until dropped.
pub(super) struct Counted {
    core: Arc<Core>,
    idle: bool,
}

impl Counted {
    pub(super) fn new(core: Arc<Core>) -> Self {
        core.connections.up();
        Counted { core, idle: false }
    }

    /// It waits for a request from now on, or no longer.
    pub(super) fn rests(&mut self, idle: bool) {
        match (self.idle, idle) {
            (false, true) => self.core.idle.up(),
            (true, false) => self.core.idle.down(),
            _ => {}
        }
        self.idle = idle;
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.rests(false);
        self.core.connections.down();
    }
}
