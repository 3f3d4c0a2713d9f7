//! How much a client key has had of what it may have: requests and tokens in a minute, streams at
//! once, money in a window of the calendar.
//!
//! A request is looked at once at its beginning ([`Meter::admit`]) and once at its end
//! ([`Lease::settle`]), each time under a lock of the key's own, for some additions. Time is an
//! argument.
//!
//! Requests and tokens are counted in slots of a second, and those of the last sixty and the
//! current one count: so no sixty seconds, wherever they begin, see more requests than the limit,
//! and none waits more than a second longer than need be. Tokens and money are known at the end of an
//! answer. What is under way may therefore go over these limits once; `streams` bounds by how much.

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;

use super::window::{Per, Window};
use crate::limits;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

/// Slots of a second that count.
const SLOTS: u64 = 61;
/// Windows whose spending is held for a store that is away. Beyond, the oldest is forgotten.
const WINDOWS_MAX: usize = 8;

/// What a key may have; `None`: as much as it likes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Limits {
    /// Requests in any minute; never 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u64>,
    /// Tokens, in and out, in any minute; never 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_minute: Option<u64>,
    /// Requests under way; never 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub streams: Option<u64>,
    /// Money.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
}

/// Money to be spent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Budget {
    /// Billionths of a US dollar; never 0.
    pub nanos: u64,
    /// In which time.
    pub per: Per,
}

impl Limits {
    /// Whether there is nothing to count.
    pub fn is_none(&self) -> bool {
        *self == Limits::default()
    }
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limit {
    /// The budget is spent.
    Budget(Budget),
    /// So many requests in a minute.
    Requests(u64),
    /// So many streams at once.
    Streams(u64),
    /// So many tokens in a minute.
    Tokens(u64),
}

/// Why a request is not admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refusal {
    /// The limit.
    pub limit: Limit,
    /// Seconds until it will be; `None`: never.
    pub retry_after_s: Option<u64>,
}

/// What is left of a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// Of the budget, 0 to 100.
    pub percent: f64,
    /// The window that it is counted in.
    pub window: Window,
}

/// What a key has had, at one moment.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Had {
    /// Requests of the last minute; 0 where no rate is limited.
    pub requests: u64,
    /// Tokens, in and out, of the last minute; 0 where they are not limited.
    pub tokens: u64,
    /// Requests under way.
    pub streams: u64,
    /// Billionths of a dollar, and the window that they were spent in; `None`: there is no budget.
    pub spent: Option<(u64, Window)>,
}

/// What a window has cost that the store does not know of yet.
pub type Owed = Vec<(Window, u64)>;

/// The counters of one key, shared by all workers.
#[derive(Debug, Default)]
pub struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Second 0 of the slots: the first request.
    epoch: Option<Instant>,
    /// Made with the first request that is counted.
    minute: Option<Box<Minute>>,
    streams: u64,
    /// What the store said last.
    stored: Option<(Window, u64)>,
    owed: Owed,
}

#[derive(Debug)]
struct Minute {
    /// Second `s` is in slot `s % SLOTS`.
    slots: [Counts; SLOTS as usize],
    /// The second of the newest slot.
    newest: u64,
    sum: Counts,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    tokens: u64,
}

/// A request that was admitted. It counts as a stream until it is dropped.
#[derive(Debug)]
pub struct Lease {
    meter: Arc<Meter>,
    limits: Limits,
    /// What was left of the budget when it was admitted.
    pub spent: Option<Spent>,
}

impl Meter {
    /// Admits a request, or says which limit it would break. `unix_s` is the wall clock.
    pub fn admit(
        self: &Arc<Self>,
        limits: &Limits,
        now: Instant,
        unix_s: u64,
    ) -> Result<Lease, Refusal> {
        let mut state = self.lock();
        let spent = limits.budget.map(|budget| state.spent(budget, unix_s));
        if let (Some(budget), Some((nanos, window))) = (limits.budget, spent)
            && nanos >= budget.nanos
        {
            return Err(Refusal {
                limit: Limit::Budget(budget),
                retry_after_s: window.end_s.map(|end| end.saturating_sub(unix_s).max(1)),
            });
        }
        if let Some(most) = limits.streams
            && state.streams >= most
        {
            return Err(Refusal {
                limit: Limit::Streams(most),
                retry_after_s: Some(limits::KEY_STREAMS_RETRY.as_secs()),
            });
        }
        if limits.requests_per_minute.is_some() || limits.tokens_per_minute.is_some() {
            let (second, minute) = state.minute(now);
            minute.admit(limits, second)?;
        }
        state.streams += 1;
        drop(state);
        Ok(Lease {
            meter: self.clone(),
            limits: *limits,
            spent: limits
                .budget
                .zip(spent)
                .map(|(budget, (nanos, window))| Spent {
                    percent: (nanos as f64 * 100.0 / budget.nanos as f64).min(100.0),
                    window,
                }),
        })
    }

    /// What counts against `limits`. Only looks: nothing is made, counted or forgotten by it.
    pub fn had(&self, limits: &Limits, now: Instant, unix_s: u64) -> Had {
        let state = self.lock();
        let minute = match (&state.minute, state.epoch) {
            (Some(minute), Some(epoch)) => {
                minute.at(now.saturating_duration_since(epoch).as_secs())
            }
            _ => Counts::default(),
        };
        Had {
            requests: minute.requests,
            tokens: minute.tokens,
            streams: state.streams,
            spent: limits.budget.map(|budget| state.spent(budget, unix_s)),
        }
    }

