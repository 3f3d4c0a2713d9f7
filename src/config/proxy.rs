//! Proxies on the way to providers: those of the usual variables, read as curl reads them, or one
//! that a provider names itself.
//!
//! `http_proxy` counts in lower case only: a web server hands `HTTP_PROXY` to CGI programs from a
//! header field that anybody can send. Of the others the lower case counts first. What is said of
//! this machine is not sent to a proxy that the environment names, whose own loopback would
//! answer; there curl would.

use super::load::{ConfigError, Env, Loader};
use super::login::is_loopback;
use super::traces::decoded;
use super::{Origin, Provider};
use crate::auth::secret::Secret;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

/// Where a proxy listens whose URL names no port: curl's choice.
const PORT: u16 = 1080;
/// Longest user name and password, in bytes (RFC 1929).
const CREDENTIAL_BYTES_MAX: usize = 255;

/// A proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// What is spoken to it.
    pub protocol: Protocol,
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// User name and password.
    pub credentials: Option<(Secret, Secret)>,
    /// The variable or the key that names it.
    pub named_by: String,
}

/// What is spoken to a proxy.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    /// CONNECT (RFC 9110, section 9.3.6), for http and https alike: so no proxy holds a stream
    /// back, and none sees more than it has to.
    Http,
    /// SOCKS 5 (RFC 1928); names are resolved here.
    Socks5,
    /// The same; names are resolved by the proxy.
    Socks5h,
}

impl Proxy {
    /// Both parts of the credentials, in the clear.
    fn exposed(&self) -> Option<(&str, &str)> {
        let (user, password) = self.credentials.as_ref()?;
        Some((user.expose(), password.expose()))
    }
}

impl PartialEq for Proxy {
    fn eq(&self, other: &Self) -> bool {
        (self.protocol, self.port) == (other.protocol, other.port)
            && self.host == other.host
            && self.exposed() == other.exposed()
    }
}

impl Eq for Proxy {}

impl Hash for Proxy {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.protocol, &self.host, self.port).hash(state);
    }
}

/// Without the credentials.
impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.protocol {
            Protocol::Http => "http",
            Protocol::Socks5 => "socks5",
            Protocol::Socks5h => "socks5h",
        };
        match self.host.contains(':') {
            true => write!(f, "{scheme}://[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}://{}:{}", self.host, self.port),
        }
    }
}

impl Loader<'_> {
    /// Sets how a provider is reached, and its token server with it: as its `own` key says, else as
    /// the environment does.
    pub(super) fn through(
        &self,
        at: usize,
        own: Option<&str>,
        provider: &mut Provider,
    ) -> Result<(), ConfigError> {
        let key = format!("providers.{}.proxy", provider.name);
        let own = match own {
            None => None,
            Some("none") => Some(None),
            Some(url) => {
                let url = self.expand(at, &key, url)?;
                let proxy = parse(&url, &key).map_err(|what| {
                    let mend = "proxy = \"http://proxy:3128\", or \"none\".";
                    self.error(at, &key, format!("{what}."), mend)
                })?;
                Some(Some(Arc::new(proxy)))
            }
        };
        let find = |origin: &Origin| match &own {
            Some(own) => Ok(own.clone()),
            None => of_environment(self.env, origin),
        };
        provider.origin.proxy = find(&provider.origin)?;
        let Some(login) = &mut provider.login else {
            return Ok(());
        };
        let login = Arc::make_mut(login);
        login.origin.proxy = find(&login.origin)?;
        for origin in [&provider.origin, &login.origin] {
            if origin.proxy.is_some() && !origin.tls {
                let what = format!("would carry the login to {} in the clear.", origin.host);
                return Err(self.error(at, &key, what, "use https, or proxy = \"none\"."));
            }
        }
        Ok(())
    }
}

