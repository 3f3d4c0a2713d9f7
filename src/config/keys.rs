//! Who may ask: the keys of clients, from the file or the environment.

use super::allowance::{BudgetDraft, Models};
use super::draft::Draft;
use super::load::{ConfigError, Loader, sha256};
use crate::ledger::meter::{Limits, Meter};
use serde::Deserialize;
use std::sync::Arc;
use time::{Date, Month, Time, UtcDateTime};
use toml::Spanned;
use toml::value::{Datetime, Offset};

/// The name of the key that `STRAIT_MASTER_KEY` makes.
const MASTER: &str = "master";
/// The variable of the environment that holds it.
const MASTER_KEY: &str = "STRAIT_MASTER_KEY";
/// How an end is to be written.
const END: &str = "write it with its offset from UTC, like 2027-01-01T00:00:00Z.";

/// `[[keys]]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyDraft {
    name: String,
    key: Option<String>,
    sha256: Option<String>,
    expires: Option<Spanned<Datetime>>,
    #[serde(default)]
    also: Vec<Spanned<SecretDraft>>,
    #[serde(default)]
    admin: bool,
    models: Option<Spanned<Vec<String>>>,
    requests_per_minute: Option<Spanned<u64>>,
    tokens_per_minute: Option<Spanned<u64>>,
    streams: Option<Spanned<u64>>,
    budget: Option<Spanned<BudgetDraft>>,
}

/// A further secret of a key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretDraft {
    key: Option<String>,
    sha256: Option<String>,
    expires: Option<Spanned<Datetime>>,
}

/// Where a key comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyFrom {
    /// `STRAIT_MASTER_KEY`.
    Environment,
    /// `[[keys]]` of the configuration.
    File,
    /// `strait keys add`.
    Store,
}

/// Who clients are, and what they may.
#[derive(Debug)]
pub struct ClientKey {
    /// For the log, and what is kept is kept under it.
    pub name: String,
    /// Where it comes from.
    pub from: KeyFrom,
    /// Whether it opens what operators see, too.
    pub admin: bool,
    /// What clients present to be this key; several while one takes another's place.
    pub secrets: Vec<Digest>,
    /// What may be asked for with it.
    pub models: Models,
    /// How much of it.
    pub limits: Limits,
    /// How much of that it has had.
    pub meter: Arc<Meter>,
}

/// A secret that is not known here, only recognised.
#[derive(Debug)]
pub struct Digest {
    /// SHA-256 of the secret.
    pub sha256: [u8; 32],
    /// The second it no longer works, in Unix time; `u64::MAX`: it always does.
    pub expires_s: u64,
}

/// Why what a client presented opens nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refused {
    /// Its time is over.
    Expired,
    /// It is nobody's, or nothing was presented.
    Unknown,
    /// It is none of the file's, and the store could not be asked yet.
    Unsure,
}

impl ClientKey {
    /// A key, as if of the file, that `secret` opens for ever.
    pub fn new(name: &str, secret: &str, admin: bool) -> ClientKey {
        ClientKey {
            name: name.to_owned(),
            from: KeyFrom::File,
            admin,
            secrets: vec![Digest {
                sha256: sha256(secret.as_bytes()),
                expires_s: u64::MAX,
            }],
            models: Models::default(),
            limits: Limits::default(),
            meter: Arc::default(),
        }
    }

    /// The one of `keys` with a secret of this digest that works at `unix_s`. Every secret is
    /// compared, each in constant time, so that timing says nothing.
    pub(super) fn find<'a>(
        keys: &'a [Arc<ClientKey>],
        digest: &[u8; 32],
        unix_s: u64,
    ) -> Result<&'a Arc<ClientKey>, Refused> {
        let mut found = Err(Refused::Unknown);
        for key in keys {
            for secret in &key.secrets {
                let bytes = secret.sha256.iter().zip(digest);
                let differs = bytes.fold(0, |d, (a, b)| d | (a ^ b));
                if std::hint::black_box(differs) == 0 {
                    found = match unix_s < secret.expires_s {
                        true => Ok(key),
                        false => Err(Refused::Expired),
                    };
                }
            }
        }
        found
    }
}

