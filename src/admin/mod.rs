//! The operators' pages, and the same as JSON: from what is asked and what is known to HTML.
//! Pure, like the rest of the core; a thread that is no worker runs it.
//!
//! Everything shown is escaped by the templates (`maud`), whatever a client or a provider said;
//! pages load nothing from elsewhere and hold no script of their own, so that even what slipped
//! through could not run.

mod api;
mod assets;
mod filter;
mod keys;
mod known;
mod pages;
mod plot;
mod query;
mod reply;
mod session;
mod talk;

use crate::error::{Error, Kind, Source};
use crate::route::operator::{Ask, Pass, Reply};
use api::Asked;
pub use known::Known;
use query::Query;
use session::{Refused, Sessions};
use std::time::Instant;

/// What answers operators. It remembers who is signed in, and nothing else.
#[derive(Default)]
pub struct Dashboard {
    sessions: Sessions,
}

/// Who asks, as the pages show it.
struct Viewer {
    /// The name of the key; empty where Strait asks for none.
    key: String,
    /// Signed in, so that one can sign out.
    by_session: bool,
}

impl Dashboard {
    /// Answers one question.
    pub fn answer(&mut self, ask: &Ask, known: &mut dyn Known, now: Instant) -> Reply {
        let path = match ask.head.path.trim_end_matches('/') {
            "" => "/admin",
            path => path,
        };
        if let Some(asset) = assets::find(path) {
            return asset;
        }
        let query = Query::of(ask.head.query.as_deref().unwrap_or_default());
        match (path, ask.head.method.as_str()) {
            ("/admin/sign-in", "POST") => return self.sign_in(ask, now),
            ("/admin/sign-in", _) => return self.ask_to_sign_in(ask, &query, now),
            ("/admin/sign-out", "POST") => return self.sign_out(ask),
            ("/admin/sign-out", _) => return reply::redirect("/admin"),
            _ => {}
        }
        match self.viewer(ask, now) {
            Some(_) if is_api(path) => {
                let asked = Asked {
                    path,
                    query: &query,
                    snapshot: &ask.snapshot,
                    unix_s: ask.unix_s,
                    now,
                };
                api::answer(&asked, known)
            }
            Some(viewer) => pages::answer(path, &query, ask, &viewer, known, now),
            None if is_api(path) => {
                let message = "Present an admin key as a bearer token, or sign in at /admin.";
                reply::error(&Error::new(Source::Downstream, Kind::InvalidKey, message))
            }
            None => {
                let target = match &ask.head.query {
                    Some(query) => format!("{path}?{query}"),
                    None => path.to_owned(),
                };
                reply::redirect(&Query::link("/admin/sign-in", &[("next", &target)]))
            }
        }
    }

    fn viewer(&mut self, ask: &Ask, now: Instant) -> Option<Viewer> {
        let (key, by_session) = match &ask.pass {
            Pass::Key(name) => (name.clone(), false),
            Pass::Open => (String::new(), false),
            Pass::Session => (
                self.sessions
                    .find(&ask.head, &ask.snapshot, ask.unix_s, now)?
                    .to_owned(),
                true,
            ),
        };
        Some(Viewer { key, by_session })
    }

    fn ask_to_sign_in(&mut self, ask: &Ask, query: &Query, now: Instant) -> Reply {
        let next = after_sign_in(query.get("next"));
        match self.viewer(ask, now) {
            Some(_) => reply::redirect(next),
            None => pages::sign_in(200, next, None),
        }
    }

    fn sign_in(&mut self, ask: &Ask, now: Instant) -> Reply {
        let form = Query::of(&String::from_utf8_lossy(&ask.body));
        let next = after_sign_in(form.get("next"));
        match self.sessions.open(ask, form.get("key"), now) {
            Ok(cookie) => reply::redirect(next).with("set-cookie", cookie),
            Err(Refused::Wrong) => {
                let why = "That is not an admin key of this Strait.";
                pages::sign_in(401, next, Some(why))
            }
            Err(Refused::TooMany(wait)) => {
                let seconds = wait.as_secs().max(1).to_string();
                let why = format!("Too many wrong keys were tried. Try again in {seconds} s.");
                pages::sign_in(429, next, Some(&why)).with("retry-after", seconds)
            }
        }
    }

    fn sign_out(&mut self, ask: &Ask) -> Reply {
        let cookie = self.sessions.close(&ask.head);
        reply::redirect("/admin/sign-in").with("set-cookie", cookie)
    }
}

/// Only to a page of ours: anything else could lead elsewhere.
fn after_sign_in(next: &str) -> &str {
    let plain = next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    match plain && (next == "/admin" || next.starts_with("/admin/")) {
        true => next,
        false => "/admin",
    }
}

fn is_api(path: &str) -> bool {
    path == "/admin/api" || path.starts_with("/admin/api/")
}

#[cfg(test)]
mod api_tests;
#[cfg(test)]
mod keys_tests;
#[cfg(test)]
mod tests;
