//! Answers, with what browsers are told of how to treat them.

use crate::error::Error;
use crate::route::operator::Reply;

/// What a page may do: show itself with our style sheet, run our script, talk to us.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";

impl Reply {
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.fields.push((name, value.into()));
        self
    }
}

/// An answer that nobody keeps, frames, sniffs, or tells others about.
pub(super) fn of(status: u16, content_type: &'static str, body: Vec<u8>) -> Reply {
    let reply = bare(status, content_type, body);
    reply.with("cache-control", "no-store")
}

fn bare(status: u16, content_type: &'static str, body: Vec<u8>) -> Reply {
    let fields = [
        ("content-security-policy", POLICY),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        // Not `no-referrer`: browsers then also hide the origin of our own forms.
        ("referrer-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    Reply {
        status,
        content_type,
        fields: fields.map(|(name, value)| (name, value.to_owned())).into(),
        body,
    }
}

pub(super) fn html(status: u16, page: maud::Markup) -> Reply {
    of(status, HTML, page.into_string().into_bytes())
}

pub(super) fn json(body: &impl serde::Serialize) -> Reply {
    // Of our own types, which all have a form in JSON.
    of(
        200,
        "application/json",
        serde_json::to_vec(body).unwrap_or_default(),
    )
}

pub(super) fn error(error: &Error) -> Reply {
    of(error.status(), "application/json", error.body())
}

pub(super) fn redirect(to: &str) -> Reply {
    of(303, HTML, Vec::new()).with("location", to)
}

/// Never changes under its name.
pub(super) fn asset(content_type: &'static str, body: &'static str) -> Reply {
    let reply = bare(200, content_type, body.as_bytes().to_vec());
    reply.with("cache-control", "public, max-age=31536000, immutable")
}
