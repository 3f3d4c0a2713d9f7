//! Client keys that are kept in the store: made, rotated and revoked while Strait runs. Of a secret
//! only its SHA-256 is known.

use super::meter::Limits;
use serde::{Deserialize, Serialize};

/// A key as it is kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct StoredKey {
    /// What it is called, and what is kept under it; unique.
    pub name: String,
    /// Whether it opens what operators see, too.
    pub admin: bool,
    /// Patterns of the models it may ask for; empty: all.
    pub models: Vec<String>,
    /// How much it may.
    pub limits: Limits,
    /// What opens it.
    pub secrets: Vec<StoredSecret>,
    /// When it was made, in Unix seconds.
    pub made_s: u64,
    /// The second from which it no longer works; `None`: it always does.
    pub expires_s: Option<u64>,
    /// When it was revoked. It is kept, so that its name stays taken and Strait stays closed.
    pub revoked_s: Option<u64>,
}

/// A secret that is only recognised.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StoredSecret {
    /// SHA-256, in hexadecimal.
    pub sha256: String,
    /// The second from which it no longer works; `None`: as long as the key does.
    pub expires_s: Option<u64>,
}

impl StoredKey {
    /// Whether it works at `unix_s`.
    pub fn works(&self, unix_s: u64) -> bool {
        self.revoked_s.is_none() && self.expires_s.is_none_or(|end| unix_s < end)
    }

    /// Another secret takes the place of those there are, which work until `until_s` at most.
    /// Those whose time is over are forgotten.
    pub fn rotate(&mut self, sha256: String, unix_s: u64, until_s: u64) {
        for secret in &mut self.secrets {
            secret.expires_s = Some(secret.expires_s.map_or(until_s, |end| end.min(until_s)));
        }
        self.secrets
            .retain(|secret| secret.expires_s.is_some_and(|end| end > unix_s));
        let expires_s = None;
        self.secrets.insert(0, StoredSecret { sha256, expires_s });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_secret_overlaps_with_the_old_ones() {
        let mut key = StoredKey::default();
        let ends = |key: &StoredKey| -> Vec<(String, Option<u64>)> {
            let secrets = key.secrets.iter();
            secrets.map(|s| (s.sha256.clone(), s.expires_s)).collect()
        };
        key.rotate("a".to_owned(), 100, 100);
        key.rotate("b".to_owned(), 100, 150);
        let expected = [("b".to_owned(), None), ("a".to_owned(), Some(150))];
        assert_eq!(ends(&key), expected);
        // A later rotation prolongs nothing, and forgets what is over.
        key.rotate("c".to_owned(), 149, 200);
        assert_eq!(ends(&key)[2], ("a".to_owned(), Some(150)));
        key.rotate("d".to_owned(), 150, 150);
        assert_eq!(ends(&key), [("d".to_owned(), None)]);
    }

    #[test]
    fn a_key_ends_by_itself_or_is_ended() {
        let mut key = StoredKey {
            expires_s: Some(10),
            ..StoredKey::default()
        };
        assert!(key.works(9) && !key.works(10));
        key.revoked_s = Some(1);
        assert!(!key.works(9));
    }

    #[test]
    fn what_is_kept_is_read_again() {
        let text = r#"{"name":"a","limits":{"streams":2,"budget":{"nanos":5,"per":"week"}},"secrets":[{"sha256":"00","expires_s":7}]}"#;
        let key: StoredKey = serde_json::from_str(text).unwrap();
        assert_eq!(key.limits.streams, Some(2));
        let again = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<StoredKey>(&again).unwrap(), key);
    }
}
