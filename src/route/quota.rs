//! What a client is told of what its key may have: refusals, and how much of a budget is spent.
//!
//! Codex takes any provider's `x-<id>-primary-used-percent`, `-window-minutes`, `-reset-at` and
//! `x-<id>-limit-name`, and shows them as a limit of its own (`/status`); over a WebSocket, where an
//! answer has no head, the event `codex.rate_limits`.

use crate::config::ClientKey;
use crate::error::{Error, Kind, Source};
use crate::http::websocket::encode;
use crate::json::write;
use crate::ledger::meter::{Limit, Refusal, Spent};
use crate::ledger::window::Per;

/// Longest id of a limit, in bytes.
const ID_BYTES_MAX: usize = 48;

/// How much of a budget was spent when a request was admitted.
#[derive(Debug)]
pub struct Shown {
    /// For the head of an answer.
    pub fields: Vec<(String, String)>,
    /// For Codex on a WebSocket: a whole frame; empty for any other client.
    pub frame: Vec<u8>,
}

impl Shown {
    /// What the client of the key of this name is shown.
    pub fn new(key: &str, spent: &Spent, codex: bool) -> Shown {
        let id = id_of(key);
        let used = (spent.percent * 10.0).round() / 10.0;
        let minutes = spent.window.minutes();
        let mut fields = vec![
            (format!("x-{id}-primary-used-percent"), used.to_string()),
            (format!("x-{id}-limit-name"), format!("{id} budget")),
        ];
        let mut event = b"{\"type\":\"codex.rate_limits\",\"metered_limit_name\":".to_vec();
        write::string(&mut event, &id);
        event.extend_from_slice(b",\"rate_limits\":{\"primary\":{\"used_percent\":");
        event.extend_from_slice(used.to_string().as_bytes());
        for (name, member, value) in [
            ("window-minutes", "window_minutes", minutes),
            ("reset-at", "reset_at", spent.window.end_s),
        ] {
            if let Some(value) = value {
                fields.push((format!("x-{id}-primary-{name}"), value.to_string()));
                event.extend_from_slice(format!(",\"{member}\":{value}").as_bytes());
            }
        }
        event.extend_from_slice(b"}}}");
        let mut frame = Vec::new();
        if codex {
            encode::text(&mut frame, &event);
        }
        Shown { fields, frame }
    }
}

/// A name that a header field may carry: lower-case letters, digits, single hyphens.
fn id_of(name: &str) -> String {
    let mut id = String::new();
    for c in name.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() => id.push(c),
            _ if !id.is_empty() && !id.ends_with('-') => id.push('-'),
            _ => {}
        }
        if id.len() >= ID_BYTES_MAX {
            break;
        }
    }
    match id.trim_end_matches('-') {
        "" => "key".to_owned(),
        id => id.to_owned(),
    }
}

/// The key may not ask for this model.
pub(super) fn not_allowed(key: &ClientKey, model: &str) -> Error {
    let model: String = model.chars().take(128).collect();
    let allowed = key.models.patterns().join(", ");
    let message = format!("This API key may not ask for the model {model:?}, only for: {allowed}.");
    Error::new(Source::Gateway, Kind::ModelNotAllowed, message).with_param("model")
}

/// A limit of the key is reached. Codex waits as it is told where waiting helps soon, and gives a
/// spent budget up at once.
pub(super) fn refused(refusal: Refusal) -> Error {
    let wait = refusal.retry_after_s;
    let again = wait.map_or(String::new(), |s| format!(" Please try again in {s}s."));
    let (kind, what) = match refusal.limit {
        Limit::Budget(budget) => {
            let usd = budget.nanos as f64 / 1e9;
            let per = match budget.per {
                Per::Total => String::new(),
                per => format!(" a {}", per.name()),
            };
            let what = format!("The budget of this API key is spent: {usd} USD{per}.");
            (Kind::Quota, what)
        }
        Limit::Requests(n) => (
            Kind::RateLimited,
            format!("Rate limit of this API key reached: {n} requests a minute."),
        ),
        Limit::Streams(n) => (
            Kind::RateLimited,
            format!("Rate limit of this API key reached: {n} requests at once."),
        ),
        Limit::Tokens(n) => (
            Kind::RateLimited,
            format!("Rate limit of this API key reached: {n} tokens a minute."),
        ),
    };
    let mut error = Error::new(Source::Gateway, kind, what + &again);
    error.retry_after_s = wait.map(|s| u32::try_from(s).unwrap_or(u32::MAX));
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::window::Window;

    #[test]
    fn a_budget_is_shown_as_codex_reads_it() {
        let spent = |percent, end_s| Spent {
            percent,
            window: Window {
                per: Per::Day,
                start_s: 86_400,
                end_s,
            },
        };
        let shown = Shown::new("Team Ü 7!", &spent(25.46, Some(172_800)), true);
        let fields: Vec<String> = shown
            .fields
            .iter()
            .map(|(n, v)| format!("{n}: {v}"))
            .collect();
        assert_eq!(
            fields,
            [
                "x-team-7-primary-used-percent: 25.5",
                "x-team-7-limit-name: team-7 budget",
                "x-team-7-primary-window-minutes: 1440",
                "x-team-7-primary-reset-at: 172800",
            ]
        );
        let text = br#"{"type":"codex.rate_limits","metered_limit_name":"team-7","rate_limits":{"primary":{"used_percent":25.5,"window_minutes":1440,"reset_at":172800}}}"#;
        assert!(shown.frame.ends_with(text), "{shown:?}");
        let forever = Shown::new("a", &spent(0.0, None), true);
        assert_eq!(forever.fields[0].1, "0");
        assert_eq!(forever.fields.len(), 2);
        assert!(forever.frame.ends_with(br#"{"used_percent":0}}}"#));
        assert!(Shown::new("a", &spent(0.0, None), false).frame.is_empty());
    }

    #[test]
    fn any_name_makes_an_id() {
        for (name, id) in [("", "key"), ("--", "key"), ("a--b_", "a-b"), ("Ü", "key")] {
            assert_eq!(id_of(name), id, "{name:?}");
        }
        assert!(id_of(&"x-".repeat(100)).len() <= ID_BYTES_MAX);
    }
}