/// The proxy that the environment names for `origin`, if it names one.
pub(super) fn of_environment(
    env: Env<'_>,
    origin: &Origin,
) -> Result<Option<Arc<Proxy>>, ConfigError> {
    let variables: &[&str] = match origin.tls {
        true => &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"],
        false => &["http_proxy", "all_proxy", "ALL_PROXY"],
    };
    let set = |name: &&&str| env(name).is_some_and(|value| !value.is_empty());
    let first = |names: &[&'static str]| names.iter().find(set).copied();
    let Some(variable) = first(variables) else {
        return Ok(None);
    };
    let except = first(&["no_proxy", "NO_PROXY"]).and_then(env);
    let excepted = except.is_some_and(|list| is_excepted(&list, &origin.host, origin.port));
    if excepted || is_loopback(&origin.host) {
        return Ok(None);
    }
    let url = env(variable).unwrap_or_default();
    match parse(url.trim(), variable) {
        Ok(proxy) => Ok(Some(Arc::new(proxy))),
        Err(what) => Err(ConfigError {
            file: "environment".to_owned(),
            line: 0,
            key: variable.to_owned(),
            what: format!("{what}."),
            mend: format!(
                "export {variable}=http://proxy:3128, or NO_PROXY={}.",
                origin.host
            ),
        }),
    }
}

/// Reads a proxy's URL. An error never shows it: it may hold a password.
fn parse(url: &str, named_by: &str) -> Result<Proxy, &'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    let protocol = match scheme.to_ascii_lowercase().as_str() {
        "http" => Protocol::Http,
        "socks5" => Protocol::Socks5,
        "socks5h" => Protocol::Socks5h,
        _ => return Err("is no proxy that Strait can use: http://, socks5:// or socks5h://"),
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (Some(user), place),
        None => (None, authority),
    };
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (
            host,
            port.parse()
                .map_err(|_| "has a port that is not a number")?,
        ),
        _ => (place, PORT),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err("names no host");
    }
    let credentials = match user {
        None => None,
        Some(user) => {
            let (user, password) = user.split_once(':').unwrap_or((user, ""));
            Some((credential(user)?, credential(password)?))
        }
    };
    Ok(Proxy {
        protocol,
        host: host.to_ascii_lowercase(),
        port,
        credentials,
        named_by: named_by.to_owned(),
    })
}

/// A part of the credentials, percent-encoded as a URL has it.
fn credential(text: &str) -> Result<Secret, &'static str> {
    match decoded(text) {
        None => Err("has a user or password that is not percent-encoded text"),
        Some(long) if long.len() > CREDENTIAL_BYTES_MAX => {
            Err("has a user or password of more than 255 bytes")
        }
        Some(text) => Ok(Secret::new(text)),
    }
}

/// Whether `NO_PROXY` names a host: itself, a domain that it is in, a network, or `*`; with a port
/// behind, only that.
fn is_excepted(list: &str, host: &str, port: u16) -> bool {
    let host = host.trim_end_matches('.');
    let address = host.parse::<IpAddr>().ok();
    let entries = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
    entries.filter(|entry| !entry.is_empty()).any(|entry| {
        let (name, only) = split_port(entry);
        if only.is_some_and(|only| only != port) {
            return false;
        }
        let name = name.strip_prefix('*').unwrap_or(name);
        let name = name.trim_start_matches('.').trim_end_matches('.');
        match address {
            _ if name.is_empty() => true,
            Some(address) => is_in_network(address, name),
            None => {
                let rest = host.len().checked_sub(name.len());
                let tail = rest.and_then(|rest| host.get(rest..));
                let whole = rest.is_some_and(|rest| rest == 0 || host[..rest].ends_with('.'));
                whole && tail.is_some_and(|tail| tail.eq_ignore_ascii_case(name))
            }
        }
    })
}

/// An entry's host and port; the colons of a bare IPv6 address are its own.
fn split_port(entry: &str) -> (&str, Option<u16>) {
    let (name, port) = match entry.rsplit_once(':') {
        Some((name, port)) if name.ends_with(']') || !name.contains(':') => {
            (name, port.parse().ok())
        }
        _ => (entry, None),
    };
    let name = match port {
        Some(_) => name,
        None => entry,
    };
    (name.trim_start_matches('[').trim_end_matches(']'), port)
}

