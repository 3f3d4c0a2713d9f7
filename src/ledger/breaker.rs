//! A circuit breaker: whether something that keeps failing is asked at all.
//!
//! ```text
//!            failures in a row, or too large a share in the window
//!   Closed ───────────────────────────────────────────────────────▶ Open
//!     ▲  ▲                                                        ▲   │ its time is over
//!     │  └────── a success, whoever has it ───────────────────────│───┤
//!     │                                                           │   ▼
//!     └───────────────────────── a success ──── HalfOpen ─────────┘
//!                                  one probe at a time    a failure
//! ```
//!
//! Pure: time is an argument, and nothing here waits.

use crate::limits;
use std::time::{Duration, Instant};

/// When a breaker opens, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// So many failures in a row open it; 0: it never opens.
    pub failures: u32,
    /// This share of the tries in the window opens it, once there are
    /// [`limits::BREAKER_TRIES_MIN`]; 0 to 1.
    pub rate: f64,
    /// How far back tries count for the share; between one and two of it.
    pub window: Duration,
    /// How long it is open before a probe; and how long that probe keeps others out.
    pub open: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Policy {
            failures: limits::BREAKER_FAILURES,
            rate: limits::BREAKER_RATE,
            window: limits::BREAKER_WINDOW,
            open: limits::BREAKER_OPEN,
        }
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    /// Everything goes through.
    Closed,
    /// One try is under way to see whether it works again.
    HalfOpen,
    /// Nothing goes through that could go elsewhere.
    Open,
}

impl State {
    /// For people and metrics.
    pub fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }
}

/// A circuit breaker.
#[derive(Clone, Debug)]
pub struct Breaker {
    state: State,
    since: Instant,
    /// Open: until when. Half-open: when the probe that is under way counts as lost.
    until: Instant,
    in_a_row: u32,
    last_error: &'static str,
    /// Tries of this window and of the one before.
    tries: [Tally; 2],
    window_began: Instant,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    failed: u32,
    all: u32,
}

impl Breaker {
    /// One that is closed and knows nothing.
    pub fn new(now: Instant) -> Self {
        Breaker {
            state: State::Closed,
            since: now,
            until: now,
            in_a_row: 0,
            last_error: "",
            tries: [Tally::default(); 2],
            window_began: now,
        }
    }

    /// A try begins. `true`: it is the probe, whose end has to be told, if only by
    /// [`Breaker::abandoned`].
    pub fn begin(&mut self, now: Instant, policy: &Policy) -> bool {
        if self.state == State::Closed || self.until > now {
            return false;
        }
        self.enter(State::HalfOpen, now);
        self.until = now + policy.open;
        true
    }

    /// A try has succeeded.
    pub fn succeeded(&mut self, now: Instant, policy: &Policy) {
        self.count(false, now, policy);
        self.in_a_row = 0;
        if self.state != State::Closed {
            self.enter(State::Closed, now);
            self.tries = [Tally::default(); 2];
        }
    }

    /// A try has failed; `why` is a label of [`crate::error`].
    pub fn failed(&mut self, why: &'static str, now: Instant, policy: &Policy) {
        self.count(true, now, policy);
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.last_error = why;
        let opens = match self.state {
            State::Closed => policy.failures > 0 && self.is_too_much(policy),
            State::HalfOpen => true,
            // Its probe is due when it is due: what fails meanwhile tells nothing new.
            State::Open => false,
        };
        if opens {
            self.enter(State::Open, now);
            self.until = now + policy.open;
        }
    }

    /// The probe was given up before it told anything: another may follow at once.
    pub fn abandoned(&mut self, now: Instant) {
        if self.state == State::HalfOpen {
            self.enter(State::Open, now);
            self.until = now;
        }
    }

    /// Until when nothing is to go through; `None`: a try may begin.
    pub fn out_until(&self, now: Instant) -> Option<Instant> {
        (self.state != State::Closed && self.until > now).then_some(self.until)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when it stands there.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Failures since the last success.
    pub fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// The label of the last failure; empty where there was none.
    pub fn last_error(&self) -> &'static str {
        self.last_error
    }

    fn enter(&mut self, state: State, now: Instant) {
        self.state = state;
        self.since = now;
    }

    fn count(&mut self, failed: bool, now: Instant, policy: &Policy) {
        let age = now.saturating_duration_since(self.window_began);
        if age >= policy.window {
            let fresh = age < policy.window * 2;
            self.tries[1] = if fresh {
                self.tries[0]
            } else {
                Tally::default()
            };
            self.tries[0] = Tally::default();
            self.window_began = now;
        }
        let tally = &mut self.tries[0];
        tally.all = tally.all.saturating_add(1);
        tally.failed = tally.failed.saturating_add(u32::from(failed));
    }

    fn is_too_much(&self, policy: &Policy) -> bool {
        let [one, two] = self.tries;
        let all = one.all.saturating_add(two.all);
        let failed = f64::from(one.failed) + f64::from(two.failed);
        let share = all >= limits::BREAKER_TRIES_MIN && failed >= policy.rate * f64::from(all);
        share || self.in_a_row >= policy.failures
    }
}