impl Loader<'_> {
    /// The keys of the file, and that of the environment where the file has none of its name.
    pub(super) fn keys(&self, draft: &Draft) -> Result<Vec<Arc<ClientKey>>, ConfigError> {
        let mut keys: Vec<Arc<ClientKey>> = Vec::new();
        for (i, key) in draft.keys.iter().enumerate() {
            let (at, path) = (key.span().start, format!("keys[{i}]"));
            let key = key.get_ref();
            if key.name.is_empty() || keys.iter().any(|k| k.name == key.name) {
                let mend = "give each key a name of its own; several secrets of one go into also.";
                let what = format!("the name {:?} is empty or taken.", key.name);
                return Err(self.error(at, &path, what, mend));
            }
            let first = (key.key.as_deref(), key.sha256.as_deref());
            let mut secrets = vec![self.secret(at, &path, first, &key.expires)?];
            for (n, also) in key.also.iter().enumerate() {
                let (at, path) = (also.span().start, format!("{path}.also[{n}]"));
                let also = also.get_ref();
                let own = (also.key.as_deref(), also.sha256.as_deref());
                let mut secret = self.secret(at, &path, own, &also.expires)?;
                // The end of the key is the end of all its secrets.
                secret.expires_s = secret.expires_s.min(secrets[0].expires_s);
                secrets.push(secret);
            }
            let known = |secret: &Digest| {
                let mut others = keys.iter().flat_map(|key| &key.secrets);
                others.any(|other| other.sha256 == secret.sha256)
            };
            if secrets.iter().any(known) {
                let what = "one of its secrets is another key's, too.";
                return Err(self.error(at, &path, what, "give each key secrets of its own."));
            }
            keys.push(Arc::new(ClientKey {
                name: key.name.clone(),
                from: KeyFrom::File,
                admin: key.admin,
                secrets,
                models: self.allowed_models(&path, &key.models)?,
                limits: self.limits(
                    &path,
                    [
                        ("requests_per_minute", &key.requests_per_minute),
                        ("tokens_per_minute", &key.tokens_per_minute),
                        ("streams", &key.streams),
                    ],
                    &key.budget,
                )?,
                meter: Arc::default(),
            }));
        }
        let master = (self.env)(MASTER_KEY).filter(|key| !key.is_empty());
        if let (Some(secret), false) = (master, keys.iter().any(|k| k.name == MASTER)) {
            self.digest(0, MASTER_KEY, &secret)?;
            keys.push(Arc::new(ClientKey {
                from: KeyFrom::Environment,
                ..ClientKey::new(MASTER, &secret, true)
            }));
        }
        Ok(keys)
    }

    fn secret(
        &self,
        at: usize,
        path: &str,
        written: (Option<&str>, Option<&str>),
        expires: &Option<Spanned<Datetime>>,
    ) -> Result<Digest, ConfigError> {
        let sha256 = match written {
            (Some(secret), None) => self.digest(at, path, &self.expand(at, path, secret)?)?,
            (None, Some(digest)) => {
                let digest = self.expand(at, path, digest)?;
                super::load::hex32(&digest).ok_or_else(|| {
                    let mend = "64 hexadecimal digits, as sha256sum prints them.";
                    self.error(at, path, "sha256 is not a SHA-256 digest.", mend)
                })?
            }
            _ => {
                let mend = "key = \"${STRAIT_KEY}\", or its digest as sha256.";
                return Err(self.error(at, path, "needs one of key and sha256.", mend));
            }
        };
        let expires_s = match expires {
            None => u64::MAX,
            Some(end) => unix_s(end.get_ref()).ok_or_else(|| {
                let path = format!("{path}.expires");
                self.error(end.span().start, &path, "is no point in time.", END)
            })?,
        };
        Ok(Digest { sha256, expires_s })
    }

    fn digest(&self, at: usize, path: &str, secret: &str) -> Result<[u8; 32], ConfigError> {
        if secret.is_empty() || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            let what = "the key is empty or holds characters that no header carries.";
            return Err(self.error(at, path, what, "check the variable it comes from."));
        }
        Ok(sha256(secret.as_bytes()))
    }
}

