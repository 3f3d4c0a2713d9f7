//! What is shown of providers that fare badly.

use super::providers::show;
use crate::config::ApiKey;
use crate::ledger::breaker::Policy;
use crate::ledger::health::Outcome;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[test]
fn what_is_out_is_shown_and_no_key_is() {
    let mut snapshot = crate::admin::tests::snapshot();
    let provider = snapshot.providers.values_mut().next().unwrap();
    let provider = Arc::make_mut(provider);
    provider.keys = vec![ApiKey::new("sk-one".into()), ApiKey::new("sk-two".into())];
    let now = Instant::now();
    let policy = Policy::default();
    let health = &provider.health;
    for _ in 0..10 {
        let ids: Vec<u64> = provider.keys.iter().map(|key| key.id).collect();
        if let Ok((_, ticket)) = health.begin("m<1", &ids, now, &policy) {
            health.end(
                ticket,
                "m<1",
                Outcome::Broken("upstream_broken"),
                now,
                &policy,
            );
        }
    }
    let until = now + Duration::from_secs(30);
    health.rest(provider.keys[1].id, None, until, "rate_limited", now);
    let page = show(&snapshot, now).into_string();
    for says in [
        "m&lt;1",
        "open",
        "upstream_broken",
        "Key 2 rests for 30.0 s",
        "rate_limited",
        "2 keys",
    ] {
        assert!(page.contains(says), "{says} in {page}");
    }
    assert!(!page.contains("sk-"), "{page}");
}
