//! Proxies before Strait, whose word on where a request comes from is taken.

use super::load::{ConfigError, Loader};
use crate::ledger::peer::Peer;
use ipnet::IpNet;
use std::net::IpAddr;
use toml::Spanned;

/// What connections over Unix sockets are called.
const UNIX: &str = "unix";

/// Who is believed.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// Whether this one is.
    pub fn has(&self, peer: Peer) -> bool {
        match peer {
            Peer::Unknown => false,
            Peer::Unix => self.unix,
            Peer::Ip(address) => self.networks.iter().any(|net| net.contains(&address)),
        }
    }
}

impl Loader<'_> {
    pub(super) fn trusted_proxies(
        &self,
        written: &[Spanned<String>],
    ) -> Result<TrustedProxies, ConfigError> {
        let mut trusted = TrustedProxies::default();
        for one in written {
            let at = one.span().start;
            let text = self.expand(at, "trusted_proxies", one.get_ref())?;
            let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
            match text.parse().ok().or_else(address) {
                Some(network) => trusted.networks.push(network),
                None if text == UNIX => trusted.unix = true,
                None => {
                    let what = format!("{text:?} is neither an address nor a network.");
                    let mend =
                        "write it like \"10.0.0.7\" or \"10.0.0.0/8\"; \"unix\" for Unix sockets.";
                    return Err(self.error(at, "trusted_proxies", what, mend));
                }
            }
        }
        Ok(trusted)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(list: &str) -> Result<TrustedProxies, String> {
        let snapshot = parse("f", &format!("trusted_proxies = {list}"), &|_| None);
        snapshot
            .map(|s| s.trusted_proxies)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn addresses_networks_and_unix_sockets_are_taken() {
        let trusted =
            read("[\"127.0.0.1\", \"10.1.0.0/16\", \"2001:db8::/32\", \"unix\"]").unwrap();
        for (address, expected) in [
            ("127.0.0.1", true),
            ("127.0.0.2", false),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("2001:db8:1::5", true),
            ("2001:db9::", false),
            // A socket of both families.
            ("::ffff:10.1.2.3", true),
        ] {
            let peer = Peer::of(address.parse().unwrap());
            assert_eq!(trusted.has(peer), expected, "{address}");
        }
        assert!(trusted.has(Peer::Unix) && !trusted.has(Peer::Unknown));
        assert!(!read("[]").unwrap().has(Peer::Unix));
    }

    #[test]
    fn anything_else_is_a_mistake() {
        for wrong in ["10.0.0.0/33", "proxy.example", "", "10.0.0.1:80", "*"] {
            let said = read(&format!("[{wrong:?}]")).unwrap_err();
            assert!(
                said.contains("f:1: trusted_proxies: ") && said.contains("Mend"),
                "{said}"
            );
        }
    }
}
