//! Where clients come: TCP addresses and Unix sockets.

use super::draft::Draft;
use super::load::{ConfigError, Loader};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

/// Who may connect to a Unix socket unless `?mode=` says otherwise: its owner.
const MODE: u32 = 0o600;

/// One place to listen at: `127.0.0.1:8787`, `unix:/run/strait.sock`, `unix:/run/x?mode=660`, or
/// `unix:@name`, which has no file (unix(7), "abstract").
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listen {
    /// A TCP address; port 0 is any.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Its file; with an `@` in front, the name of one without.
        path: PathBuf,
        /// Who may connect: the permissions of the file.
        mode: u32,
    },
}

impl Listen {
    /// Whether only this machine reaches it: then it may be open to everyone.
    pub fn is_local(&self) -> bool {
        match self {
            Listen::Tcp(address) => address.ip().is_loopback(),
            Listen::Unix { .. } => true,
        }
    }
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some(rest) = text.strip_prefix("unix:") else {
            let address = text.parse().map_err(|_| "is not an address with a port")?;
            return Ok(Listen::Tcp(address));
        };
        let (path, mode) = match rest.split_once("?mode=") {
            None => (rest, Some(MODE)),
            Some((path, mode)) => (path, u32::from_str_radix(mode, 8).ok()),
        };
        let mode = mode.filter(|mode| *mode <= 0o777);
        let named = path.strip_prefix('@').unwrap_or(path);
        if named.is_empty() || path.contains('\0') {
            return Err("names no socket");
        }
        Ok(Listen::Unix {
            path: path.into(),
            mode: mode.ok_or("has a mode that is no octal number up to 777")?,
        })
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::Tcp(address) => address.fmt(f),
            Listen::Unix { path, mode: MODE } => write!(f, "unix:{}", path.display()),
            Listen::Unix { path, mode } => write!(f, "unix:{}?mode={mode:o}", path.display()),
        }
    }
}

impl Loader<'_> {
    /// Where to listen; `open`: there are no client keys.
    pub(super) fn listen(&self, draft: &Draft, open: bool) -> Result<Vec<Listen>, ConfigError> {
        let mut listen: Vec<Listen> = Vec::new();
        // A container is told where to listen by its environment.
        let set = (self.env)("STRAIT_LISTEN").filter(|set| !set.is_empty());
        let mut entries = Vec::new();
        let key = match &set {
            Some(set) => {
                entries.extend(set.split(',').map(|e| (0, e.trim().to_owned())));
                "STRAIT_LISTEN"
            }
            None => {
                for entry in &draft.listen {
                    let at = entry.span().start;
                    entries.push((at, self.expand(at, "listen", entry.get_ref())?));
                }
                "listen"
            }
        };
        for (at, text) in entries {
            let one: Listen = text.parse().map_err(|why| {
                let mend = "write it like \"127.0.0.1:8787\" or \"unix:/run/strait.sock\".";
                self.error(at, key, format!("{text:?} {why}."), mend)
            })?;
            if open && !one.is_local() {
                let what = format!("{one} is beyond loopback, and no client keys are set.");
                let mend = "export STRAIT_MASTER_KEY, add [[keys]], or listen on 127.0.0.1.";
                return Err(self.error(at, key, what, mend));
            }
            let any_port = matches!(one, Listen::Tcp(address) if address.port() == 0);
            if !any_port && listen.contains(&one) {
                let what = format!("{one} is listed twice.");
                return Err(self.error(at, key, what, "list it once."));
            }
            listen.push(one);
        }
        if listen.is_empty() {
            listen.push(Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 8787))));
        }
        Ok(listen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written() {
        for text in [
            "127.0.0.1:8787",
            "[::1]:0",
            "unix:/run/strait.sock",
            "unix:/run/strait.sock?mode=660",
            "unix:@strait",
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for (text, why) in [
            ("localhost:1", "no"),
            ("unix:", "names"),
            ("unix:@", "names"),
            ("unix:/x?mode=9", "mode"),
            ("unix:/x?mode=1777", "mode"),
        ] {
            let said = text.parse::<Listen>().unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    #[test]
    fn what_only_this_machine_reaches_may_be_open() {
        for (text, local) in [
            ("127.0.0.1:1", true),
            ("[::1]:1", true),
            ("unix:/run/x?mode=666", true),
            ("0.0.0.0:1", false),
        ] {
            assert_eq!(text.parse::<Listen>().unwrap().is_local(), local, "{text}");
        }
    }
}
