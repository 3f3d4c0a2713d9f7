//! From the file and the environment to a snapshot; every mistake says where and how to mend it.

use super::draft::{Draft, ProviderDraft};
use super::{ApiKey, Login, Origin, Provider, Snapshot, Timeouts};
use crate::auth::secret::SealKey;
use crate::limits;
use crate::provider::{Profile, builtin};
use ring::digest::{SHA256, digest};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use toml::Spanned;

/// A mistake in the configuration: where it stands, and how to mend it.
#[derive(Debug)]
pub struct ConfigError {
    /// The file, or `environment`.
    pub file: String,
    /// The line, from 1; 0 where there is none.
    pub line: usize,
    /// The key, e.g. `models."fast"`.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub mend: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what.trim_end())?;
        if !self.mend.is_empty() {
            write!(f, " Mend: {}", self.mend)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Looks variables of the environment up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Loader<'a> {
    file: String,
    text: String,
    pub(super) env: Env<'a>,
}

/// What the environment gives, without a file.
pub fn from_env(env: Env<'_>) -> Result<Snapshot, ConfigError> {
    let loader = Loader {
        file: "environment".into(),
        text: String::new(),
        env,
    };
    loader.resolve(Draft::default())
}

/// What the text of the file `name` gives.
pub fn parse(name: &str, text: &str, env: Env<'_>) -> Result<Snapshot, ConfigError> {
    let loader = Loader {
        file: name.into(),
        text: text.into(),
        env,
    };
    let draft = toml::from_str(text).map_err(|e| {
        let at = e.span().map_or(0, |s| s.start);
        loader.error(
            at,
            "",
            format!("{}.", e.message()),
            "see the README for the keys there are.",
        )
    })?;
    loader.resolve(draft)
}

impl Loader<'_> {
    pub(super) fn error(
        &self,
        at: usize,
        key: &str,
        what: impl Into<String>,
        mend: impl Into<String>,
    ) -> ConfigError {
        let line = match self.text.is_empty() {
            true => 0,
            false => self.text[..at.min(self.text.len())].matches('\n').count() + 1,
        };
        let (file, key) = (self.file.clone(), key.to_owned());
        ConfigError {
            file,
            line,
            key,
            what: what.into(),
            mend: mend.into(),
        }
    }

    /// Replaces `${VAR}` by the variable's value.
    pub(super) fn expand(&self, at: usize, key: &str, text: &str) -> Result<String, ConfigError> {
        let mut out = String::new();
        let mut rest = text;
        while let Some(begin) = rest.find("${") {
            out.push_str(&rest[..begin]);
            let Some(len) = rest[begin..].find('}') else {
                return Err(self.error(at, key, "\"${\" is not closed.", "add the \"}\"."));
            };
            let name = &rest[begin + 2..begin + len];
            out.push_str(&(self.env)(name).ok_or_else(|| {
                let what = format!("the environment variable {name} is not set.");
                self.error(
                    at,
                    key,
                    what,
                    format!("export {name}, or write the value here."),
                )
            })?);
            rest = &rest[begin + len + 1..];
        }
        Ok(out + rest)
    }

    fn resolve(&self, draft: Draft) -> Result<Snapshot, ConfigError> {
        let keys = self.keys(&draft)?;
        let listen = self.listen(&draft, keys.is_empty())?;
        let mut providers = BTreeMap::new();
        for (name, provider) in &draft.providers {
            providers.insert(
                name.clone(),
                Arc::new(self.provider(&draft, name, provider)?),
            );
        }
        if providers.is_empty() {
            providers = self.providers_of_environment()?;
        }
        let models = self.models(&draft.models, &providers)?;
        let workers = match draft.workers {
            0 => std::thread::available_parallelism().map_or(1, |n| n.get()),
            n => n,
        };
        let ca_file = match &draft.ca_file {
            Some(file) => Some(PathBuf::from(self.expand(
                file.span().start,
                "ca_file",
                file.get_ref(),
            )?)),
            None => None,
        };
        let seal_key = self.seal_key(&draft, &providers)?;
        let timeouts = self.timeouts(&draft)?;
        let store = self.store(&draft.store)?;
        let audit = self.audit(&draft.audit, &store)?;
        Ok(Snapshot {
            listen,
            tls: self.tls(draft.tls.as_ref())?,
            workers,
            keys,
            keyring: Arc::default(),
            providers,
            models,
            seal_key,
            timeouts,
            ca_file,
            websocket: draft.websocket.unwrap_or(true),
            trusted_proxies: self.trusted_proxies(&draft.trusted_proxies)?,
            store,
            log_format: self.log_format(&draft.log)?,
            metrics: draft.metrics,
            traces: self.traces(&draft.traces)?,
            admin: self.admin(&draft.admin)?,
            audit,
            retry: self.retry(&draft.retry)?,
            breaker: self.breaker(&draft.breaker)?,
        })
    }

