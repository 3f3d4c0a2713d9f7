//! `strait.toml` and the environment become an immutable snapshot.

mod admin;
mod allowance;
mod audit;
mod draft;
mod keyring;
#[cfg(test)]
mod keyring_tests;
mod keys;
mod listen;
mod load;
mod log;
mod login;
mod metrics;
mod proxy;
mod routing;
#[cfg(test)]
mod routing_tests;
mod store;
mod tls;
mod traces;
mod trusted;

pub use admin::Admin;
pub use allowance::{Models, budget};
pub use audit::{Audit, WhenFull};
pub use keyring::Keyring;
pub use keys::{ClientKey, Digest, KeyFrom, Refused, unix_s};
pub use listen::Listen;
pub use load::{ConfigError, from_env, parse, sha256};
pub use log::LogFormat;
pub use login::login_file;
pub use metrics::Metrics;
pub use proxy::{Protocol, Proxy};
pub use routing::{ApiKey, Retry};
pub use store::{Database, Place, Store, runtime_directories};
pub use tls::{ClientCertificates, Tls};
pub use traces::Traces;
pub use trusted::TrustedProxies;

use crate::auth::secret::SealKey;
use crate::ledger::breaker::Policy;
use crate::ledger::health::Health;
use crate::limits;
use crate::provider::Profile;
use crate::responses::catalog;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Where a provider listens, and what is between.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Origin {
    /// `https`.
    pub tls: bool,
    /// A name or an address, without brackets. Shared: every connection says where it goes.
    pub host: Arc<str>,
    /// The port.
    pub port: u16,
    /// What connections to it go through.
    pub proxy: Option<Arc<Proxy>>,
}

/// A provider, ready to be asked.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its name in `strait.toml`.
    pub name: String,
    /// Its dialect, overrides applied.
    pub profile: Profile,
    /// Where it listens.
    pub origin: Origin,
    /// The path before `/chat/completions` or `/responses`, without a trailing slash.
    pub path_prefix: String,
    /// Its keys; none where it needs none. At most [`limits::PROVIDER_KEYS_MAX`].
    pub keys: Vec<ApiKey>,
    /// Its login, where that stands for a key.
    pub login: Option<Arc<Login>>,
    /// How it fares: the one part that changes, shared by all workers.
    pub health: Arc<Health>,
}

/// A login that stands in a file, and where it is refreshed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Login {
    /// The file, as the Codex CLI writes it.
    pub file: PathBuf,
    /// The token server.
    pub origin: Origin,
    /// Its path.
    pub path: String,
    /// The OAuth client that the login was made for.
    pub client_id: String,
}

/// A provider and its name for a model.
#[derive(Clone, Debug)]
pub struct Target {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The provider's name for the model.
    pub model: String,
    /// Its share of the conversations, against the others of its chain; 0: only when those are
    /// out. `None`: the chain is tried in the order in which it is written.
    pub weight: Option<u32>,
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
    pub listen: Vec<Listen>,
    /// TLS on all that are TCP addresses.
    pub tls: Option<Tls>,
    /// Worker threads; never 0.
    pub workers: usize,
    /// Keys of clients that stand in the file or the environment.
    pub keys: Vec<Arc<ClientKey>>,
    /// Those of the store.
    pub keyring: Arc<Keyring>,
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
    /// Whether `GET /v1/responses` may become a WebSocket; else it is a 426.
    pub websocket: bool,
    /// Who is believed on where a request comes from.
    pub trusted_proxies: TrustedProxies,
    /// How the log is written.
    pub log_format: LogFormat,
    /// What is counted.
    pub metrics: Metrics,
    /// Where responses are kept.
    pub store: Store,
    /// Where traces are sent; `None`: nothing is traced.
    pub traces: Option<Traces>,
    /// The operators' pages.
    pub admin: Admin,
    /// What is noted of exchanges, for an operator.
    pub audit: Audit,
    /// How often and how long is tried.
    pub retry: Retry,
    /// When a target that fails is left alone.
    pub breaker: Policy,
}

