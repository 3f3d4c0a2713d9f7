//! The client keys, wherever they stand: what they may, and what they have had of it. Nothing of a
//! secret, not even its digest.

use crate::config::{ClientKey, KeyFrom, Snapshot};
use serde::Serialize;
use std::time::Instant;

/// A key, at one moment.
#[derive(Serialize)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) from: &'static str,
    pub(super) admin: bool,
    /// Patterns; empty: every model.
    pub(super) models: Vec<String>,
    /// When its last secret ends; `None`: never.
    pub(super) expires_ms: Option<u64>,
    pub(super) expired: bool,
    /// Secrets that still work beside the first: it was rotated.
    pub(super) older_secrets: usize,
    /// When the last of those ends; `None`: there is none, or as the key itself.
    pub(super) older_until_ms: Option<u64>,
    pub(super) requests_per_minute: Option<Count>,
    pub(super) tokens_per_minute: Option<Count>,
    pub(super) streams: Option<Count>,
    pub(super) budget: Option<Money>,
}

/// How much there may be, and how much there is.
#[derive(Serialize)]
pub(super) struct Count {
    pub(super) limit: u64,
    pub(super) used: u64,
}

/// A budget, in billionths of a dollar, and what was spent of it in its current window.
#[derive(Serialize)]
pub(super) struct Money {
    pub(super) limit_nanos: u64,
    pub(super) spent_nanos: u64,
    pub(super) used_percent: f64,
    pub(super) per: &'static str,
    /// When the window ends; `None`: never.
    pub(super) ends_ms: Option<u64>,
}

/// Every key: those of the file first, then those of the store.
pub(super) fn all(snapshot: &Snapshot, unix_s: u64, now: Instant) -> Vec<Key> {
    let keys = snapshot.all_keys();
    keys.iter().map(|key| Key::of(key, unix_s, now)).collect()
}

impl Key {
    fn of(key: &ClientKey, unix_s: u64, now: Instant) -> Key {
        let limits = &key.limits;
        let had = key.meter.had(limits, now, unix_s);
        let count = |limit: Option<u64>, used| limit.map(|limit| Count { limit, used });
        let end_s = key.secrets.iter().map(|secret| secret.expires_s).max();
        let older = key.secrets.iter().skip(1).map(|secret| secret.expires_s);
        let older: Vec<u64> = older.filter(|end_s| *end_s > unix_s).collect();
        Key {
            name: key.name.clone(),
            from: match key.from {
                KeyFrom::Environment => "environment",
                KeyFrom::File => "file",
                KeyFrom::Store => "store",
            },
            admin: key.admin,
            models: key.models.patterns().to_vec(),
            expires_ms: end_s.and_then(millis),
            expired: end_s.is_none_or(|end_s| end_s <= unix_s),
            older_secrets: older.len(),
            older_until_ms: older.into_iter().max().and_then(millis),
            requests_per_minute: count(limits.requests_per_minute, had.requests),
            tokens_per_minute: count(limits.tokens_per_minute, had.tokens),
            streams: count(limits.streams, had.streams),
            budget: limits
                .budget
                .zip(had.spent)
                .map(|(budget, (nanos, window))| Money {
                    limit_nanos: budget.nanos,
                    spent_nanos: nanos,
                    used_percent: nanos as f64 * 100.0 / budget.nanos as f64,
                    per: budget.per.name(),
                    ends_ms: window.end_s.and_then(millis),
                }),
        }
    }
}

/// Unix milliseconds; `None` for the time that never comes.
fn millis(unix_s: u64) -> Option<u64> {
    unix_s.checked_mul(1000)
}