    fn provider(
        &self,
        draft: &Draft,
        name: &str,
        provider: &Spanned<ProviderDraft>,
    ) -> Result<Provider, ConfigError> {
        let (at, path) = (provider.span().start, format!("providers.{name}"));
        let own = provider.get_ref();
        let profile_name = own.profile.as_deref().unwrap_or(name);
        let own_profiles = draft.profiles.iter();
        let own_profiles = own_profiles
            .map(|(name, table)| (name.clone(), table.get_ref().clone()))
            .collect();
        let mut table = builtin::table(profile_name, &own_profiles).map_err(|missing| {
            let what = format!("there is no profile {missing:?}.");
            let known: Vec<&str> = builtin::tables().keys().copied().collect();
            let mend = format!(
                "profile = one of {}, or one of your own under [profiles.{profile_name}].",
                known.join(", ")
            );
            self.error(at, &path, what, mend)
        })?;
        builtin::merge(&mut table, &own.overrides);
        let profile = Profile::from_table(profile_name, table).map_err(|e| {
            let what = format!("its profile is not legal: {}.", e.message());
            self.error(
                at,
                &path,
                what,
                "see src/provider/profile.rs for the fields there are.",
            )
        })?;
        let base_url = match &own.base_url {
            Some(url) => self.expand(at, &path, url)?,
            None => self
                .first(&profile.base_url_env)
                .unwrap_or(profile.base_url.clone()),
        };
        let written: Vec<&String> = own.api_key.iter().chain(&own.api_keys).collect();
        let keys = self.api_keys(at, &path, &written, &profile.key_env)?;
        let login = self.login(at, &path, &profile, own)?;
        let mut provider = self.build(at, name, profile, &base_url, keys, login)?;
        self.through(at, own.proxy.as_deref(), &mut provider)?;
        Ok(provider)
    }

    fn build(
        &self,
        at: usize,
        name: &str,
        profile: Profile,
        base_url: &str,
        keys: Vec<ApiKey>,
        login: Option<Login>,
    ) -> Result<Provider, ConfigError> {
        let path = format!("providers.{name}");
        let (origin, path_prefix) = parse_url(base_url).map_err(|what| {
            let mend = "base_url = \"https://host/v1\".";
            self.error(at, &path, format!("base_url {base_url:?} {what}."), mend)
        })?;
        if login.is_some() {
            self.only_private(at, &path, "base_url", &origin)?;
        }
        if keys.is_empty() && !profile.key_optional && login.is_none() {
            let vars = profile.key_env.join(" or ");
            let mend = format!("api_key = \"${{…}}\" here, or export {vars}.");
            return Err(self.error(at, &path, "has no key.", mend));
        }
        Ok(Provider {
            name: name.into(),
            profile,
            origin,
            path_prefix,
            keys,
            login: login.map(Arc::new),
            health: Arc::default(),
        })
    }

    fn first(&self, variables: &[String]) -> Option<String> {
        variables
            .iter()
            .find_map(|v| (self.env)(v))
            .filter(|v| !v.is_empty())
    }

