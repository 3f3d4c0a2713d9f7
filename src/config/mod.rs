//! `strait.toml` and the environment become an immutable snapshot.

use crate::auth::secret::{SealKey, Secret};
use crate::provider::Profile;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a provider listens.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    /// `https`.
    pub tls: bool,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A provider, ready to be asked.
#[derive(Debug)]
pub struct Provider {
    /// Its name in `strait.toml`.
    pub name: String,
    /// Its dialect, overrides applied.
    pub profile: Profile,
    /// Where it listens.
    pub origin: Origin,
    /// The path before `/chat/completions` or `/responses`, without a trailing slash.
    pub path_prefix: String,
    /// Its key, if it needs one.
    pub key: Option<Secret>,
}

/// A provider and its name for a model.
#[derive(Clone, Debug)]
pub struct Target {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The provider's name for the model.
    pub model: String,
}

/// A key that clients present.
#[derive(Debug)]
pub struct ClientKey {
    /// For the log.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
}

/// Time-outs, all overridable in `strait.toml`; defaults in [`crate::limits`].
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// To connect to a provider.
    pub connect: Duration,
    /// From the request's last byte to the answer's first.
    pub first_byte: Duration,
    /// Longest silence inside an answer.
    pub silence: Duration,
    /// Silence after which `response.in_progress` is repeated.
    pub keepalive: Duration,
    /// How long the head is held for the first output event.
    pub hold: Duration,
    /// For streams in flight when told to stop.
    pub drain: Duration,
}

/// All that a running Strait knows, immutable.
#[derive(Debug)]
pub struct Snapshot {
    /// Where to listen.
    pub listen: Vec<SocketAddr>,
    /// Worker threads; never 0.
    pub workers: usize,
    /// Keys of clients; empty: open.
    pub keys: Vec<ClientKey>,
    /// Providers, by name.
    pub providers: BTreeMap<String, Arc<Provider>>,
    /// Aliases -> chain of targets; `*` is the fallback.
    pub models: BTreeMap<String, Vec<Target>>,
    /// Seals what travels through clients.
    pub seal_key: SealKey,
    /// Time-outs.
    pub timeouts: Timeouts,
    /// A PEM file of further certificate authorities for upstream TLS.
    pub ca_file: Option<PathBuf>,
}
