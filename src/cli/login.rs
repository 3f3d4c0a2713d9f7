//! What the commands say of a ChatGPT login: never anything of its tokens.

use crate::auth::chatgpt::{AuthFile, Freshness, rfc3339};
use crate::config::{self, Login, Snapshot};
use std::time::{SystemTime, UNIX_EPOCH};

/// The configuration for who has a login and nothing else.
pub const CONFIG: &str = "[providers.codex]\n";

/// Whether the Codex CLI has left a login.
pub fn is_there(env: &dyn Fn(&str) -> Option<String>) -> bool {
    config::login_file(env).is_some_and(|file| file.exists())
}

/// Says on standard error whose credentials are about to be used: nobody is to wonder.
pub fn announce(snapshot: &Snapshot) {
    for provider in snapshot.providers.values() {
        if let Some(login) = &provider.login {
            eprintln!("strait: provider {} uses {}", provider.name, line(login));
        }
    }
}

/// The login's file, and how it stands.
pub fn line(login: &Login) -> String {
    let path = login.file.display();
    let mend = "Mend: run `codex login`.";
    let bytes = match std::fs::read(&login.file) {
        Ok(bytes) => bytes,
        Err(e) => return format!("login {path}: {}. {mend}", e.kind()),
    };
    let file = match AuthFile::parse(&bytes) {
        Ok(file) => file,
        Err(e) => return format!("login {path}: {e}. {mend}"),
    };
    let account = match &file.credential().account_id {
        Some(id) => format!(" · account {}", tail(id)),
        None => String::new(),
    };
    let end = match file.expires_at() {
        Some(end) => format!(" · token until {}", rfc3339(end)),
        None => String::new(),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let fresh = file.freshness(now.map_or(0, |now| now.as_secs())) == Freshness::Fresh;
    let next = match (fresh, file.refresh_token().is_some()) {
        (true, _) => String::new(),
        (false, true) => ", refreshed on the next request".to_owned(),
        (false, false) => format!(" and no refresh token. {mend}"),
    };
    format!("login {path}{account}{end}{next}")
}

/// The last characters of an account id: enough to tell two apart.
fn tail(id: &str) -> String {
    match id.len() {
        0..8 => "…".to_owned(),
        len => format!("…{}", &id[len - 4..]),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_account_is_named_by_its_end() {
        assert_eq!(super::tail("acc-0123-4567"), "…4567");
        assert_eq!(super::tail("acc"), "…");
    }
}