    fn providers_of_environment(&self) -> Result<BTreeMap<String, Arc<Provider>>, ConfigError> {
        let mut providers = BTreeMap::new();
        for name in builtin::tables().keys() {
            let bug = |what: String| self.error(0, name, what, "this is a bug in Strait.");
            let table = builtin::table(name, &BTreeMap::new()).map_err(bug)?;
            let profile =
                Profile::from_table(name, table).map_err(|e| bug(e.message().to_owned()))?;
            if profile.named_only {
                continue;
            }
            let keys = self.api_keys(0, name, &[], &profile.key_env)?;
            let url = self.first(&profile.base_url_env);
            let wanted = !keys.is_empty() && !profile.base_url.is_empty()
                || url.is_some() && (!keys.is_empty() || profile.key_optional);
            if wanted {
                let url = url.unwrap_or(profile.base_url.clone());
                let mut provider = self.build(0, name, profile, &url, keys, None)?;
                self.through(0, None, &mut provider)?;
                providers.insert((*name).to_owned(), Arc::new(provider));
            }
        }
        Ok(providers)
    }

    fn seal_key(
        &self,
        draft: &Draft,
        providers: &BTreeMap<String, Arc<Provider>>,
    ) -> Result<SealKey, ConfigError> {
        if let Some(key) = &draft.seal_key {
            let at = key.span().start;
            let text = self.expand(at, "seal_key", key.get_ref())?;
            return hex32(&text).map(SealKey::new).ok_or_else(|| {
                let mend = "64 hexadecimal digits, e.g. from `openssl rand -hex 32`.";
                self.error(at, "seal_key", "is not 32 bytes in hexadecimal.", mend)
            });
        }
        // Nodes with the same provider keys share a seal key, and it survives restarts.
        let mut material = b"strait seal key v1".to_vec();
        let secrets: Vec<&str> = providers
            .values()
            // The first only: a key that is added does not break open conversations.
            .filter_map(|p| p.keys.first())
            .map(|key| key.key.expose())
            .collect();
        if secrets.is_empty() {
            // A reload must not forget what was sealed before it.
            static RANDOM: OnceLock<[u8; 32]> = OnceLock::new();
            material.extend_from_slice(RANDOM.get_or_init(|| {
                let mut random = [0; 32];
                let rng = ring::rand::SystemRandom::new();
                let _ = ring::rand::SecureRandom::fill(&rng, &mut random);
                random
            }));
        }
        for secret in secrets {
            material.push(0);
            material.extend_from_slice(secret.as_bytes());
        }
        Ok(SealKey::new(sha256(&material)))
    }

