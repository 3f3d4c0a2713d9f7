//! What operators ask, on paths of their own. A thread that is no worker answers; here is decided
//! who may ask at all.
//!
//! A bearer of a key is no web page: a page cannot know one. All others may be a page in an
//! operator's browser, so they have to name Strait as the operator does (`Host`, against DNS
//! rebinding), and a page has to be Strait's own (`Origin`, `Sec-Fetch-Site`).

use super::origin;
use crate::config::Snapshot;
use crate::error::{Error, Kind, Source};
use crate::http::head::{BodyKind, RequestHead};
use crate::limits;
use std::fmt;
use std::sync::Arc;

/// A request for the operator's thread.
pub struct Ask {
    /// The configuration that the request is answered from.
    pub snapshot: Arc<Snapshot>,
    /// The request's head.
    pub head: RequestHead,
    /// Its body, of at most [`limits::OPERATOR_BODY_BYTES_MAX`].
    pub body: Vec<u8>,
    /// On what grounds it was let in.
    pub pass: Pass,
    /// Fresh randomness, which nothing else is made of.
    pub entropy: [u8; 32],
    /// The wall clock.
    pub unix_s: u64,
}

impl fmt::Debug for Ask {
    /// Not the head, which holds cookies and keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.head.path;
        f.debug_struct("Ask")
            .field("path", path)
            .finish_non_exhaustive()
    }
}

/// On what grounds a request was let in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Pass {
    /// An admin key of this name.
    Key(String),
    /// Strait has no keys; it is asked from this machine.
    Open,
    /// None yet: a session's cookie has to follow, or what it signs in with.
    Session,
}

/// What the operator's thread answers; framed like any other answer.
#[derive(Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body's media type.
    pub content_type: &'static str,
    /// Further fields; names in lower case.
    pub fields: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// Where the numbers are read.
pub const METRICS: &str = "/metrics";

/// The methods of an operator's path; `None` for any other path.
pub fn methods(path: &str) -> Option<&'static str> {
    match path {
        "/admin/sign-in" | "/admin/sign-out" => Some("GET, HEAD, POST"),
        "/admin" | METRICS => Some("GET, HEAD"),
        _ => path.starts_with("/admin/").then_some("GET, HEAD"),
    }
}

/// Judges what a form announces of its body.
pub(super) fn judge_body(head: &RequestHead) -> Result<(), Error> {
    match head.body {
        BodyKind::Length(n) if n > limits::OPERATOR_BODY_BYTES_MAX as u64 => {
            Err(super::endpoint::too_large(limits::OPERATOR_BODY_BYTES_MAX))
        }
        _ => Ok(()),
    }
}

/// Who asks, if they may.
pub(super) fn admit(head: &RequestHead, snapshot: &Snapshot, unix_s: u64) -> Result<Pass, Error> {
    let open = snapshot.is_open();
    let scraped = head.path == METRICS;
    if scraped && !snapshot.metrics.enabled {
        let message = "Nothing is counted here: metrics.enabled is false.";
        return Err(Error::new(Source::Gateway, Kind::NotFound, message));
    }
    if scraped && snapshot.metrics.public {
        return Ok(Pass::Open);
    }
    let bearer = super::exchange::bearer(head);
    if bearer.is_some() && !open {
        return match snapshot.authorize(bearer, unix_s) {
            Ok(Some(key)) if key.admin => Ok(Pass::Key(key.name.clone())),
            Ok(_) => {
                let message = "This is for admin keys: admin = true in strait.toml makes one.";
                Err(Error::new(Source::Downstream, Kind::NotAdmin, message))
            }
            Err(_) => {
                let message = "Incorrect API key. Present one of Strait's admin keys.";
                Err(Error::new(Source::Downstream, Kind::InvalidKey, message))
            }
        };
    }
    if scraped && !open {
        // A program that reads numbers does not sign in.
        let message = "Missing API key. Present one of Strait's admin keys as a bearer token.";
        return Err(Error::new(Source::Downstream, Kind::InvalidKey, message));
    }
    let name = origin::name_of(head.headers.get("host").unwrap_or_default());
    let known = origin::is_loopback(name) || !open && is_known(name, &snapshot.admin.hosts);
    if !known {
        let message = match open {
            true => {
                "Without client keys the dashboard is for this machine: open it by a loopback address."
            }
            false => {
                "The dashboard is not served under this name. Add it to admin.hosts in strait.toml, or open it by an IP address."
            }
        };
        return Err(Error::new(Source::Downstream, Kind::ForeignHost, message));
    }
    origin::admit_own(head)?;
    Ok(match open {
        true => Pass::Open,
        false => Pass::Session,
    })
}

/// An address cannot be rebound, and a session's cookie belongs to the name that it was made
/// under; so a page of another name gains nothing, and still other names are refused.
fn is_known(name: &str, hosts: &[String]) -> bool {
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<std::net::IpAddr>().is_ok() || hosts.iter().any(|h| h.eq_ignore_ascii_case(name))
}

