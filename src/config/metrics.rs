//! What is counted, and who may read it.

use serde::Deserialize;

/// `[metrics]`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct Metrics {
    /// Whether anything is counted, and what is under way listed.
    pub enabled: bool,
    /// Whether `GET /metrics` is answered without a key to everyone who can reach it.
    pub public: bool,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            enabled: true,
            public: false,
        }
    }
}
