//! Keys of the store, as requests find them.

use super::*;
use crate::config::parse;
use crate::ledger::keys::{StoredKey, StoredSecret};
use crate::ledger::meter::Limits;
use std::time::Instant;

fn stored(name: &str, secret: &str) -> StoredKey {
    let digest = super::load::sha256(secret.as_bytes());
    let sha256 = digest.iter().map(|b| format!("{b:02x}")).collect();
    StoredKey {
        name: name.to_owned(),
        models: vec!["fast".to_owned()],
        limits: Limits {
            streams: Some(1),
            ..Limits::default()
        },
        secrets: vec![StoredSecret {
            sha256,
            expires_s: None,
        }],
        expires_s: Some(100),
        ..StoredKey::default()
    }
}

fn empty() -> Snapshot {
    parse("f", "", &|_| None).unwrap()
}

#[test]
fn a_key_of_the_store_closes_the_door_and_revoking_it_does_not_open_it() {
    let snapshot = empty();
    assert!(snapshot.is_open());
    let mut key = stored("a", "secret");
    snapshot.keyring.replace(std::slice::from_ref(&key));
    assert!(!snapshot.is_open());
    let found = snapshot.authorize(Some("secret"), 99).unwrap().unwrap();
    assert_eq!(
        (found.name.as_str(), found.models.has("slow")),
        ("a", false)
    );
    let refused = |unix_s| snapshot.authorize(Some("secret"), unix_s).unwrap_err();
    assert_eq!(refused(100), Refused::Expired);
    key.revoked_s = Some(1);
    snapshot.keyring.replace(&[key]);
    assert_eq!(refused(0), Refused::Unknown);
    assert!(!snapshot.is_open());
}

#[test]
fn a_store_that_was_never_seen_opens_nothing() {
    let snapshot = empty();
    snapshot.keyring.out_of_sight(true);
    assert!(!snapshot.is_open());
    let refused = snapshot.authorize(Some("x"), 0).unwrap_err();
    assert_eq!(refused, Refused::Unsure);
    snapshot.keyring.replace(&[]);
    assert!(snapshot.is_open());
    // What was seen once holds.
    snapshot.keyring.replace(&[stored("a", "secret")]);
    snapshot.keyring.out_of_sight(false);
    assert!(snapshot.authorize(Some("secret"), 0).is_ok());
}

#[test]
fn limits_are_counted_on_over_a_reload() {
    let text = "[[keys]]\nname = \"a\"\nkey = \"x\"\nstreams = 1";
    let before = parse("f", text, &|_| None).unwrap();
    before.keyring.replace(&[stored("b", "y")]);
    let now = Instant::now();
    let take = |snapshot: &Snapshot, secret: &str| {
        let key = snapshot.authorize(Some(secret), 0).unwrap().unwrap();
        key.meter.admit(&key.limits, now, 0)
    };
    let held = [take(&before, "x"), take(&before, "y")];
    assert!(held.iter().all(Result::is_ok));
    let mut next = parse("f", &text.replace("\"x\"", "\"z\""), &|_| None).unwrap();
    next.inherit_keys(&before);
    next.keyring.replace(&[stored("b", "y")]);
    assert!(take(&next, "z").is_err() && take(&next, "y").is_err());
    assert_eq!(next.all_keys().len(), 2);
    drop(held);
    assert!(take(&next, "z").is_ok() && take(&next, "y").is_ok());
}
