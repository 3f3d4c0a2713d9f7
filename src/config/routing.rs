//! Which targets an alias names, in which order or shares; how often and how long is tried; and
//! what of a provider's health outlives a reload.

use super::load::{ConfigError, Loader, sha256};
use super::{Provider, Snapshot, Target};
use crate::auth::secret::Secret;
use crate::ledger::breaker::Policy;
use crate::ledger::health::Condition;
use crate::limits;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use toml::Spanned;

/// What an alias stands for, as written.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "is no target, no list of targets and no { split = [{ to = …, weight = … }] }"
)]
pub(super) enum ChainDraft {
    /// Several, to be tried in turn.
    Many(Vec<String>),
    One(String),
    /// Several that share the conversations.
    Split(SplitDraft),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SplitDraft {
    split: Vec<ShareDraft>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShareDraft {
    to: String,
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

/// `[retry]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetryDraft {
    attempts: Option<Spanned<f64>>,
    backoff_s: Option<Spanned<f64>>,
    backoff_max_s: Option<Spanned<f64>>,
    deadline_s: Option<Spanned<f64>>,
}

/// `[breaker]` as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BreakerDraft {
    failures: Option<Spanned<f64>>,
    rate: Option<Spanned<f64>>,
    window_s: Option<Spanned<f64>>,
    open_s: Option<Spanned<f64>>,
}

/// How often and how long is tried, before the first byte of an answer; defaults in
/// [`crate::limits`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Retry {
    /// Most tries with one target, the first included; 1: no second one.
    pub attempts: u32,
    /// Wait before the second try; doubled for each further one.
    pub backoff: Duration,
    /// Longest wait, also where the provider names the time.
    pub backoff_max: Duration,
    /// From the request to the last moment in which another try begins, whatever the target.
    pub deadline: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Retry {
            attempts: limits::RETRY_ATTEMPTS,
            backoff: limits::RETRY_BACKOFF,
            backoff_max: limits::RETRY_BACKOFF_MAX,
            deadline: limits::RETRY_DEADLINE,
        }
    }
}

/// One of a provider's keys.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key.
    pub key: Secret,
    /// The same for the same key, wherever it stands: its conversations stay with it when others
    /// come and go. Tells nothing of the key.
    pub id: u64,
}

impl ApiKey {
    /// A key.
    pub fn new(key: String) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&sha256(key.as_bytes())[..8]);
        ApiKey {
            key: Secret::new(key),
            id: u64::from_le_bytes(id),
        }
    }
}

impl Snapshot {
    /// Takes over what outlives a reload: what `old` knows of the health of providers with the same
    /// name and origin, and of client keys.
    pub fn inherit(&mut self, old: &Snapshot) {
        self.inherit_keys(old);
        for provider in self.providers.values_mut() {
            let known = old.providers.get(&provider.name);
            if let Some(known) = known.filter(|known| known.origin == provider.origin) {
                *provider = Arc::new(Provider {
                    health: Arc::clone(&known.health),
                    ..Provider::clone(provider)
                });
            }
        }
        for target in self.models.values_mut().flatten() {
            if let Some(provider) = self.providers.get(&target.provider.name) {
                target.provider = Arc::clone(provider);
            }
        }
    }
}

impl Snapshot {
    /// How the providers' connections and models fare: those that were tried, and the targets of
    /// aliases in any case; by the provider's name.
    pub fn health(&self) -> Vec<(&str, Condition)> {
        let mut all = Vec::new();
        for (name, provider) in &self.providers {
            all.extend(
                provider
                    .health
                    .conditions()
                    .into_iter()
                    .map(|c| (name.as_str(), c)),
            );
        }
        for target in self.models.values().flatten() {
            let (name, model) = (target.provider.name.as_str(), target.model.as_str());
            let same = |(other, c): &(&str, Condition)| {
                *other == name && c.model.as_deref() == Some(model)
            };
            if model != "*" && !all.iter().any(same) {
                all.push((name, Condition::untried(model)));
            }
        }
        all.sort_by(|(a, one), (b, other)| (a, &one.model).cmp(&(b, &other.model)));
        all
    }
}