/// Whether an address is `network`, or in it where that is written with a prefix's length.
fn is_in_network(address: IpAddr, network: &str) -> bool {
    let (base, length) = match network.split_once('/') {
        Some((base, length)) => (base, length.parse::<u32>().ok()),
        None => (network, Some(128)),
    };
    let (Ok(base), Some(length)) = (base.parse::<IpAddr>(), length) else {
        return false;
    };
    match (address, base) {
        (IpAddr::V4(address), IpAddr::V4(base)) => {
            let apart = (address.to_bits() ^ base.to_bits()).leading_zeros();
            apart >= length.min(32)
        }
        (IpAddr::V6(address), IpAddr::V6(base)) => {
            let apart = (address.to_bits() ^ base.to_bits()).leading_zeros();
            apart >= length.min(128)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Snapshot, parse as read};
    use super::*;

    const PROVIDERS: &str = "[providers.near]\nprofile = \"ollama\"\nbase_url = \"http://127.0.0.1:1/v1\"\n[providers.plain]\nprofile = \"ollama\"\nbase_url = \"http://lab.test:8000/v1\"\n[providers.far]\nprofile = \"ollama\"\nbase_url = \"https://api.test/v1\"\n";

    fn with(more: &str, variables: &[(&str, &str)]) -> Result<Snapshot, String> {
        let env = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        read("strait.toml", &format!("{PROVIDERS}{more}"), &env).map_err(|e| e.to_string())
    }

    fn proxies(variables: &[(&str, &str)]) -> [String; 3] {
        let snapshot = with("", variables).unwrap();
        ["near", "plain", "far"].map(|name| {
            let proxy = &snapshot.providers[name].origin.proxy;
            proxy.as_ref().map_or(String::new(), |p| p.named_by.clone())
        })
    }

    #[test]
    fn variables_count_as_for_curl() {
        for (variables, plain, far) in [
            (&[][..], "", ""),
            (&[("HTTPS_PROXY", "p")], "", "HTTPS_PROXY"),
            (
                &[("HTTPS_PROXY", "p"), ("https_proxy", "q")],
                "",
                "https_proxy",
            ),
            (
                &[("HTTPS_PROXY", "p"), ("https_proxy", "")],
                "",
                "HTTPS_PROXY",
            ),
            (&[("HTTP_PROXY", "p")], "", ""),
            (&[("http_proxy", "p")], "http_proxy", ""),
            (&[("ALL_PROXY", "p")], "ALL_PROXY", "ALL_PROXY"),
            (
                &[("all_proxy", "p"), ("http_proxy", "q")],
                "http_proxy",
                "all_proxy",
            ),
            (&[("ALL_PROXY", "p"), ("NO_PROXY", "*")], "", ""),
            (&[("ALL_PROXY", "p"), ("NO_PROXY", "x, .TEST")], "", ""),
            (
                &[("ALL_PROXY", "p"), ("no_proxy", "lab.test:8000")],
                "",
                "ALL_PROXY",
            ),
        ] {
            assert_eq!(proxies(variables), ["", plain, far], "{variables:?}");
        }
    }

    #[test]
    fn a_provider_may_say_it_itself() {
        let all = [("ALL_PROXY", "all:1"), ("PASSWORD", "p%40ss")];
        let own = "proxy = \"socks5h://me:${PASSWORD}@[::1]:9\"\n[providers.bare]\nprofile = \"ollama\"\nbase_url = \"https://b.test\"\nproxy = \"none\"";
        let snapshot = with(own, &all).unwrap();
        let proxy = |name: &str| snapshot.providers[name].origin.proxy.clone();
        let far = proxy("far").unwrap();
        assert_eq!(far.to_string(), "socks5h://[::1]:9");
        assert_eq!(far.exposed(), Some(("me", "p@ss")));
        assert_eq!(far.named_by, "providers.far.proxy");
        assert!(!format!("{snapshot:?}").contains("ss@"));
        assert_eq!(proxy("bare"), None);
        assert_eq!(proxy("plain").unwrap().to_string(), "http://all:1");
    }

    #[test]
    fn a_login_is_refreshed_through_the_proxy_and_never_in_the_clear() {
        let variables = [("HOME", "/home/me"), ("HTTPS_PROXY", "corp:3128")];
        let snapshot = with("[providers.codex]", &variables).unwrap();
        let login = snapshot.providers["codex"].login.as_ref().unwrap();
        let proxy = login.origin.proxy.as_ref().unwrap();
        assert_eq!(proxy.to_string(), "http://corp:3128");
        let own = "[providers.codex]\ntoken_url = \"http://127.0.0.1:1/\"\nproxy = \"corp\"";
        let said = with(own, &variables).unwrap_err();
        assert!(
            said.contains("carry the login to 127.0.0.1 in the clear"),
            "{said}"
        );
    }

    #[test]
    fn urls_are_read_and_mistakes_hide_them() {
        for (url, shown) in [
            ("proxy", "http://proxy:1080"),
            ("HTTP://Proxy:3128/", "http://proxy:3128"),
            ("http://u@h:1", "http://h:1"),
            ("http://u:p@w@h:1", "http://h:1"),
            ("socks5://10.0.0.1", "socks5://10.0.0.1:1080"),
            ("http://[fe80::1]:8080", "http://[fe80::1]:8080"),
        ] {
            assert_eq!(parse(url, "x").unwrap().to_string(), shown);
        }
        for (url, what) in [
            ("https://u:s3cret@h:1", "is no proxy that Strait can use"),
            ("socks4://s3cret", "is no proxy that Strait can use"),
            ("http://u:s3cret@:1", "names no host"),
            ("http://u:s3cret@h:x", "a port that is not a number"),
            ("http://u:s3cret%4@h:1", "not percent-encoded"),
        ] {
            let said = with("", &[("HTTPS_PROXY", url)]).unwrap_err();
            assert!(said.starts_with("environment: HTTPS_PROXY: "), "{said}");
            assert!(said.contains(what) && said.contains("Mend: "), "{said}");
            assert!(!said.contains("s3cret"), "{said}");
            let own = with(&format!("proxy = {url:?}"), &[]).unwrap_err();
            assert!(
                own.starts_with("strait.toml:7: providers.far.proxy: "),
                "{own}"
            );
            assert!(!own.contains("s3cret"), "{own}");
        }
        // What nobody would use harms nobody.
        assert!(with("", &[("HTTPS_PROXY", "ftp://x"), ("NO_PROXY", "api.test")]).is_ok());
    }

    #[test]
    fn exceptions_are_hosts_domains_networks_and_ports() {
        for (list, host, excepted) in [
            ("example.com", "example.com", true),
            ("example.com", "api.EXAMPLE.com", true),
            ("example.com", "badexample.com", false),
            (".example.com", "example.com", true),
            ("*.example.com.", "a.b.example.com", true),
            ("com", "example.com", true),
            ("a.example.com", "example.com", false),
            ("*", "anything", true),
            ("x *", "anything", true),
            ("", "anything", false),
            ("example.com:443", "example.com", true),
            ("example.com:80", "example.com", false),
            ("10.0.0.0/8", "10.9.8.7", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.1.2.3", "10.1.2.3", true),
            ("10.1.2.3:443", "10.1.2.3", true),
            ("1.2.3", "10.1.2.3", false),
            ("0.0.0.0/0", "10.1.2.3", true),
            ("fd00::/8", "fd12::1", true),
            ("fd00::1", "fd00::1", true),
            ("[fd00::1]:443", "fd00::1", true),
            ("[fd00::1]:80", "fd00::1", false),
            ("fd00::/8", "10.1.2.3", false),
        ] {
            assert_eq!(is_excepted(list, host, 443), excepted, "{list} {host}");
        }
    }
}
