//! Each limit, in virtual time.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

/// 2026-11-21, 20:31:05.
const NOON: u64 = 1_795_293_065;

fn after(begin: Instant, ms: u64) -> Instant {
    begin + Duration::from_millis(ms)
}

fn refused(meter: &Arc<Meter>, limits: &Limits, now: Instant) -> (Limit, Option<u64>) {
    let refusal = meter.admit(limits, now, NOON).unwrap_err();
    (refusal.limit, refusal.retry_after_s)
}

#[test]
fn requests_wait_until_the_oldest_is_a_minute_old() {
    let (meter, begin) = (Arc::new(Meter::default()), Instant::now());
    let limits = Limits {
        requests_per_minute: Some(2),
        ..Limits::default()
    };
    for ms in [0, 20_500] {
        assert!(meter.admit(&limits, after(begin, ms), NOON).is_ok());
    }
    let at = after(begin, 30_900);
    assert_eq!(refused(&meter, &limits, at), (Limit::Requests(2), Some(31)));
    // A second before that it is too early, then it is not.
    let at = after(begin, 60_900);
    assert_eq!(refused(&meter, &limits, at), (Limit::Requests(2), Some(1)));
    assert!(meter.admit(&limits, after(begin, 61_900), NOON).is_ok());
    let at = after(begin, 61_900);
    assert_eq!(refused(&meter, &limits, at), (Limit::Requests(2), Some(20)));
    // What was long ago is forgotten, and a clock that went back does no harm.
    assert!(meter.admit(&limits, after(begin, 500_000), NOON).is_ok());
    assert!(meter.admit(&limits, begin, NOON).is_ok());
    let at = after(begin, 500_000);
    assert_eq!(refused(&meter, &limits, at), (Limit::Requests(2), Some(61)));
}

#[test]
fn tokens_count_when_they_are_known() {
    let (meter, begin) = (Arc::new(Meter::default()), Instant::now());
    let limits = Limits {
        tokens_per_minute: Some(100),
        ..Limits::default()
    };
    let one = meter.admit(&limits, begin, NOON).unwrap();
    let two = meter.admit(&limits, begin, NOON).unwrap();
    one.settle(after(begin, 5_000), NOON, 99, 0);
    assert!(meter.admit(&limits, after(begin, 5_000), NOON).is_ok());
    two.settle(after(begin, 9_000), NOON, u64::MAX, 0);
    let at = after(begin, 10_000);
    assert_eq!(refused(&meter, &limits, at), (Limit::Tokens(100), Some(60)));
    assert!(meter.admit(&limits, after(begin, 70_000), NOON).is_ok());
}

#[test]
fn streams_are_given_back() {
    let (meter, now) = (Arc::new(Meter::default()), Instant::now());
    let limits = Limits {
        streams: Some(2),
        ..Limits::default()
    };
    let one = meter.admit(&limits, now, NOON).unwrap();
    let _two = meter.admit(&limits, now, NOON).unwrap();
    let retry = Some(limits::KEY_STREAMS_RETRY.as_secs());
    assert_eq!(refused(&meter, &limits, now), (Limit::Streams(2), retry));
    drop(one);
    assert_eq!(meter.had(&limits, now, NOON).streams, 1);
    assert!(meter.admit(&limits, now, NOON).is_ok());
}

fn budget(nanos: u64, per: Per) -> Limits {
    Limits {
        budget: Some(Budget { nanos, per }),
        ..Limits::default()
    }
}

#[test]
fn a_budget_is_spent_until_its_window_ends() {
    let (meter, now) = (Arc::new(Meter::default()), Instant::now());
    let limits = budget(1000, Per::Day);
    let midnight = Per::Day.window(NOON).end_s.unwrap();
    let lease = meter.admit(&limits, now, NOON).unwrap();
    assert_eq!(lease.spent.unwrap().percent, 0.0);
    lease.settle(now, NOON, 5, 255);
    let lease = meter.admit(&limits, now, NOON).unwrap();
    assert_eq!(lease.spent.unwrap().percent, 25.5);
    assert_eq!(lease.spent.unwrap().window.minutes(), Some(1440));
    // One request may go over it.
    lease.settle(now, midnight - 1, 5, 5000);
    let refusal = meter.admit(&limits, now, midnight - 7).unwrap_err();
    assert_eq!(refusal.limit, Limit::Budget(limits.budget.unwrap()));
    assert_eq!(refusal.retry_after_s, Some(7));
    let lease = meter.admit(&limits, now, midnight).unwrap();
    assert_eq!(lease.spent.unwrap().percent, 0.0);
    // For ever.
    let (meter, limits) = (Arc::new(Meter::default()), budget(1, Per::Total));
    meter
        .admit(&limits, now, NOON)
        .unwrap()
        .settle(now, NOON, 0, 1);
    let refusal = meter.admit(&limits, now, u64::MAX).unwrap_err();
    assert_eq!(refusal.retry_after_s, None);
}