/// The thread has not answered in time, or too many wait for it.
pub(super) fn late() -> Error {
    let message = "The dashboard did not answer in time; try again.";
    Error::new(Source::Gateway, Kind::Overloaded, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ClientKey;
    use crate::http::head::{Parsed, request};
    use crate::provider::Profile;

    const OWN: &str = "origin: http://127.0.0.1:1\r\n";

    fn head(line: &str, fields: &str) -> RequestHead {
        let text = format!("{line} HTTP/1.1\r\n{fields}\r\n");
        match request(text.as_bytes()) {
            Ok(Parsed::Complete { head, .. }) => head,
            other => panic!("{other:?}"),
        }
    }

    fn judge(keyed: bool, line: &str, fields: &str) -> Result<Pass, u16> {
        let mut snapshot = Snapshot::single(Profile::default(), "http://127.0.0.1:1");
        snapshot.admin.hosts.push("strait.example".to_owned());
        if keyed {
            for (name, secret, admin) in [("ops", "k", true), ("fleet", "f", false)] {
                let key = ClientKey::new(name, secret, admin);
                snapshot.keys.push(Arc::new(key));
            }
        }
        admit(&head(line, fields), &snapshot, 0).map_err(|e| e.status())
    }

    #[test]
    fn the_host_has_to_be_ours() {
        for (host, open, keyed) in [
            ("127.0.0.1:8787", true, true),
            ("localhost:8787", true, true),
            ("[::1]:8787", true, true),
            ("10.0.0.7:8787", false, true),
            ("[2001:db8::1]", false, true),
            ("strait.example", false, true),
            ("STRAIT.example:443", false, true),
            ("evil.example:8787", false, false),
            ("localhost.evil.example", false, false),
            ("127.0.0.1.evil.example", false, false),
            ("", false, false),
        ] {
            let fields = format!("host: {host}\r\n");
            for (has_keys, admitted) in [(false, open), (true, keyed)] {
                let judged = judge(has_keys, "GET /admin", &fields);
                assert_eq!(judged.is_ok(), admitted, "{host} {has_keys}");
                assert!(admitted || judged == Err(421), "{judged:?}");
            }
        }
    }

    #[test]
    fn a_page_from_elsewhere_does_nothing() {
        let browser = |site: &str, mode: &str, dest: &str| {
            format!(
                "sec-fetch-site: {site}\r\nsec-fetch-mode: {mode}\r\nsec-fetch-dest: {dest}\r\n"
            )
        };
        let document = |site| browser(site, "navigate", "document");
        for (line, fields, admitted) in [
            ("GET /admin", String::new(), true),
            ("GET /admin", document("none"), true),
            ("GET /admin", document("same-origin"), true),
            // A link: what it shows stays with the operator.
            ("GET /admin", document("cross-site"), true),
            (
                "GET /admin",
                browser("cross-site", "navigate", "iframe"),
                false,
            ),
            (
                "GET /admin/api/v1/live",
                browser("cross-site", "no-cors", "script"),
                false,
            ),
            (
                "GET /admin/api/v1/live",
                browser("same-site", "cors", "empty"),
                false,
            ),
            (
                "GET /admin/api/v1/live",
                browser("same-origin", "cors", "empty"),
                true,
            ),
            (
                "GET /admin",
                "origin: http://evil.example\r\n".to_owned(),
                false,
            ),
            ("GET /admin", "origin: null\r\n".to_owned(), false),
            (
                "GET /admin",
                "origin: http://127.0.0.1:2\r\n".to_owned(),
                false,
            ),
            ("GET /admin", OWN.to_owned(), true),
            ("POST /admin/sign-out", OWN.to_owned(), true),
            (
                "POST /admin/sign-out",
                format!("{OWN}{}", document("same-origin")),
                true,
            ),
            ("POST /admin/sign-out", String::new(), false),
            ("POST /admin/sign-out", document("cross-site"), false),
            (
                "POST /admin/sign-out",
                format!("{OWN}{}", document("cross-site")),
                false,
            ),
            (
                "POST /admin/sign-out",
                format!("{OWN}origin: http://evil.example\r\n"),
                false,
            ),
        ] {
            let fields = format!("host: 127.0.0.1:1\r\n{fields}");
            for keyed in [false, true] {
                let judged = judge(keyed, line, &fields);
                assert_eq!(judged.is_ok(), admitted, "{line} {fields}");
                assert!(admitted || judged == Err(403), "{judged:?}");
            }
        }
    }

    #[test]
    fn a_key_is_enough_and_a_wrong_one_is_told() {
        let with = |key: &str| format!("host: any.example\r\nauthorization: Bearer {key}\r\n");
        let name = Pass::Key("ops".to_owned());
        assert_eq!(judge(true, "GET /admin/api/v1/live", &with("k")), Ok(name));
        assert_eq!(judge(true, "GET /admin/api/v1/live", &with("x")), Err(401));
        assert_eq!(judge(true, "GET /admin/api/v1/live", &with("f")), Err(403));
        // Where no keys are, none helps.
        assert_eq!(judge(false, "GET /admin/api/v1/live", &with("k")), Err(421));
    }
}
