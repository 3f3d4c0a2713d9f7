//! TLS on the addresses that are listened on.

use super::load::{ConfigError, Loader};
use serde::Deserialize;
use std::path::PathBuf;
use toml::Spanned;

/// `[tls]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsDraft {
    cert_file: Spanned<String>,
    key_file: Spanned<String>,
    client_ca_file: Option<Spanned<String>>,
    client_auth: Option<Spanned<ClientAuth>>,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ClientAuth {
    Request,
    Require,
}

/// What is shown to clients, and what they have to show.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Tls {
    /// A PEM file: the certificate, then those that lead to its authority.
    pub cert_file: PathBuf,
    /// A PEM file: the certificate's private key, not encrypted.
    pub key_file: PathBuf,
    /// Clients are asked for a certificate, too.
    pub clients: Option<ClientCertificates>,
}

/// What clients' certificates are judged by.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientCertificates {
    /// A PEM file of the authorities that may have signed them.
    pub ca_file: PathBuf,
    /// A client without one is refused; a bad one always is.
    pub required: bool,
}

impl Loader<'_> {
    /// TLS, if it is wanted.
    pub(super) fn tls(&self, draft: Option<&TlsDraft>) -> Result<Option<Tls>, ConfigError> {
        let Some(draft) = draft else { return Ok(None) };
        let file = |name: &str, path: &Spanned<String>| {
            let (at, key) = (path.span().start, format!("tls.{name}"));
            match self.expand(at, &key, path.get_ref())? {
                path if path.is_empty() => {
                    Err(self.error(at, &key, "names no file.", "give the path of a PEM file."))
                }
                path => Ok(PathBuf::from(path)),
            }
        };
        let clients = match (&draft.client_ca_file, &draft.client_auth) {
            (Some(path), mode) => Some(ClientCertificates {
                ca_file: file("client_ca_file", path)?,
                // Who names an authority and no more wants it to matter.
                required: mode
                    .as_ref()
                    .is_none_or(|mode| *mode.get_ref() == ClientAuth::Require),
            }),
            (None, Some(mode)) => {
                let what = "there is no authority that clients' certificates could be judged by.";
                let mend = "add client_ca_file, or take client_auth out.";
                return Err(self.error(mode.span().start, "tls.client_auth", what, mend));
            }
            (None, None) => None,
        };
        Ok(Some(Tls {
            cert_file: file("cert_file", &draft.cert_file)?,
            key_file: file("key_file", &draft.key_file)?,
            clients,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    fn read(text: &str) -> Result<Option<Tls>, String> {
        let env = |name: &str| (name == "DIR").then(|| "/run/certs".to_owned());
        let text = format!("websocket = true\n{text}");
        let snapshot = parse("strait.toml", &text, &env);
        snapshot.map(|s| s.tls).map_err(|e| e.to_string())
    }

    const PAIR: &str = "[tls]\ncert_file = \"${DIR}/tls.crt\"\nkey_file = \"${DIR}/tls.key\"\n";

    #[test]
    fn a_pair_is_enough_and_clients_may_be_asked() {
        assert_eq!(read("").unwrap(), None);
        let tls = read(PAIR).unwrap().unwrap();
        assert_eq!(tls.key_file, PathBuf::from("/run/certs/tls.key"));
        assert_eq!(tls.clients, None);
        for (mode, required) in [
            ("", true),
            ("client_auth = \"require\"", true),
            ("client_auth = \"request\"", false),
        ] {
            let tls = read(&format!("{PAIR}client_ca_file = \"/ca.pem\"\n{mode}"));
            let clients = tls.unwrap().unwrap().clients.unwrap();
            assert_eq!(clients.ca_file, PathBuf::from("/ca.pem"));
            assert_eq!(clients.required, required, "{mode}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        let with = |more: &str| format!("{PAIR}{more}");
        for (text, expected) in [
            (
                "[tls]\ncert_file = \"a\"".to_owned(),
                "strait.toml:2: missing field `key_file`",
            ),
            (with("key = \"x\""), "strait.toml:5: unknown field `key`"),
            (
                with("client_auth = \"require\""),
                "strait.toml:5: tls.client_auth: there is no authority",
            ),
            (with("client_auth = \"maybe\""), "unknown variant `maybe`"),
            (
                with("client_ca_file = \"\""),
                "strait.toml:5: tls.client_ca_file: names no file",
            ),
            (with("client_ca_file = \"${NOPE}\""), "NOPE is not set"),
        ] {
            let said = read(&text).unwrap_err();
            assert!(said.contains(expected) && said.contains("Mend: "), "{said}");
        }
    }
}
