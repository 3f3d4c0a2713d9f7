//! What the workers know together, with a virtual clock.

use super::breaker::{Policy, State};
use super::health::*;
use crate::limits;
use std::time::{Duration, Instant};

const S: Duration = Duration::from_secs(1);

fn fail(health: &Health, model: &str, outcome: Outcome, now: Instant) {
    let policy = Policy::default();
    for _ in 0..policy.failures {
        let (_, ticket) = health.begin(model, &[], now, &policy).unwrap();
        health.end(ticket, model, outcome, now, &policy);
    }
}

fn is_out(health: &Health, model: &str, now: Instant) -> bool {
    let begun = health.begin(model, &[], now, &Policy::default());
    begun.is_err_and(|out| out.why == "breaker_open")
}

#[test]
fn a_model_that_fails_leaves_the_others_be_and_a_connection_does_not() {
    let now = Instant::now();
    let health = Health::default();
    fail(&health, "a", Outcome::Broken("overloaded"), now);
    assert!(is_out(&health, "a", now) && !is_out(&health, "b", now));
    let health = Health::default();
    fail(&health, "a", Outcome::Unreachable("connect_failed"), now);
    assert!(is_out(&health, "a", now) && is_out(&health, "b", now));
    let shown = health.conditions();
    let origin = &shown[0];
    assert_eq!((origin.model.as_deref(), origin.state), (None, State::Open));
    assert_eq!(origin.last_error, "connect_failed");
    assert!(shown[1..].iter().all(|c| c.state == State::Closed));
}

#[test]
fn a_probe_is_given_back() {
    let (now, policy) = (Instant::now(), Policy::default());
    let health = Health::default();
    fail(&health, "a", Outcome::Broken("overloaded"), now);
    let later = now + policy.open;
    let (_, ticket) = health.begin("a", &[], later, &policy).unwrap();
    assert!(is_out(&health, "a", later), "one probe at a time");
    health.end(ticket, "a", Outcome::Abandoned, later, &policy);
    let (_, ticket) = health.begin("a", &[], later, &policy).unwrap();
    health.end(ticket, "a", Outcome::Answered, later, &policy);
    assert!(!is_out(&health, "a", later));
}

#[test]
fn keys_rest_for_a_model_or_for_all() {
    let (now, policy) = (Instant::now(), Policy::default());
    let health = Health::default();
    let key = |model: &str, at: Instant| {
        let begun = health.begin(model, &[7, 8], at, &policy);
        begun.map(|(key, _)| key.unwrap())
    };
    assert_eq!(key("a", now), Ok(7));
    health.rest(7, Some("a"), now + S, "rate_limited", now);
    assert_eq!((key("a", now), key("b", now)), (Ok(8), Ok(7)));
    health.rest(8, None, now + S * 2, "provider_auth", now);
    let out = Out {
        until: now + S,
        why: "key_resting",
    };
    assert_eq!((key("a", now), key("b", now)), (Err(out), Ok(7)));
    assert_eq!(health.begin_anyway("a", &[8, 7], now, &policy).0, Some(7));
    assert_eq!(health.keys_out(now).len(), 2);
    assert_eq!(key("a", now + S), Ok(7));
    assert_eq!(health.keys_out(now + S * 2), []);
}

#[test]
fn names_that_clients_make_up_do_not_fill_the_memory() {
    let (now, policy) = (Instant::now(), Policy::default());
    let health = Health::default();
    for n in 0..4 * limits::HEALTH_MODELS_MAX as u64 + 1 {
        let model = n.to_string();
        let (_, ticket) = health.begin(&model, &[], now, &policy).unwrap();
        health.end(ticket, &model, Outcome::Answered, now, &policy);
        health.rest(n, Some(&model), now + S, "rate_limited", now);
    }
    // And the connections.
    assert_eq!(health.conditions().len(), 1 + limits::HEALTH_MODELS_MAX);
    assert_eq!(health.keys_out(now).len(), limits::HEALTH_KEYS_MAX);
}