    fn timeouts(&self, draft: &Draft) -> Result<Timeouts, ConfigError> {
        let t = &draft.timeouts;
        let read = |name: &str, value: &Option<Spanned<f64>>, default| match value {
            None => Ok(default),
            Some(v) if *v.get_ref() > 0.0 && *v.get_ref() <= 86_400.0 => {
                Ok(Duration::from_secs_f64(*v.get_ref()))
            }
            Some(v) => {
                let key = format!("timeouts.{name}");
                let mend = "a number of seconds above 0, at most 86400.";
                Err(self.error(v.span().start, &key, "is out of range.", mend))
            }
        };
        Ok(Timeouts {
            connect: read("connect_s", &t.connect_s, limits::CONNECT_TIMEOUT)?,
            first_byte: read("first_byte_s", &t.first_byte_s, limits::FIRST_BYTE_TIMEOUT)?,
            silence: read("silence_s", &t.silence_s, limits::SILENCE_TIMEOUT)?,
            keepalive: read("keepalive_s", &t.keepalive_s, limits::KEEPALIVE_EVERY)?,
            hold: read("hold_s", &t.hold_s, limits::HOLD_MAX)?,
            drain: read("drain_s", &t.drain_s, limits::DRAIN_TIMEOUT)?,
        })
    }
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

pub(super) fn hex32(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// Splits a base URL into its origin and the path before the API's.
pub fn parse_url(url: &str) -> Result<(Origin, String), &'static str> {
    let (tls, rest) = match url.split_once("://") {
        Some(("https", rest)) => (true, rest),
        Some(("http", rest)) => (false, rest),
        _ => return Err("does not begin with http:// or https://"),
    };
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if authority.contains('@') || path.contains(['?', '#']) {
        return Err("must not hold credentials, a query or a fragment");
    }
    if url.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err("holds white space or control characters");
    }
    let default = if tls { 443 } else { 80 };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (
            host,
            port.parse()
                .map_err(|_| "has a port that is not a number")?,
        ),
        _ => (authority, default),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Err("names no host");
    }
    let origin = Origin {
        tls,
        host: host.to_ascii_lowercase().into(),
        port,
        proxy: None,
    };
    Ok((origin, path.trim_end_matches('/').to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        match name {
            "DEEPSEEK_API_KEY" => Some("sk-deep".into()),
            "K" => Some("secret".into()),
            _ => None,
        }
    }

    fn mistake(text: &str) -> String {
        parse("strait.toml", text, &env).unwrap_err().to_string()
    }

    #[test]
    fn the_environment_alone_is_enough() {
        let snapshot = from_env(&env).unwrap();
        assert_eq!(snapshot.providers.keys().collect::<Vec<_>>(), ["deepseek"]);
        assert!(snapshot.listen[0].is_local());
        assert_eq!(
            snapshot.resolve("deepseek-v4-pro").unwrap()[0].model,
            "deepseek-v4-pro"
        );
        assert_eq!(snapshot.resolve("deepseek/x").unwrap()[0].model, "x");
        assert_eq!(
            snapshot.resolve("gpt-5.5").unwrap()[0].provider.name,
            "deepseek"
        );
    }

    #[test]
    fn mistakes_name_file_line_key_and_mend() {
        let cases = [
            ("x = 1", "strait.toml:1"),
            (
                "\nlisten = [\"0.0.0.0:1\"]",
                "strait.toml:2: listen: 0.0.0.0:1 is beyond loopback",
            ),
            ("listen = [\"here\"]", "is not an address"),
            (
                "[providers.deepseek]\napi_key = \"${NOPE}\"",
                "variable NOPE is not set",
            ),
            ("[providers.foo]\n", "there is no profile \"foo\""),
            ("[providers.openai]\n", "export OPENAI_API_KEY"),
            (
                "[providers.deepseek]\nbase_url = \"ftp://x\"",
                "does not begin with http://",
            ),
            (
                "[models]\n\n\"fast\" = \"zhipo/x\"",
                "strait.toml:3: models.\"fast\": no provider is called \"zhipo\"",
            ),
            ("[models]\na = \"b\"", "is not provider/model"),
            (
                "[timeouts]\nhold_s = 0.0",
                "timeouts.hold_s: is out of range",
            ),
            ("seal_key = \"abc\"", "is not 32 bytes"),
            (
                "[providers.deepseek.override]\nnope = 1",
                "its profile is not legal",
            ),
            (
                "listen = [\"127.0.0.1:5\", \"127.0.0.1:5\"]",
                "is listed twice",
            ),
        ];
        for (text, expected) in cases {
            let said = mistake(text);
            assert!(said.contains(expected), "{text:?}: {said}");
            assert!(said.contains("Mend: "), "{said}");
        }
    }

    #[test]
    fn aliases_chains_and_the_fallback() {
        let text = "[providers.deepseek]\n[providers.lab]\nprofile = \"openai-compatible\"\nbase_url = \"http://[::1]:80/a/b/\"\n[models]\nfast = [\"lab/q\", \"deepseek/d\"]\n\"*\" = \"lab/*\"";
        let snapshot = parse("f", text, &env).unwrap();
        let chain = snapshot.resolve("fast").unwrap();
        assert_eq!((chain.len(), chain[1].model.as_str()), (2, "d"));
        let target = &snapshot.resolve("anything").unwrap()[0];
        assert_eq!(target.model, "anything");
        assert_eq!(&*target.provider.origin.host, "::1");
        assert_eq!(target.provider.path_prefix, "/a/b");
    }
}