impl Loader<'_> {
    /// The keys of a provider: those that are written, else those of the environment.
    pub(super) fn api_keys(
        &self,
        at: usize,
        path: &str,
        written: &[&String],
        variables: &[String],
    ) -> Result<Vec<ApiKey>, ConfigError> {
        let texts: Vec<String> = match written {
            [] => self.keys_of_environment(variables),
            written => {
                let keys = written.iter().map(|key| self.expand(at, path, key));
                keys.collect::<Result<_, _>>()?
            }
        };
        if texts.len() > limits::PROVIDER_KEYS_MAX {
            let what = format!("has {} keys.", texts.len());
            let mend = format!("at most {}.", limits::PROVIDER_KEYS_MAX);
            return Err(self.error(at, path, what, mend));
        }
        let mut keys: Vec<ApiKey> = Vec::new();
        for text in texts {
            if text.is_empty() || text.bytes().any(|b| !(b'!'..=b'~').contains(&b)) {
                let what = "its key is empty or holds characters that no header may carry.";
                return Err(self.error(at, path, what, "check the variable it comes from."));
            }
            let key = ApiKey::new(text);
            if keys.iter().any(|other| other.id == key.id) {
                return Err(self.error(at, path, "has the same key twice.", "list it once."));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    /// `NAME`, `NAME_2`, `NAME_3` and so on, of the first name that is set.
    fn keys_of_environment(&self, variables: &[String]) -> Vec<String> {
        let set = |name: &str| (self.env)(name).filter(|key| !key.is_empty());
        let first = variables.iter().find_map(|name| Some((name, set(name)?)));
        let Some((name, first)) = first else {
            return Vec::new();
        };
        let more = (2..=limits::PROVIDER_KEYS_MAX).map_while(|n| set(&format!("{name}_{n}")));
        let mut keys = vec![first];
        for key in more {
            // Exported twice is meant once.
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// What clients may ask for.
    pub(super) fn models(
        &self,
        drafts: &BTreeMap<String, Spanned<ChainDraft>>,
        providers: &BTreeMap<String, Arc<Provider>>,
    ) -> Result<BTreeMap<String, Vec<Target>>, ConfigError> {
        let mut models = BTreeMap::new();
        for (alias, draft) in drafts {
            let (at, path) = (draft.span().start, format!("models.{alias:?}"));
            let target = |text: &str, weight| self.target(at, &path, text, weight, providers);
            let chain: Vec<Target> = match draft.get_ref() {
                ChainDraft::One(text) => vec![target(text, None)?],
                ChainDraft::Many(texts) => {
                    let targets = texts.iter().map(|text| target(text, None));
                    targets.collect::<Result<_, _>>()?
                }
                ChainDraft::Split(draft) => {
                    let shares = draft.split.iter();
                    let targets = shares.map(|share| target(&share.to, Some(share.weight)));
                    targets.collect::<Result<_, _>>()?
                }
            };
            if chain.is_empty() {
                return Err(self.error(at, &path, "the chain is empty.", "name a target."));
            }
            if chain.iter().all(|target| target.weight == Some(0)) {
                let what = "every weight is 0.";
                return Err(self.error(at, &path, what, "give one target a share."));
            }
            models.insert(alias.clone(), chain);
        }
        Ok(models)
    }

    fn target(
        &self,
        at: usize,
        path: &str,
        text: &str,
        weight: Option<u32>,
        providers: &BTreeMap<String, Arc<Provider>>,
    ) -> Result<Target, ConfigError> {
        let Some((provider, model)) = text.split_once('/') else {
            let what = format!("{text:?} is not provider/model.");
            let mend = "write it like \"deepseek/deepseek-v4-pro\".";
            return Err(self.error(at, path, what, mend));
        };
        let Some(provider) = providers.get(provider) else {
            let known: Vec<&str> = providers.keys().map(String::as_str).collect();
            let what = format!("no provider is called {provider:?}.");
            let mend = format!("use one of: {}.", known.join(", "));
            return Err(self.error(at, path, what, mend));
        };
        Ok(Target {
            provider: Arc::clone(provider),
            model: model.into(),
            weight,
        })
    }

    pub(super) fn retry(&self, draft: &RetryDraft) -> Result<Retry, ConfigError> {
        let own = Retry::default();
        let seconds = |name: &str, value: &Option<Spanned<f64>>, default: Duration| {
            let read = self.number(name, value, 0.0..=86_400.0, default.as_secs_f64());
            read.map(Duration::from_secs_f64)
        };
        let attempts = self.count("retry.attempts", &draft.attempts, 1, own.attempts)?;
        Ok(Retry {
            attempts,
            backoff: seconds("retry.backoff_s", &draft.backoff_s, own.backoff)?,
            backoff_max: seconds("retry.backoff_max_s", &draft.backoff_max_s, own.backoff_max)?,
            deadline: seconds("retry.deadline_s", &draft.deadline_s, own.deadline)?,
        })
    }

    pub(super) fn breaker(&self, draft: &BreakerDraft) -> Result<Policy, ConfigError> {
        let own = Policy::default();
        let seconds = |name: &str, value: &Option<Spanned<f64>>, default: Duration| {
            let read = self.number(name, value, 0.001..=86_400.0, default.as_secs_f64());
            read.map(Duration::from_secs_f64)
        };
        Ok(Policy {
            failures: self.count("breaker.failures", &draft.failures, 0, own.failures)?,
            rate: self.number("breaker.rate", &draft.rate, 0.01..=1.0, own.rate)?,
            window: seconds("breaker.window_s", &draft.window_s, own.window)?,
            open: seconds("breaker.open_s", &draft.open_s, own.open)?,
        })
    }

    fn count(
        &self,
        key: &str,
        value: &Option<Spanned<f64>>,
        min: u32,
        default: u32,
    ) -> Result<u32, ConfigError> {
        let range = f64::from(min)..=1000.0;
        let read = self.number(key, value, range, f64::from(default))?;
        match value {
            Some(v) if read.fract() != 0.0 => {
                Err(self.error(v.span().start, key, "is no whole number.", "e.g. 3."))
            }
            _ => Ok(read as u32),
        }
    }

    fn number(
        &self,
        key: &str,
        value: &Option<Spanned<f64>>,
        range: RangeInclusive<f64>,
        default: f64,
    ) -> Result<f64, ConfigError> {
        match value {
            None => Ok(default),
            Some(v) if range.contains(v.get_ref()) => Ok(*v.get_ref()),
            Some(v) => {
                let mend = format!("a number from {} to {}.", range.start(), range.end());
                Err(self.error(v.span().start, key, "is out of range.", mend))
            }
        }
    }
}