impl Snapshot {
    /// A snapshot with one provider, named after its profile, that every model name goes to.
    pub fn single(profile: Profile, base_url: &str) -> Snapshot {
        let (origin, path_prefix) =
            load::parse_url(base_url).expect("the caller gives a base URL of its own making");
        let name = profile.name.clone();
        let provider = Arc::new(Provider {
            name: name.clone(),
            profile,
            origin,
            path_prefix,
            keys: Vec::new(),
            login: None,
            health: Arc::default(),
        });
        let any = Target {
            provider: Arc::clone(&provider),
            model: "*".into(),
            weight: None,
        };
        Snapshot {
            listen: vec![Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))],
            tls: None,
            workers: 1,
            keys: Vec::new(),
            keyring: Arc::default(),
            providers: BTreeMap::from([(name, provider)]),
            models: BTreeMap::from([("*".into(), vec![any])]),
            seal_key: SealKey::new([0x5a; 32]),
            timeouts: Timeouts {
                connect: limits::CONNECT_TIMEOUT,
                first_byte: limits::FIRST_BYTE_TIMEOUT,
                silence: limits::SILENCE_TIMEOUT,
                keepalive: limits::KEEPALIVE_EVERY,
                hold: limits::HOLD_MAX,
                drain: limits::DRAIN_TIMEOUT,
            },
            ca_file: None,
            websocket: true,
            trusted_proxies: TrustedProxies::default(),
            log_format: LogFormat::default(),
            metrics: Metrics::default(),
            store: Store::none(),
            traces: None,
            admin: Admin::default(),
            audit: Audit::none(),
            retry: Retry::default(),
            breaker: Policy::default(),
        }
    }

    /// What the addresses that are listened on begin with.
    pub fn scheme(&self) -> &'static str {
        match self.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    /// The chain of targets for a model: an alias, `provider/model`, a model that a provider
    /// lists, or `*`. `None` where nothing fits.
    pub fn resolve(&self, model: &str) -> Option<Vec<Target>> {
        if let Some(chain) = self.models.get(model) {
            return Some(named(chain, model));
        }
        if let Some((provider, name)) = model.split_once('/')
            && let Some(provider) = self.providers.get(provider)
        {
            let provider = Arc::clone(provider);
            return Some(vec![Target {
                provider,
                model: name.into(),
                weight: None,
            }]);
        }
        let listed = |p: &&Arc<Provider>| p.profile.named_models().any(|m| m == model);
        if let Some(provider) = self.providers.values().find(listed) {
            let provider = Arc::clone(provider);
            return Some(vec![Target {
                provider,
                model: model.into(),
                weight: None,
            }]);
        }
        match self.models.get("*") {
            Some(chain) => Some(named(chain, model)),
            // With nothing configured, the one provider there is serves every name.
            None if self.models.is_empty() && self.providers.len() == 1 => {
                let provider = Arc::clone(self.providers.values().next()?);
                let model = match provider.profile.default_model.as_str() {
                    "" => model.to_owned(),
                    default => default.to_owned(),
                };
                Some(vec![Target {
                    provider,
                    model,
                    weight: None,
                }])
            }
            None => None,
        }
    }

    /// Whether the configuration names the provider's model, so that no client made it up.
    pub fn knows(&self, provider: &str, model: &str) -> bool {
        let own = self.providers.get(provider).is_some_and(|provider| {
            let profile = &provider.profile;
            profile.default_model == model || profile.named_models().any(|m| m == model)
        });
        own || self.models.iter().any(|(alias, chain)| {
            chain.iter().any(|target| {
                let named = match target.model.as_str() {
                    "*" => alias,
                    name => name,
                };
                named == model && target.provider.name == provider
            })
        })
    }

    /// Whether everyone may ask who reaches the address.
    pub fn is_open(&self) -> bool {
        self.keys.is_empty() && self.keyring.is_open()
    }

    /// The client key that `presented` is at `unix_s`; `None` where there are no keys.
    pub fn authorize(
        &self,
        presented: Option<&str>,
        unix_s: u64,
    ) -> Result<Option<Arc<ClientKey>>, Refused> {
        if self.is_open() {
            return Ok(None);
        }
        let presented = presented.ok_or(Refused::Unknown)?;
        let digest = load::sha256(presented.as_bytes());
        self.recognise(&digest, unix_s).map(Some)
    }

    /// The client key with a secret of this SHA-256 that works at `unix_s`.
    pub fn recognise(&self, digest: &[u8; 32], unix_s: u64) -> Result<Arc<ClientKey>, Refused> {
        match ClientKey::find(&self.keys, digest, unix_s) {
            Err(Refused::Unknown) => self.keyring.find(digest, unix_s),
            found => found.cloned(),
        }
    }

    /// What nobody may read anywhere: the keys of providers, and where databases are.
    pub fn secrets(&self) -> Vec<String> {
        let keys = self.providers.values().flat_map(|provider| &provider.keys);
        let mut secrets: Vec<String> = keys.map(|key| key.key.expose().to_owned()).collect();
        for place in [&self.store.place, &self.audit.place] {
            if let Place::Postgres(database) = place {
                secrets.push(database.url.expose().to_owned());
            }
        }
        secrets
    }

    /// What clients may ask for, for the model list.
    pub fn catalog(&self) -> Vec<catalog::Entry> {
        let mut entries: BTreeMap<String, catalog::Entry> = BTreeMap::new();
        for provider in self.providers.values() {
            for model in provider.profile.named_models() {
                entries.insert(model.clone(), entry(model, provider, model));
            }
        }
        for (alias, chain) in self.models.iter().filter(|(alias, _)| *alias != "*") {
            entries.insert(
                alias.clone(),
                entry(alias, &chain[0].provider, &chain[0].model),
            );
        }
        entries.into_values().collect()
    }
}

fn named(chain: &[Target], requested: &str) -> Vec<Target> {
    let named = chain.iter().map(|target| Target {
        provider: Arc::clone(&target.provider),
        model: match target.model.as_str() {
            "*" => requested.to_owned(),
            model => model.to_owned(),
        },
        weight: target.weight,
    });
    named.collect()
}

fn entry(slug: &str, provider: &Provider, model: &str) -> catalog::Entry {
    let own = provider.profile.model(model).cloned().unwrap_or_default();
    catalog::Entry {
        slug: slug.to_owned(),
        display_name: own.display_name.unwrap_or_else(|| slug.to_owned()),
        owner: provider.name.clone(),
        context_window: own.context_window.unwrap_or(limits::CONTEXT_WINDOW_UNKNOWN),
        efforts: own.efforts_offered,
        price: own.price.map(|p| (p.input, p.output)),
        images: provider.profile.for_model(model).images_user,
    }
}
