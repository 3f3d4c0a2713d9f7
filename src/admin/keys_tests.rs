//! The keys as operators see them.

use super::api_tests::{One, document, get, judge};
use super::tests::{ask_of, snapshot};
use super::*;
use crate::config::{ClientKey, Models, Snapshot};
use crate::ledger::keys::{StoredKey, StoredSecret};
use crate::ledger::meter::{Budget, Limits};
use crate::ledger::window::Per;
use serde_json::json;
use std::sync::Arc;

/// The second at which [`ask_of`] asks: 2025-10-09, 08:53:20.
const NOW_S: u64 = 1_760_000_000;

fn stored(name: &str, ends_s: &[Option<u64>], expires_s: Option<u64>) -> StoredKey {
    let secrets = ends_s.iter().zip(0..).map(|(expires_s, i)| StoredSecret {
        sha256: format!("{i:02x}").repeat(32),
        expires_s: *expires_s,
    });
    StoredKey {
        name: name.to_owned(),
        secrets: secrets.collect(),
        expires_s,
        ..StoredKey::default()
    }
}

/// A key of the file that has had some of what it may, and three of the store: one that was
/// rotated, one that was and ends, one that has ended.
fn of_all_kinds() -> Snapshot {
    let mut snapshot = snapshot();
    let mut team = ClientKey::new("team", "secret", false);
    team.models = Models::new(vec!["fast".to_owned(), "lab/*".to_owned()]).unwrap();
    team.limits = Limits {
        requests_per_minute: Some(2),
        tokens_per_minute: Some(1_000),
        streams: Some(3),
        budget: Some(Budget {
            nanos: 8_000_000_000,
            per: Per::Month,
        }),
    };
    let now = Instant::now();
    let admit = || team.meter.admit(&team.limits, now, NOW_S).unwrap();
    admit().settle(now, NOW_S, 700, 2_000_000_000);
    // One that stays under way for as long as the test runs.
    std::mem::forget(admit());
    snapshot.keys.push(Arc::new(team));
    snapshot.keyring.replace(&[
        stored("anna", &[None, Some(NOW_S + 60)], None),
        stored(
            "ben",
            &[None, Some(NOW_S + 60), Some(NOW_S - 1)],
            Some(NOW_S + 30),
        ),
        stored("carl", &[None], Some(NOW_S)),
    ]);
    snapshot
}

fn page(snapshot: Snapshot) -> String {
    let ask = ask_of(snapshot, "GET /admin/keys", "", "");
    let ask = Ask {
        pass: Pass::Open,
        ..ask
    };
    let reply = Dashboard::default().answer(&ask, &mut One, Instant::now());
    assert_eq!(reply.status, 200);
    String::from_utf8(reply.body).unwrap()
}

/// The words of a page's rows, without marks.
fn rows(page: &str) -> Vec<String> {
    let rows = page.split("<tr data-row").skip(1);
    let words = |row: &str| {
        let row = row.split("</tr>").next().unwrap();
        let texts = row.split('<').filter_map(|part| part.split_once('>'));
        let texts: Vec<&str> = texts.map(|(_, text)| text.trim()).collect();
        texts.join(" ")
    };
    rows.map(|row| {
        let words = words(row);
        let words: Vec<&str> = words.split_whitespace().collect();
        words.join(" ")
    })
    .collect()
}

#[test]
fn programs_are_told_every_key_and_what_it_has_had() {
    let (status, answer) = get(of_all_kinds(), "/admin/api/v1/keys");
    assert_eq!(status, 200);
    let none = json!({
        "name": "anna", "from": "store", "admin": false, "models": [],
        "expires_ms": null, "expired": false,
        "older_secrets": 1, "older_until_ms": (NOW_S + 60) * 1000,
        "requests_per_minute": null, "tokens_per_minute": null, "streams": null, "budget": null,
    });
    let with = |change: serde_json::Value| {
        let mut key = none.clone();
        for (name, value) in change.as_object().unwrap() {
            key[name] = value.clone();
        }
        key
    };
    assert_eq!(
        answer["data"],
        json!([
            with(json!({
                "name": "team", "from": "file", "models": ["fast", "lab/*"],
                "older_secrets": 0, "older_until_ms": null,
                "requests_per_minute": {"limit": 2, "used": 2},
                "tokens_per_minute": {"limit": 1_000, "used": 700},
                "streams": {"limit": 3, "used": 1},
                "budget": {
                    "limit_nanos": 8_000_000_000_u64, "spent_nanos": 2_000_000_000_u64,
                    "used_percent": 25.0, "per": "month", "ends_ms": 1_761_955_200_000_u64,
                },
            })),
            none,
            with(json!({
                "name": "ben", "expires_ms": (NOW_S + 30) * 1000,
                "older_until_ms": (NOW_S + 30) * 1000,
            })),
            with(json!({
                "name": "carl", "expires_ms": NOW_S * 1000, "expired": true,
                "older_secrets": 0, "older_until_ms": null,
            })),
        ])
    );
    let document = document();
    let schema = &document["components"]["schemas"]["KeyList"];
    let wrong = judge(&document, schema, &answer, "keys");
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn people_are_shown_every_key_and_nothing_that_opens_one() {
    let shown = page(of_all_kinds());
    let rows = rows(&shown);
    assert_eq!(
        rows[0],
        "team strait.toml fast lab/* 2 of 2 700 of 1.00k 1 of 3 $2.00 of $8.00 25.0 % \
         this month, until 2025-11-01 00:00:00 UTC never 0 0 $0 Audit of team"
    );
    assert_eq!(
        rows[1],
        "anna rotated store all — — — — never an older secret until 2025-10-09 08:54:20 UTC \
         0 0 $0 Audit of anna"
    );
    assert!(rows[3].starts_with("carl store all") && rows[3].contains("expired 2025-10-09"));
    // What is used up is marked.
    assert!(shown.contains("<span class=\"tag bad\">2</span> of 2"));
    assert!(shown.contains("are those of this process") && shown.contains("no store is kept"));
    let (_, answer) = get(of_all_kinds(), "/admin/api/v1/keys");
    let secrets = ["secret\"".to_owned(), "00".repeat(32), "01".repeat(32)];
    for secret in secrets {
        assert!(!shown.contains(&secret) && !answer.to_string().contains(&secret));
    }
}

#[test]
fn a_key_of_the_environment_is_told_as_such() {
    let env = |name: &str| (name == "STRAIT_MASTER_KEY").then(|| "change-me".to_owned());
    let snapshot = crate::config::from_env(&env).unwrap();
    assert!(rows(&page(snapshot))[0].starts_with("master admin environment all —"));
}