    /// What the store is to be told.
    pub fn owed(&self) -> Owed {
        self.lock().owed.clone()
    }

    /// The store has taken `paid`, and says what was spent in `window` by all who share it.
    pub fn stored(&self, paid: &Owed, window: Window, nanos: u64) {
        let mut state = self.lock();
        for (paid, amount) in paid {
            for (_, owed) in state.owed.iter_mut().filter(|(owed, _)| owed == paid) {
                *owed = owed.saturating_sub(*amount);
            }
        }
        state.owed.retain(|(_, nanos)| *nanos > 0);
        state.stored = Some((window, nanos));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Counters have no state in between that a panic could leave.
        self.0.lock().unwrap_or_else(|broken| broken.into_inner())
    }
}

impl State {
    fn minute(&mut self, now: Instant) -> (u64, &mut Minute) {
        let epoch = *self.epoch.get_or_insert(now);
        let second = now.saturating_duration_since(epoch).as_secs();
        let minute = self.minute.get_or_insert_with(|| {
            Box::new(Minute {
                slots: [Counts::default(); SLOTS as usize],
                newest: second,
                sum: Counts::default(),
            })
        });
        (second, minute)
    }

    fn spent(&self, budget: Budget, unix_s: u64) -> (u64, Window) {
        let window = budget.per.window(unix_s);
        let here = self.owed.iter().chain(&self.stored);
        let sum = here.filter(|(of, _)| *of == window);
        (sum.fold(0, |all, (_, n)| all.saturating_add(*n)), window)
    }
}

impl Minute {
    fn admit(&mut self, limits: &Limits, second: u64) -> Result<(), Refusal> {
        self.advance(second);
        let over = |most: Option<u64>, sum: u64| most.filter(|most| sum >= *most);
        if let Some(most) = over(limits.requests_per_minute, self.sum.requests) {
            return Err(Refusal {
                limit: Limit::Requests(most),
                retry_after_s: Some(self.wait(most, |counts| counts.requests)),
            });
        }
        if let Some(most) = over(limits.tokens_per_minute, self.sum.tokens) {
            return Err(Refusal {
                limit: Limit::Tokens(most),
                retry_after_s: Some(self.wait(most, |counts| counts.tokens)),
            });
        }
        self.count(1, 0);
        Ok(())
    }

    /// Forgets what is too old to count. A clock that went back counts as standing still.
    fn advance(&mut self, second: u64) {
        let steps = second.saturating_sub(self.newest);
        for step in 0..steps.min(SLOTS) {
            // Whichever slots go when all do.
            let slot = &mut self.slots[((self.newest + 1 + step) % SLOTS) as usize];
            self.sum.requests -= slot.requests;
            self.sum.tokens -= slot.tokens;
            *slot = Counts::default();
        }
        self.newest += steps;
    }

    /// The sum as it will be at `second`, if nothing more is counted.
    fn at(&self, second: u64) -> Counts {
        let gone = second.saturating_sub(self.newest).min(SLOTS);
        let mut sum = self.sum;
        for step in 0..gone {
            let slot = &self.slots[((self.newest + 1 + step) % SLOTS) as usize];
            sum.requests -= slot.requests;
            sum.tokens -= slot.tokens;
        }
        sum
    }

    fn count(&mut self, requests: u64, tokens: u64) {
        let slot = &mut self.slots[(self.newest % SLOTS) as usize];
        // The sum is that of the slots, so it must not lose what they keep.
        let tokens = tokens.min(u64::MAX - self.sum.tokens);
        slot.requests += requests;
        slot.tokens += tokens;
        self.sum.requests += requests;
        self.sum.tokens += tokens;
    }

    /// Seconds until less than `most` are left.
    fn wait(&self, most: u64, of: impl Fn(&Counts) -> u64) -> u64 {
        let mut sum: u64 = self.slots.iter().map(&of).sum();
        for ahead in 1..=SLOTS {
            // The oldest first: its slot is the one that is used next.
            sum -= of(&self.slots[((self.newest + ahead) % SLOTS) as usize]);
            if sum < most {
                return ahead;
            }
        }
        SLOTS
    }
}

impl Lease {
    /// The answer is over: counts its tokens and what it cost.
    pub fn settle(&self, now: Instant, unix_s: u64, tokens: u64, nanos: u64) {
        if self.limits.tokens_per_minute.is_none() && self.limits.budget.is_none() {
            return;
        }
        let mut state = self.meter.lock();
        if self.limits.tokens_per_minute.is_some() {
            let (second, minute) = state.minute(now);
            minute.advance(second);
            minute.count(0, tokens);
        }
        if let Some(budget) = self.limits.budget.filter(|_| nanos > 0) {
            let window = budget.per.window(unix_s);
            match state.owed.iter_mut().find(|(of, _)| *of == window) {
                Some((_, owed)) => *owed = owed.saturating_add(nanos),
                None => state.owed.push((window, nanos)),
            }
            if state.owed.len() > WINDOWS_MAX {
                state.owed.remove(0);
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.meter.lock().streams -= 1;
    }
}
