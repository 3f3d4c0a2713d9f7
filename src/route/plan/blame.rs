//! Whose fault a failure is, and so who may do better.

use crate::error::{Error, Kind, Source};
use crate::ledger::health::Outcome;
use crate::limits;
use std::time::Duration;

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Blame {
    /// The key was refused, or has no money left. Another key may do; this one not soon.
    Key,
    /// The provider is asked too fast with this key. Another may do at once, this one later.
    Pace(Duration),
    /// Nobody else could do better: it is the request, or Strait itself.
    Request,
    /// The target does not have what it is asked for. Another may.
    Target,
    /// It may pass; after this time, if the provider says so.
    Trouble(Option<Duration>),
}

impl Blame {
    pub fn of(error: &Error) -> Blame {
        let named = error.retry_after_s;
        let named = named.map(|s| Duration::from_secs(u64::from(s)));
        match error.kind {
            Kind::ProviderAuth | Kind::Quota => Blame::Key,
            Kind::RateLimited => Blame::Pace(named.unwrap_or(limits::RETRY_BACKOFF_MAX)),
            Kind::ModelNotFound => Blame::Target,
            // What failed on our side of the connection is not mended by asking again.
            Kind::UpstreamTimeout if error.source == Source::Gateway => Blame::Target,
            Kind::ConnectFailed
            | Kind::Overloaded
            | Kind::UpstreamBroken
            | Kind::UpstreamTimeout => Blame::Trouble(named),
            _ => Blame::Request,
        }
    }
}

/// What a failure tells of the provider's health.
pub(super) fn outcome(error: &Error) -> Outcome {
    match (error.source, error.kind) {
        (Source::Upstream, Kind::ConnectFailed) => Outcome::Unreachable(error.label()),
        (Source::Upstream, Kind::Overloaded | Kind::UpstreamBroken | Kind::UpstreamTimeout) => {
            Outcome::Broken(error.label())
        }
        (Source::Upstream, _) => Outcome::Answered,
        _ => Outcome::Abandoned,
    }
}