#[test]
fn a_look_makes_nothing() {
    let (meter, now) = (Arc::new(Meter::default()), Instant::now());
    let limits = Limits {
        tokens_per_minute: Some(9),
        ..budget(1000, Per::Day)
    };
    let spent = Some((0, Per::Day.window(NOON)));
    let nothing = Had {
        spent,
        ..Had::default()
    };
    assert_eq!(meter.had(&limits, now, NOON), nothing);
    assert!(meter.lock().minute.is_none() && meter.lock().epoch.is_none());
    let lease = meter.admit(&limits, now, NOON).unwrap();
    lease.settle(now, NOON, 7, 40);
    let had = meter.had(&limits, now, NOON);
    assert_eq!((had.requests, had.tokens, had.streams), (1, 7, 1));
    assert_eq!(had.spent, Some((40, Per::Day.window(NOON))));
    // The next day nothing is spent yet; and what has no budget spends nothing.
    let tomorrow = NOON + 86_400;
    let spent = Some((0, Per::Day.window(tomorrow)));
    assert_eq!(meter.had(&limits, now, tomorrow).spent, spent);
    assert_eq!(meter.had(&Limits::default(), now, NOON).spent, None);
}

#[test]
fn what_others_spend_counts_and_nothing_is_told_twice() {
    let (meter, now) = (Arc::new(Meter::default()), Instant::now());
    let limits = budget(1000, Per::Month);
    let window = Per::Month.window(NOON);
    let lease = meter.admit(&limits, now, NOON).unwrap();
    lease.settle(now, NOON, 0, 100);
    let owed = meter.owed();
    assert_eq!(owed, [(window, 100)]);
    // While it is being told, more is spent.
    lease.settle(now, NOON, 0, 30);
    meter.stored(&owed, window, 700);
    assert_eq!(meter.owed(), [(window, 30)]);
    assert_eq!(meter.had(&limits, now, NOON).spent, Some((730, window)));
    meter.stored(&meter.owed(), window, 1000);
    assert!(meter.owed().is_empty());
    assert!(meter.admit(&limits, now, NOON).is_err());
    // The next month's is told apart, and a store that stays away costs no memory.
    for month in 1..20 {
        lease.settle(now, NOON + month * 31 * 86_400, 0, 1);
    }
    assert_eq!(meter.owed().len(), WINDOWS_MAX);
}

proptest! {
    /// No sixty seconds see more than the limit, and who waits as told is admitted.
    #[test]
    fn no_minute_sees_more_than_the_limit(
        most in 1u64..5,
        pauses in prop::collection::vec(0u64..30_000, 1..200),
    ) {
        let (meter, begin) = (Arc::new(Meter::default()), Instant::now());
        let limits = Limits { requests_per_minute: Some(most), ..Limits::default() };
        let mut admitted: Vec<u64> = Vec::new();
        let mut ms = 0;
        for pause in pauses {
            ms += pause;
            // Whoever looks sees what the next request meets, and changes nothing of it.
            let seen = meter.had(&limits, after(begin, ms), NOON).requests;
            let second = |at: u64| (at - admitted.first().unwrap_or(&at)) / 1000;
            let counted = admitted.iter().filter(|at| second(ms) - second(**at) < SLOTS);
            prop_assert_eq!(seen, counted.count() as u64);
            let later = after(begin, ms + SLOTS * 1000);
            prop_assert_eq!(meter.had(&limits, later, NOON), Had::default());
            match meter.admit(&limits, after(begin, ms), NOON) {
                Ok(_) => admitted.push(ms),
                Err(refusal) => {
                    let wait = refusal.retry_after_s.unwrap();
                    prop_assert!((1..=61).contains(&wait));
                    if wait > 1 {
                        let early = after(begin, ms + (wait - 1) * 1000);
                        prop_assert!(meter.admit(&limits, early, NOON).is_err());
                    }
                    ms += wait * 1000;
                    prop_assert!(meter.admit(&limits, after(begin, ms), NOON).is_ok());
                    admitted.push(ms);
                }
            }
        }
        for window in admitted.windows(most as usize + 1) {
            prop_assert!(window[most as usize] - window[0] > 60_000, "{window:?}");
        }
    }
}
