//! The login of a provider that takes one instead of a key.

use super::draft::ProviderDraft;
use super::load::{ConfigError, Loader, parse_url};
use super::{Login, Origin};
use crate::provider::Profile;
use crate::provider::profile::Auth;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where the Codex CLI keeps its login: in `$CODEX_HOME`, else in `~/.codex`.
pub fn login_file(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = |name: &str| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || Some(set("HOME")?.join(".codex"));
    Some(set("CODEX_HOME").or_else(home)?.join("auth.json"))
}

impl Loader<'_> {
    /// The login of a provider, if its profile wants one.
    pub(super) fn login(
        &self,
        at: usize,
        path: &str,
        profile: &Profile,
        own: &ProviderDraft,
    ) -> Result<Option<Login>, ConfigError> {
        if profile.auth == Auth::Key {
            return match own.auth_file.is_some() || own.token_url.is_some() {
                true => {
                    let what = "has no login: auth_file and token_url mean nothing here.";
                    let mend = "take them out, or use a profile with auth = \"chatgpt\".";
                    Err(self.error(at, path, what, mend))
                }
                false => Ok(None),
            };
        }
        if own.api_key.is_some() || !own.api_keys.is_empty() {
            let what = "takes the login of `codex login`, and no api_key.";
            let mend = "take api_key out; for a key of OpenAI's API use the profile openai.";
            return Err(self.error(at, path, what, mend));
        }
        let file = match &own.auth_file {
            Some(file) => Some(PathBuf::from(self.expand(at, path, file)?)),
            None => login_file(self.env),
        };
        let file = file.ok_or_else(|| {
            let what = "there is no place to look for its login: HOME is not set.";
            self.error(at, path, what, "export CODEX_HOME, or set auth_file.")
        })?;
        let url = match &own.token_url {
            Some(url) => self.expand(at, path, url)?,
            None => profile.token_url.clone(),
        };
        let (origin, url_path) = parse_url(&url).map_err(|what| {
            let mend = "token_url = \"https://host/oauth/token\".";
            self.error(at, path, format!("token_url {url:?} {what}."), mend)
        })?;
        self.only_private(at, path, "token_url", &origin)?;
        Ok(Some(Login {
            file,
            origin,
            path: match url_path.is_empty() {
                true => "/".into(),
                false => url_path,
            },
            client_id: profile.client_id.clone(),
        }))
    }

    /// A login never crosses a network in the clear.
    pub(super) fn only_private(
        &self,
        at: usize,
        path: &str,
        name: &str,
        origin: &Origin,
    ) -> Result<(), ConfigError> {
        if origin.tls || is_loopback(&origin.host) {
            return Ok(());
        }
        let what = format!(
            "{name} would send the login to {} in the clear.",
            origin.host
        );
        Err(self.error(at, path, what, "use https, or an address of this machine."))
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|a| a.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::super::{Snapshot, parse};
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "HOME").then(|| "/home/me".to_owned())
    }

    fn read(text: &str) -> Result<Snapshot, String> {
        parse("strait.toml", text, &env).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_but_its_name_is_needed() {
        let snapshot = read("[providers.codex]").unwrap();
        let provider = &snapshot.providers["codex"];
        let login = provider.login.as_ref().unwrap();
        assert_eq!(login.file, PathBuf::from("/home/me/.codex/auth.json"));
        assert_eq!(
            (&*login.origin.host, login.path.as_str()),
            ("auth.openai.com", "/oauth/token")
        );
        assert!(login.origin.tls && provider.origin.tls && provider.keys.is_empty());
        assert_eq!(provider.path_prefix, "/backend-api/codex");
        let target = &snapshot.resolve("gpt-5.5").unwrap()[0];
        assert_eq!(target.provider.name, "codex");
    }

    #[test]
    fn the_file_is_where_codex_keeps_it() {
        let with = |name: &str| match name {
            "CODEX_HOME" => Some("/srv/codex".to_owned()),
            other => env(other),
        };
        let file = login_file(&with).unwrap();
        assert_eq!(file, PathBuf::from("/srv/codex/auth.json"));
        assert_eq!(login_file(&|_| None), None);
        let own = "[providers.codex]\nauth_file = \"${HOME}/mine.json\"\nbase_url = \"http://127.0.0.1:1/x\"\ntoken_url = \"http://[::1]:2\"";
        let snapshot = read(own).unwrap();
        let login = snapshot.providers["codex"].login.clone().unwrap();
        assert_eq!(login.file, PathBuf::from("/home/me/mine.json"));
        assert_eq!((login.origin.port, login.path.as_str()), (2, "/"));
    }

    #[test]
    fn mistakes_are_told() {
        for (text, expected) in [
            ("[providers.codex]\napi_key = \"k\"", "and no api_key"),
            (
                "[providers.codex]\nbase_url = \"http://h/\"",
                "in the clear",
            ),
            (
                "[providers.codex]\ntoken_url = \"http://192.0.2.1/\"",
                "token_url would send the login to 192.0.2.1",
            ),
            ("[providers.codex]\ntoken_url = \"x\"", "does not begin"),
            ("[providers.ollama]\nauth_file = \"x\"", "has no login"),
            (
                "listen = [\"0.0.0.0:1\"]\n[providers.codex]",
                "beyond loopback, and no client keys",
            ),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(expected) && said.contains("Mend: "), "{said}");
        }
        let nowhere = parse("f", "[providers.codex]", &|_| None).unwrap_err();
        assert!(nowhere.to_string().contains("export CODEX_HOME"));
    }
}
