//! The breaker with a virtual clock.

use super::breaker::*;
use std::time::{Duration, Instant};

const S: Duration = Duration::from_secs(1);

fn policy() -> Policy {
    Policy {
        failures: 3,
        rate: 0.5,
        window: S * 10,
        open: S * 5,
    }
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(now);
    for _ in 0..3 {
        assert_eq!(breaker.out_until(now), None);
        breaker.failed("overloaded", now, &policy());
    }
    breaker
}

#[test]
fn failures_in_a_row_open_it_and_one_probe_closes_it() {
    let now = Instant::now();
    let mut breaker = opened(now);
    assert_eq!((breaker.state(), breaker.in_a_row()), (State::Open, 3));
    assert_eq!(breaker.out_until(now), Some(now + S * 5));
    assert_eq!(breaker.last_error(), "overloaded");
    let later = now + S * 5;
    assert_eq!(breaker.out_until(later), None);
    assert!(breaker.begin(later, &policy()), "the probe");
    assert_eq!(breaker.state(), State::HalfOpen);
    assert!(!breaker.begin(later, &policy()), "only one at a time");
    assert!(breaker.out_until(later).is_some());
    breaker.succeeded(later, &policy());
    assert_eq!((breaker.state(), breaker.in_a_row()), (State::Closed, 0));
    assert_eq!((breaker.out_until(later), breaker.since()), (None, later));
}

#[test]
fn a_probe_that_fails_opens_it_again_and_one_that_is_lost_does_not_block() {
    let now = Instant::now();
    let mut breaker = opened(now);
    let later = now + S * 5;
    breaker.begin(later, &policy());
    breaker.failed("connect_failed", later, &policy());
    assert_eq!(breaker.out_until(later), Some(later + S * 5));
    let again = later + S * 5;
    assert!(breaker.begin(again, &policy()));
    breaker.abandoned(again);
    assert_eq!(breaker.out_until(again), None);
    assert!(breaker.begin(again, &policy()));
    // Nobody ever says what became of it.
    assert!(breaker.begin(again + S * 5, &policy()));
}

#[test]
fn a_failure_while_open_does_not_put_the_probe_off() {
    let now = Instant::now();
    let mut breaker = opened(now);
    breaker.failed("overloaded", now + S * 4, &policy());
    assert_eq!(breaker.out_until(now + S * 4), Some(now + S * 5));
    // What was under way before it opened, or had no other way, may succeed.
    breaker.succeeded(now + S * 4, &policy());
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn a_share_of_failures_opens_it_within_the_window_only() {
    let begun = Instant::now();
    let fails = |breaker: &mut Breaker, now: Instant| {
        breaker.succeeded(now, &policy());
        breaker.failed("upstream_broken", now, &policy());
    };
    let mut quick = Breaker::new(begun);
    for n in 0..10 {
        assert_eq!(quick.state(), State::Closed, "after {n}");
        fails(&mut quick, begun + S * n);
    }
    assert_eq!((quick.state(), quick.in_a_row()), (State::Open, 1));
    let mut slow = Breaker::new(begun);
    for n in 0..100 {
        fails(&mut slow, begun + S * 4 * n);
    }
    assert_eq!(slow.state(), State::Closed);
}

#[test]
fn switched_off_it_never_opens() {
    let now = Instant::now();
    let policy = Policy {
        failures: 0,
        ..policy()
    };
    let mut breaker = Breaker::new(now);
    for _ in 0..100 {
        breaker.failed("overloaded", now, &policy);
    }
    assert_eq!(breaker.state(), State::Closed);
}
