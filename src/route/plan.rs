//! Whom a request goes to, and whom next when that fails: the order of targets and keys, the waits
//! between, and when it is enough.
//!
//! ```text
//! targets: in the order written, or as the conversation's draw has it
//!    └ of each: the key that the conversation prefers, and is not out
//!         failed?  its key is to blame     ─▶ another key, at once
//!                  quickly, and may pass   ─▶ the same target after a wait, so many times
//!                  neither, or not in time ─▶ the next target, at once
//!                  the request is to blame ─▶ nobody
//! ```
//!
//! What is out (an open breaker, a resting key) is passed over, and asked all the same where
//! nothing else is left: a request is never refused that might have been served. Pure: time and
//! randomness are arguments.

mod blame;
mod draw;

use crate::config::{Snapshot, Target};
use crate::error::Error;
use crate::ledger::health::{Out, Outcome, Ticket};
use crate::ledger::record::Passed;
use crate::limits;
use blame::Blame;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is tried: a target, with one of its keys.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub target: Target,
    /// The key's place among its provider's; `None`: it has none.
    pub key: Option<usize>,
}

/// What follows a failure.
#[derive(Debug)]
pub(super) enum Then {
    /// [`Plan::next`], not before.
    Again(Instant),
    /// This, at once.
    Go(Course),
    /// The failure is the answer.
    Stop,
}

/// The plan for one request.
#[derive(Debug)]
pub(super) struct Plan {
    snapshot: Arc<Snapshot>,
    /// Those to be tried, best first.
    targets: Vec<Target>,
    /// The one whose turn it is.
    at: usize,
    /// The conversation, where something depends on it.
    conversation: String,
    /// Keys of that target that were refused: no second time for this request.
    refused: Vec<u64>,
    /// So many tries with it failed, but for those that another key may do better.
    failures: u32,
    /// All tries.
    tries: u32,
    /// When the last one began.
    began: Option<Instant>,
    /// Nothing new begins after it.
    until: Option<Instant>,
    /// The id of the key that is shown, and what the end of the try is told with.
    under_way: Option<(Option<u64>, Ticket)>,
    /// The soonest time at which a provider said that it would answer, in seconds.
    soonest_s: Option<u32>,
    /// Since the last question: when it is back, and who.
    passed: Vec<(Instant, Passed)>,
}

impl Plan {
    /// A plan for `targets`, best first unless they have weights.
    pub fn new(snapshot: &Arc<Snapshot>, targets: Vec<Target>) -> Plan {
        Plan {
            snapshot: snapshot.clone(),
            targets,
            at: 0,
            conversation: String::new(),
            refused: Vec::new(),
            failures: 0,
            tries: 0,
            began: None,
            until: None,
            under_way: None,
            soonest_s: None,
            passed: Vec::new(),
        }
    }

    /// Begins. `conversation` names the one that the request belongs to, and is only asked where
    /// something depends on it.
    pub fn begin(&mut self, conversation: impl FnOnce() -> String, now: Instant) -> Option<Course> {
        self.until = Some(now + self.snapshot.retry.deadline);
        let drawn = self.targets.len() > 1 && self.targets.iter().any(|t| t.weight.is_some());
        if drawn || self.targets.iter().any(|t| t.provider.keys.len() > 1) {
            self.conversation = conversation();
        }
        if drawn {
            let named = self.targets.iter();
            let named = named.map(|t| (&*t.provider.name, &*t.model, t.weight.unwrap_or(1)));
            let order = draw::by_weight(&self.conversation, named);
            self.targets = order.iter().map(|&i| self.targets[i].clone()).collect();
        }
        self.next(now).or_else(|| self.next_anyway(now))
    }

    /// The next try: with the same target if it may be, else with one behind it. `None`: all that
    /// are left are out.
    pub fn next(&mut self, now: Instant) -> Option<Course> {
        while let Some(target) = self.targets.get(self.at) {
            let keys = self.keys(target);
            if !keys.is_empty() || target.provider.keys.is_empty() {
                let health = &target.provider.health;
                match health.begin(&target.model, &keys, now, &self.snapshot.breaker) {
                    Ok((key, ticket)) => return Some(self.go(key, ticket, now)),
                    Err(out) => self.pass(out),
                }
            }
            self.advance();
        }
        None
    }

    /// The try that is under way has failed, before anything of it was let through. `random` is
    /// for the jitter.
    pub fn failed(&mut self, error: &Error, random: u64, now: Instant) -> Then {
        let key = self.under_way.as_ref().and_then(|(key, _)| *key);
        let blame = Blame::of(error);
        self.rest_key(key, blame, error, now);
        self.end(blame::outcome(error), now);
        self.soonest_s = match (self.soonest_s, error.retry_after_s) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let left = self
            .until
            .and_then(|until| until.checked_duration_since(now));
        let left = left.filter(|left| !left.is_zero());
        let (Some(left), Some(target)) = (left, self.targets.get(self.at)) else {
            return Then::Stop;
        };
        if blame == Blame::Request || self.tries >= limits::RETRY_TRIES_MAX {
            return Then::Stop;
        }
        let other_key = matches!(blame, Blame::Key | Blame::Pace(_)) && self.has_other(key, now);
        if !other_key {
            self.failures += 1;
            let wait = self.wait(blame, random).filter(|wait| *wait <= left);
            // What took long to fail (a connection, a first byte) would again.
            let took = self.began.map(|began| now.duration_since(began));
            let quick = took.is_none_or(|took| took <= limits::RETRY_QUICK);
            let may = quick && self.failures < self.snapshot.retry.attempts;
            let broken = target.provider.health.is_broken(&target.model, now);
            match wait {
                Some(wait) if may && !broken => return Then::Again(now + wait),
                _ => self.advance(),
            }
        }
        self.next(now).map_or(Then::Stop, Then::Go)
    }

