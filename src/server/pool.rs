//! Idle connections to providers, per worker: the last one used is the first one reused.

use super::upstream::Upstream;
use crate::config::Origin;
use crate::limits;
use std::cell::RefCell;
use std::collections::HashMap;
use std::time::Instant;

struct Idle {
    upstream: Upstream,
    since: Instant,
}

/// The idle connections of one worker.
#[derive(Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<Origin, Vec<Idle>>>,
}

impl Pool {
    /// A connection that was alive a moment ago, if there is one.
    pub(super) fn lease(&self, origin: &Origin, now: Instant) -> Option<Upstream> {
        let mut idle = self.idle.borrow_mut();
        let stack = idle.get_mut(origin)?;
        while let Some(mut top) = stack.pop() {
            if now.saturating_duration_since(top.since) >= limits::UPSTREAM_IDLE {
                // Those below are older still.
                stack.clear();
                return None;
            }
            if top.upstream.is_reusable() {
                top.upstream.rests(false);
                return Some(top.upstream);
            }
        }
        None
    }

    /// Keeps a connection for the next request, or closes it when it is of no use.
    pub(super) fn release(&self, mut upstream: Upstream, now: Instant) {
        // Whether it is still alive is asked when it is leased.
        if !upstream.is_idle() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let stack = idle.entry(upstream.origin().clone()).or_default();
        if stack.len() >= limits::UPSTREAM_IDLE_MAX {
            // The bottom is the oldest.
            stack.remove(0);
        }
        upstream.rests(true);
        stack.push(Idle {
            upstream,
            since: now,
        });
    }

    /// Closes what goes to an origin that is not wanted any more.
    pub(super) fn keep_only(&self, wanted: impl Fn(&Origin) -> bool) {
        self.idle.borrow_mut().retain(|origin, _| wanted(origin));
    }

    /// Closes what was idle for too long. Called once in a while.
    pub(super) fn sweep(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, stack| {
            stack.retain(|one| now.saturating_duration_since(one.since) < limits::UPSTREAM_IDLE);
            !stack.is_empty()
        });
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}