/// The Unix time of a date and time with its offset; `None` without one, or before 1970.
pub fn unix_s(at: &Datetime) -> Option<u64> {
    let (date, clock) = (at.date?, at.time?);
    let month = Month::try_from(date.month).ok()?;
    let date = Date::from_calendar_date(date.year.into(), month, date.day).ok()?;
    // A leap second is the next one.
    let second = clock.second.unwrap_or(0);
    let time = Time::from_hms(clock.hour, clock.minute, second.min(59)).ok()?;
    let local = UtcDateTime::new(date, time).unix_timestamp();
    let minutes = match at.offset? {
        Offset::Z => 0,
        Offset::Custom { minutes } => i64::from(minutes),
    };
    u64::try_from(local - minutes * 60).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{Snapshot, from_env, parse};
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "K" => Some("secret".to_owned()),
            "ODD" => Some("two words".to_owned()),
            _ => None,
        }
    }

    fn read(text: &str) -> Snapshot {
        parse("f", text, &env).unwrap()
    }

    /// The name of the key that `secret` is at `unix_s`.
    fn who(snapshot: &Snapshot, secret: &str, unix_s: u64) -> Result<String, Refused> {
        let key = snapshot.authorize(Some(secret), unix_s)?;
        Ok(key.expect("keys are configured").name.clone())
    }

    fn named(name: &str) -> Result<String, Refused> {
        Ok(name.to_owned())
    }

    #[test]
    fn keys_are_compared_by_digest() {
        let open = "listen = [\"0.0.0.0:1\"]\n[[keys]]\nname = \"fleet\"\nkey = \"${K}\"";
        let digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        let hashed = format!("[[keys]]\nname = \"fleet\"\nsha256 = \"{digest}\"");
        for text in [open, &hashed] {
            let snapshot = read(text);
            assert_eq!(who(&snapshot, "secret", 0), named("fleet"));
            assert_eq!(who(&snapshot, "secret2", 0), Err(Refused::Unknown));
            assert!(snapshot.authorize(None, 0).is_err());
            assert!(!snapshot.keys[0].admin);
            assert!(!format!("{snapshot:?}").contains("secret\""));
        }
        assert!(read("").authorize(None, 0).unwrap().is_none());
    }

    #[test]
    fn an_old_secret_works_until_its_end_and_none_longer_than_the_key() {
        let snapshot = read(
            "[[keys]]\nname = \"a\"\nkey = \"new\"\nexpires = 1970-01-01T01:00:30+01:00\n\
             also = [{ key = \"old\", expires = 1970-01-01T00:00:20Z }, { key = \"older\" }]\n\
             [[keys]]\nname = \"b\"\nkey = \"other\"\nadmin = true",
        );
        for (secret, last) in [("new", 30), ("old", 20), ("older", 30)] {
            assert_eq!(who(&snapshot, secret, last - 1), named("a"));
            assert_eq!(who(&snapshot, secret, last), Err(Refused::Expired));
        }
        assert_eq!(who(&snapshot, "other", u64::MAX - 1), named("b"));
        assert!(snapshot.keys[1].admin);
    }

    #[test]
    fn the_environment_makes_a_master_key() {
        let env = |name: &str| match name {
            "STRAIT_MASTER_KEY" => Some("change-me".to_owned()),
            "STRAIT_LISTEN" => Some("0.0.0.0:8080, [::1]:8081".to_owned()),
            _ => None,
        };
        let snapshot = from_env(&env).unwrap();
        assert_eq!(who(&snapshot, "change-me", 0), named("master"));
        assert!(snapshot.keys[0].admin && snapshot.keys[0].from == KeyFrom::Environment);
        let listen: Vec<String> = snapshot.listen.iter().map(|a| a.to_string()).collect();
        assert_eq!(listen, ["0.0.0.0:8080", "[::1]:8081"]);
        // A file may add keys, or say itself who that is.
        let other = "[[keys]]\nname = \"a\"\nkey = \"x\"";
        assert_eq!(parse("f", other, &env).unwrap().keys.len(), 2);
        let own = "listen = [\"127.0.0.1:1\"]\n[[keys]]\nname = \"master\"\nkey = \"x\"";
        let snapshot = parse("f", own, &env).unwrap();
        assert_eq!(who(&snapshot, "change-me", 0), Err(Refused::Unknown));
        assert_eq!(snapshot.listen.len(), 2);
        let empty = |name: &str| match name {
            "STRAIT_LISTEN" => Some("0.0.0.0:8080".to_owned()),
            "STRAIT_MASTER_KEY" => Some(String::new()),
            _ => None,
        };
        let said = from_env(&empty).unwrap_err().to_string();
        assert!(said.contains("beyond loopback") && said.contains("STRAIT_MASTER_KEY"));
    }

    #[test]
    fn mistakes_are_told() {
        let a = "[[keys]]\nname = \"a\"\n";
        for (text, expected) in [
            (a.to_owned(), "f:1: keys[0]: needs one of key and sha256"),
            (format!("{a}sha256 = \"12\""), "is not a SHA-256 digest"),
            (format!("{a}key = \"${{ODD}}\""), "no header carries"),
            (format!("{a}key = \"\""), "is empty"),
            (
                format!("{a}key = \"x\"\n{a}key = \"y\""),
                "f:4: keys[1]: the name \"a\" is empty or taken",
            ),
            (
                format!("{a}key = \"x\"\n[[keys]]\nname = \"b\"\nkey = \"x\""),
                "another key's",
            ),
            (
                format!("{a}key = \"x\"\nexpires = 2027-01-01"),
                "f:4: keys[0].expires: is no point",
            ),
            (
                format!("{a}key = \"x\"\nexpires = 2027-01-01T00:00:00"),
                "like 2027-01-01T00:00:00Z",
            ),
            (
                format!("{a}key = \"x\"\nalso = [{{ expires = 2027-01-01T00:00:00Z }}]"),
                "keys[0].also[0]: needs one",
            ),
        ] {
            let said = parse("f", &text, &env).unwrap_err().to_string();
            assert!(said.contains(expected) && said.contains("Mend: "), "{said}");
        }
    }

    #[test]
    fn ends_are_points_in_time() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2027-01-01T00:00:00Z", Some(1_798_761_600)),
            ("2027-01-01T02:00:00+02:00", Some(1_798_761_600)),
            ("2026-12-31T18:30:00.5-05:30", Some(1_798_761_600)),
            ("1970-01-01T00:00:00+00:01", None),
            ("2027-01-01T00:00:00", None),
            ("2027-01-01", None),
            ("00:00:00", None),
        ] {
            assert_eq!(unix_s(&text.parse().unwrap()), expected, "{text}");
        }
    }
}