    /// Something of the answer to the try that is under way is let through.
    pub fn answered(&mut self, now: Instant) {
        self.end(Outcome::Answered, now);
    }

    /// The try broke although something of its answer was let through.
    pub fn broke(&mut self, error: &Error, now: Instant) {
        let outcome = blame::outcome(error);
        if matches!(outcome, Outcome::Broken(_)) {
            self.under_way.get_or_insert_default();
        }
        self.end(outcome, now);
    }

    /// Nothing more comes of the try that is under way.
    pub fn abandon(&mut self, now: Instant) {
        self.end(Outcome::Abandoned, now);
    }

    /// Those that were passed over since the last question.
    pub fn take_passed(&mut self) -> impl Iterator<Item = Passed> {
        std::mem::take(&mut self.passed).into_iter().map(|p| p.1)
    }

    /// Those that may be tried.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// Whether the request may be tried once more, so that it has to be kept.
    pub fn may_go_on(&self) -> bool {
        let rest = self.targets.get(self.at..).unwrap_or_default();
        let more_keys = |t: &Target| t.provider.keys.len() > 1;
        self.snapshot.retry.attempts > 1 || rest.len() > 1 || rest.iter().any(more_keys)
    }

    /// The soonest time at which a provider said that it would answer, in seconds.
    pub fn soonest_s(&self) -> Option<u32> {
        self.soonest_s
    }

    /// Everything is out: the one that is back first is asked all the same.
    fn next_anyway(&mut self, now: Instant) -> Option<Course> {
        // Each target was passed over, in their order.
        let places = self.passed.iter().enumerate();
        let (at, _) = places.min_by_key(|(_, (until, _))| *until)?;
        self.passed.remove(at);
        self.at = at;
        let target = self.targets.get(at)?;
        let keys = self.keys(target);
        let health = &target.provider.health;
        let (key, ticket) = health.begin_anyway(&target.model, &keys, now, &self.snapshot.breaker);
        Some(self.go(key, ticket, now))
    }

    fn go(&mut self, key: Option<u64>, ticket: Ticket, now: Instant) -> Course {
        self.tries += 1;
        self.began = Some(now);
        self.under_way = Some((key, ticket));
        let target = self.targets[self.at].clone();
        let keys = &target.provider.keys;
        let key = keys.iter().position(|k| Some(k.id) == key);
        Course { target, key }
    }

    fn advance(&mut self) {
        self.at += 1;
        self.failures = 0;
        self.refused.clear();
    }

    fn pass(&mut self, out: Out) {
        let target = &self.targets[self.at];
        let passed = Passed {
            provider: target.provider.name.clone(),
            model: target.model.clone(),
            why: out.why,
        };
        self.passed.push((out.until, passed));
    }

    /// The ids of the target's keys that may be tried, in the conversation's order.
    fn keys(&self, target: &Target) -> Vec<u64> {
        let ids = target.provider.keys.iter().map(|k| k.id);
        let mut ids: Vec<u64> = ids.filter(|id| !self.refused.contains(id)).collect();
        if ids.len() > 1 {
            draw::order_keys(&self.conversation, &mut ids);
        }
        ids
    }

    fn has_other(&self, key: Option<u64>, now: Instant) -> bool {
        self.targets.get(self.at).is_some_and(|target| {
            let health = &target.provider.health;
            let mut others = self.keys(target).into_iter().filter(|id| Some(*id) != key);
            others.any(|id| !health.key_rests(id, &target.model, now))
        })
    }

    /// How long to wait for the same target, where that helps.
    fn wait(&self, blame: Blame, random: u64) -> Option<Duration> {
        let doublings = self.failures.saturating_sub(1).min(16);
        let own = self.snapshot.retry.backoff.saturating_mul(1 << doublings);
        let own = jittered(own.min(self.snapshot.retry.backoff_max), random);
        match blame {
            Blame::Trouble(None) => Some(own),
            Blame::Trouble(Some(named)) | Blame::Pace(named) => {
                let fits = named <= self.snapshot.retry.backoff_max;
                fits.then(|| spread(named.max(self.snapshot.retry.backoff), random).max(own))
            }
            Blame::Key | Blame::Request | Blame::Target => None,
        }
    }

    fn rest_key(&mut self, key: Option<u64>, blame: Blame, error: &Error, now: Instant) {
        let (Some(key), Some(target)) = (key, self.targets.get(self.at)) else {
            return;
        };
        let (model, rest) = match blame {
            Blame::Key => (None, limits::KEY_REFUSED_REST),
            Blame::Pace(wait) => {
                let rest = wait
                    .max(self.snapshot.retry.backoff)
                    .min(limits::KEY_REST_MAX);
                (Some(&*target.model), rest)
            }
            _ => return,
        };
        let health = &target.provider.health;
        health.rest(key, model, now + rest, error.label(), now);
        if blame == Blame::Key {
            self.refused.push(key);
        }
    }

    fn end(&mut self, outcome: Outcome, now: Instant) {
        if let (Some((_, ticket)), Some(target)) =
            (self.under_way.take(), self.targets.get(self.at))
        {
            let health = &target.provider.health;
            health.end(ticket, &target.model, outcome, now, &self.snapshot.breaker);
        }
    }
}

/// Between half of it and all of it.
fn jittered(wait: Duration, random: u64) -> Duration {
    wait / 2 + (wait / 2).mul_f64(share(random))
}

/// Up to [`limits::RETRY_SPREAD`] more.
fn spread(wait: Duration, random: u64) -> Duration {
    wait + wait.mul_f64(limits::RETRY_SPREAD * share(random))
}

/// 0 to 1.
fn share(random: u64) -> f64 {
    random as f64 / u64::MAX as f64
}
