//! What a reload replaces: the configuration, and what is made from it.

use super::certificates::Certificates;
use super::driver::phrase;
use super::journal::Journal;
use super::login::{self, Logins};
use super::{ServerError, tls};
use crate::config::{Place, Snapshot};
use rustls::ClientConfig;
use std::sync::Arc;

/// Reads the configuration anew, from where the process was told that it is. An error names file,
/// line, key and mend.
pub type Reload = Box<dyn Fn() -> Result<Snapshot, String> + Send>;

/// What every exchange is begun with, and keeps to its end.
pub(super) struct Settings {
    pub(super) snapshot: Arc<Snapshot>,
    /// For connections to providers.
    pub(super) tls: Arc<ClientConfig>,
    pub(super) logins: login::Desk,
    /// What clients are shown; `None`: they come without TLS.
    pub(super) certificates: Option<Arc<Certificates>>,
}

impl Settings {
    /// Reads certificates and authorities and starts what new logins need. What `running` has of
    /// it is kept.
    pub(super) fn new(
        snapshot: Snapshot,
        logins: &mut Logins,
        running: Option<&Settings>,
        journal: &Journal,
    ) -> Result<Self, ServerError> {
        let mut providers = snapshot.providers.values();
        let any_tls = providers
            .any(|p| p.origin.tls || p.login.as_ref().is_some_and(|login| login.origin.tls));
        let tls = tls::config(any_tls, snapshot.ca_file.as_deref())?;
        let held = running.and_then(|running| running.certificates.as_ref());
        let certificates = Certificates::open(snapshot.tls.as_ref(), held, journal)?;
        let desk = logins
            .open(&snapshot, &tls)
            .map_err(|e| ServerError::System(format!("threads: {}", phrase(&e))))?;
        Ok(Settings {
            snapshot: Arc::new(snapshot),
            tls,
            logins: desk,
            certificates,
        })
    }
}

/// The configuration that is to follow `running`, with what that knows of providers; or which key of it stands against that.
pub(super) fn successor(running: &Snapshot, mut next: Snapshot) -> Result<Snapshot, String> {
    // A place that nobody chose was looked at once, at the start.
    if !running.store.chosen && !next.store.chosen {
        next.store.place = running.store.place.clone();
    }
    if !running.audit.chosen && !next.audit.chosen && next.audit.keeps() {
        next.audit.place = running.audit.place.clone();
    }
    let shared = [&running.store.place, &running.audit.place];
    let shared = shared
        .iter()
        .any(|place| matches!(place, Place::Postgres(_)));
    let fixed = [
        ("listen", running.listen == next.listen),
        ("workers", running.workers == next.workers),
        ("store", running.store == next.store),
        ("audit", running.audit == next.audit),
        ("log.format", running.log_format == next.log_format),
        ("traces", running.traces == next.traces),
        (
            "metrics.enabled",
            running.metrics.enabled == next.metrics.enabled,
        ),
        (
            "ca_file, which the database uses, too,",
            !shared || running.ca_file == next.ca_file,
        ),
    ];
    match fixed.iter().find(|(_, same)| !same) {
        None => {
            next.inherit(running);
            Ok(next)
        }
        Some((key, _)) => Err(format!(
            "{key} cannot change while Strait runs. Mend: leave it as it was, or restart."
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn read(text: &str) -> Snapshot {
        let text = format!(
            "{text}\n[providers.p]\nprofile = \"openai-compatible\"\nbase_url = \"http://127.0.0.1:1\"\n"
        );
        let env = |name: &str| (name == "HOME").then(|| "/home/me".to_owned());
        config::parse("f", &text, &env).unwrap()
    }

    #[test]
    fn what_cannot_change_is_named() {
        let before = read("workers = 1");
        for (text, named) in [
            ("workers = 1\nlisten = [\"127.0.0.1:1\"]", "listen "),
            ("workers = 2", "workers "),
            ("workers = 1\nstore.url = \"none\"", "store "),
            ("workers = 1\nstore.max_age_days = 1.0", "store "),
            ("workers = 1\naudit.queue = 5", "audit "),
            ("workers = 1\naudit.enabled = false", "audit "),
            ("workers = 1\nmetrics.enabled = false", "metrics.enabled "),
        ] {
            let refused = successor(&before, read(text)).unwrap_err();
            assert!(refused.starts_with(named), "{refused}");
        }
        let shared = "workers = 1\nstore.url = \"postgres://localhost/x\"\n";
        let moved = format!("{shared}ca_file = \"/x\"");
        assert!(successor(&read(shared), read(&moved)).is_err());
        let next = read("workers = 1\nca_file = \"/x\"\nwebsocket = false");
        assert!(!successor(&before, next).unwrap().websocket);
    }

    #[test]
    fn a_place_of_the_store_that_was_given_up_stays_so() {
        let mut before = read("");
        before.store.place = Place::Nowhere;
        let next = successor(&before, read("")).unwrap();
        assert!(!next.store.keeps());
    }
}
