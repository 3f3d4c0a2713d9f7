//! Where the audit is, how much of it waits and is kept, and what of the exchanges is in it.

use super::load::{ConfigError, Env, Loader};
use super::store::{Place, Store, default_file};
use crate::limits;
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

/// `[audit]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditDraft {
    enabled: Option<bool>,
    url: Option<Spanned<String>>,
    queue: Option<Spanned<f64>>,
    when_full: WhenFull,
    max_age_days: Option<Spanned<f64>>,
    max_size_mib: Option<Spanned<f64>>,
    bodies: bool,
    body_max_kib: Option<Spanned<f64>>,
    redact: Vec<Spanned<String>>,
}

/// What happens to a row while as many wait as may.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// It is dropped, and counted.
    #[default]
    Drop,
    /// It waits, and so does every request that has not begun.
    Wait,
}

/// The audit.
#[derive(Clone, Debug, PartialEq)]
pub struct Audit {
    /// Where it is.
    pub place: Place,
    /// The configuration names it: then it has to be usable, or Strait does not start.
    pub chosen: bool,
    /// Most rows that wait to be written.
    pub queue: usize,
    /// What happens beyond.
    pub when_full: WhenFull,
    /// How long a row is kept.
    pub max_age: Duration,
    /// Most bytes kept; beyond, the oldest rows go.
    pub max_bytes: u64,
    /// Most bytes kept of each body; `None`: no content at all.
    pub body_max: Option<usize>,
    /// How words begin that are secrets, besides those that everybody knows.
    pub redact: Vec<String>,
}

impl Audit {
    /// No audit.
    pub fn none() -> Audit {
        Audit {
            place: Place::Nowhere,
            chosen: false,
            queue: limits::AUDIT_QUEUE_MAX,
            when_full: WhenFull::Drop,
            max_age: limits::AUDIT_AGE_MAX,
            max_bytes: limits::AUDIT_BYTES_MAX,
            body_max: None,
            redact: Vec::new(),
        }
    }

    /// Whether there is one.
    pub fn keeps(&self) -> bool {
        !matches!(self.place, Place::Nowhere)
    }
}

impl Loader<'_> {
    /// The audit: where it is said to be, else beside the store, else where the system wants such
    /// things.
    pub(super) fn audit(&self, draft: &AuditDraft, store: &Store) -> Result<Audit, ConfigError> {
        let place = match &draft.url {
            _ if draft.enabled == Some(false) => Place::Nowhere,
            Some(url) => self.place("audit.url", url)?,
            None => beside(store, self.env),
        };
        if let (Place::Sqlite(own), Place::Sqlite(other), Some(url)) =
            (&place, &store.place, &draft.url)
            && own == other
        {
            let mend = "name another file.";
            let what = "is the file of the store.";
            return Err(self.error(url.span().start, "audit.url", what, mend));
        }
        let age = self.amount("audit.max_age_days", &draft.max_age_days, 36_500.0)?;
        let size = self.amount("audit.max_size_mib", &draft.max_size_mib, 1e9)?;
        let queue = self.amount("audit.queue", &draft.queue, 1e7)?;
        let body = self.amount("audit.body_max_kib", &draft.body_max_kib, 65_536.0)?;
        let body = body.map_or(limits::AUDIT_BODY_MAX, |kib| (kib * 1024.0) as usize);
        let usual = Audit::none();
        Ok(Audit {
            place,
            chosen: draft.url.is_some() && draft.enabled != Some(false),
            queue: queue.map_or(usual.queue, |rows| (rows as usize).max(1)),
            when_full: draft.when_full,
            max_age: age.map_or(usual.max_age, |days| {
                Duration::from_secs_f64(days * 86_400.0)
            }),
            max_bytes: size.map_or(usual.max_bytes, |mib| (mib * 1_048_576.0) as u64),
            body_max: draft.bodies.then_some(body),
            redact: self.beginnings(&draft.redact)?,
        })
    }

    fn beginnings(&self, drafts: &[Spanned<String>]) -> Result<Vec<String>, ConfigError> {
        let usable = |text: &str| {
            text.len() >= 3
                && text
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        match drafts.iter().find(|draft| !usable(draft.get_ref())) {
            Some(bad) => {
                let what = "is not how a secret begins.";
                let mend = "at least three letters, digits, '-', '_' or '.': \"corp_\".";
                Err(self.error(bad.span().start, "audit.redact", what, mend))
            }
            None => Ok(drafts.iter().map(|d| d.get_ref().clone()).collect()),
        }
    }
}

/// The database of the store, or a file beside its file.
fn beside(store: &Store, env: Env<'_>) -> Place {
    const NAME: &str = "strait-audit.db";
    match &store.place {
        Place::Postgres(database) => Place::Postgres(database.clone()),
        Place::Sqlite(path) => Place::Sqlite(path.with_file_name(NAME)),
        Place::Nowhere => default_file(env, NAME).map_or(Place::Nowhere, Place::Sqlite),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/me".to_owned())
    }

    fn read(text: &str) -> Result<Audit, String> {
        let snapshot = parse("strait.toml", text, &env);
        snapshot.map(|s| s.audit).map_err(|e| e.to_string())
    }

    #[test]
    fn it_is_on_beside_the_store_and_without_bodies() {
        let audit = read("").unwrap();
        let shown = "sqlite:/home/me/.local/state/strait/strait-audit.db";
        assert_eq!(audit.place.to_string(), shown);
        assert!(!audit.chosen && audit.body_max.is_none());
        assert_eq!((audit.queue, audit.when_full), (10_000, WhenFull::Drop));
        let beside = read("[store]\nurl = \"sqlite:/a/b.db\"").unwrap();
        assert_eq!(beside.place.to_string(), "sqlite:/a/strait-audit.db");
        let shared = read("[store]\nurl = \"postgres://localhost/x\"").unwrap();
        assert_eq!(shared.place.to_string(), "postgres://localhost/x");
        assert_eq!(
            read("[store]\nurl = \"none\"").unwrap().place,
            audit.place,
            "who keeps no content may want an audit"
        );
    }

    #[test]
    fn what_is_said_is_taken() {
        let text = "[audit]\nurl = \"sqlite:/x.db\"\nqueue = 5\nwhen_full = \"wait\"\n\
                    max_age_days = 0.5\nmax_size_mib = 2\nbodies = true\nbody_max_kib = 4\n\
                    redact = [\"corp_\"]";
        let audit = read(text).unwrap();
        assert_eq!(audit.place.to_string(), "sqlite:/x.db");
        assert_eq!((audit.queue, audit.when_full), (5, WhenFull::Wait));
        assert_eq!(audit.max_age, Duration::from_secs(43_200));
        assert_eq!((audit.max_bytes, audit.body_max), (2 << 20, Some(4096)));
        assert!(audit.chosen && audit.redact == ["corp_"]);
        assert!(!read("[audit]\nenabled = false").unwrap().keeps());
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("[audit]\nqueue = 0", "strait.toml:2: audit.queue: is out"),
            ("[audit]\nwhen_full = \"block\"", "unknown variant"),
            ("[audit]\nredact = [\"a b\"]", "audit.redact: is not how"),
            (
                "[audit]\nurl = \"sqlite:/s.db\"\n[store]\nurl = \"sqlite:/s.db\"",
                "audit.url: is the file of the store",
            ),
            ("[audit]\nurl = \"mysql:x\"", "audit.url: is no database"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }
}
