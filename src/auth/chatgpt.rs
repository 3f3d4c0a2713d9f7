//! The ChatGPT login that `codex login` keeps in `auth.json`, pure: what the file says, whether
//! its access token is still good, how it is refreshed, and what the file says then.
//!
//! ```text
//! bytes ─▶ AuthFile ─▶ Credential                            while the token is fresh
//!             └─▶ refresh_request ─▶ token URL ─▶ read_answer ─▶ refreshed ─▶ new bytes
//! ```
//!
//! A refresh token works once: the answer to a refresh holds the next one, and whoever comes
//! second with the old one has to log in again. So who refreshes holds a lock, reads the file
//! again before, and never loses what it was given; that is the shell's part (`server::login`).

use super::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;

/// Seconds before its end from which on a token is refreshed, as the Codex CLI does
/// (openai/codex#23546).
pub const REFRESH_EARLY_S: u64 = 300;
/// The claim of a token that tells the account, as an object with `chatgpt_account_id`.
const CLAIM: &str = "https://api.openai.com/auth";
/// Longest account id that is believed.
const ACCOUNT_ID_BYTES_MAX: usize = 128;
/// Codes of a refused refresh that no repetition mends: those of the token server, and OAuth's
/// own (RFC 6749, section 5.2).
const FINAL: [&str; 5] = [
    "invalid_grant",
    "invalid_token",
    "refresh_token_expired",
    "refresh_token_invalidated",
    "refresh_token_reused",
];

/// What a request carries to say whose it is.
#[derive(Clone, Debug)]
pub struct Credential {
    /// The bearer token.
    pub access_token: Secret,
    /// The account that it is for, where the login tells.
    pub account_id: Option<String>,
}

/// Why a file cannot be used. What it holds is in none of these.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileError {
    /// It is no JSON object.
    NotJson,
    /// It holds no access token, or none that a header can carry.
    NoToken,
    /// It is a login of another kind, such as an API key.
    OtherMode(String),
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::NotJson => f.write_str("is no JSON object"),
            FileError::NoToken => f.write_str("holds no usable access token"),
            FileError::OtherMode(mode) => {
                write!(f, "is a login of the kind {mode:?}, not \"chatgpt\"")
            }
        }
    }
}

/// How much longer a token is good.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Freshness {
    /// It is good, as far as can be known.
    Fresh,
    /// It is good for less than [`REFRESH_EARLY_S`].
    Ending,
    /// It has run out.
    Expired,
}

/// Why a refresh is asked for, in the token server's words.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// The token has run out, or soon will.
    Expiry,
    /// The backend refused a token that seemed fresh.
    Refused,
}

/// A login as it stands in the file; members that are not known here are kept.
#[derive(Clone)]
pub struct AuthFile {
    document: Map<String, Value>,
    credential: Credential,
    refresh_token: Option<Secret>,
    expires_at: Option<u64>,
}

impl fmt::Debug for AuthFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthFile")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl AuthFile {
    /// Reads the file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<AuthFile, FileError> {
        let document: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|_| FileError::NotJson)?;
        if let Some(mode) = other_mode(&document) {
            return Err(FileError::OtherMode(mode));
        }
        let token = |name: &str| document.get("tokens")?.get(name)?.as_str();
        let access = token("access_token").filter(|t| is_field_text(t));
        let access = access.ok_or(FileError::NoToken)?;
        let claims = [token("id_token"), Some(access)];
        let account = token("account_id").map(str::to_owned).or_else(|| {
            let mut claims = claims.iter().flatten().filter_map(|t| claims_of(t));
            claims.find_map(|c| {
                Some(
                    c.get(CLAIM)?
                        .get("chatgpt_account_id")?
                        .as_str()?
                        .to_owned(),
                )
            })
        });
        Ok(AuthFile {
            credential: Credential {
                access_token: Secret::new(access),
                account_id: account.filter(|a| is_field_text(a) && a.len() <= ACCOUNT_ID_BYTES_MAX),
            },
            refresh_token: token("refresh_token")
                .filter(|t| !t.is_empty())
                .map(Secret::new),
            expires_at: claims_of(access).and_then(|c| c.get("exp")?.as_u64()),
            document,
        })
    }

    /// What a request carries.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// When the access token runs out, in Unix seconds; `None` where it does not tell.
    pub fn expires_at(&self) -> Option<u64> {
        self.expires_at
    }

    /// How much longer the access token is good at `now`, in Unix seconds. One that does not tell
    /// is fresh until it is refused.
    pub fn freshness(&self, now: u64) -> Freshness {
        match self.expires_at {
            Some(end) if end <= now => Freshness::Expired,
            Some(end) if end - now <= REFRESH_EARLY_S => Freshness::Ending,
            _ => Freshness::Fresh,
        }
    }

    /// Whether its access token is `token`.
    pub fn presents(&self, token: &Secret) -> bool {
        self.credential.access_token.expose() == token.expose()
    }

    /// What the next refresh spends; `None` where the login cannot be refreshed.
    pub fn refresh_token(&self) -> Option<&Secret> {
        self.refresh_token.as_ref()
    }

    /// The body of the request for the next tokens, as JSON; `None` where there is no refresh
    /// token.
    pub fn refresh_request(&self, client_id: &str, reason: Reason) -> Option<Vec<u8>> {
        let reason = match reason {
            Reason::Expiry => "proactive_expiry",
            Reason::Refused => "unauthorized_recovery",
        };
        let body = serde_json::json!({
            "client_id": client_id,
            "grant_type": "refresh_token",
            "refresh_reason": reason,
            "refresh_token": self.refresh_token.as_ref()?.expose(),
        });
        Some(body.to_string().into_bytes())
    }

    /// The file's bytes with `tokens` in it, at `now` in Unix seconds; all else is as it was.
    pub fn refreshed(&self, tokens: &Tokens, now: u64) -> Vec<u8> {
        let mut document = self.document.clone();
        let members = [
            ("id_token", &tokens.id_token),
            ("access_token", &Some(tokens.access_token.clone())),
            ("refresh_token", &tokens.refresh_token),
        ];
        // It was an object when it was read: that is where the access token stood.
        if let Some(Value::Object(inner)) = document.get_mut("tokens") {
            for (name, token) in members {
                if let Some(token) = token {
                    inner.insert(name.to_owned(), token.expose().into());
                }
            }
        }
        document.insert("last_refresh".to_owned(), rfc3339(now).into());
        let mut bytes = format!("{:#}", Value::Object(document)).into_bytes();
        bytes.push(b'\n');
        bytes
    }
}

/// What a refresh gives.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The next access token.
    pub access_token: Secret,
    /// The next refresh token; `None`: the old one stays.
    pub refresh_token: Option<Secret>,
    /// The next id token; `None`: the old one stays.
    pub id_token: Option<Secret>,
}

/// Why there are no new tokens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum RefreshError {
    /// The login has ended: only another one helps. The server's code, or what stands for it.
    Ended(String),
    /// The server cannot say now; in words.
    Unavailable(String),
}

/// Reads the token server's answer. Nothing that it says but a code is passed on: it may repeat
/// the token.
pub fn read_answer(status: u16, body: &[u8]) -> Result<Tokens, RefreshError> {
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    if !(200..300).contains(&status) {
        let code = code_of(&answer);
        let ended = status == 401 || code.as_deref().is_some_and(|c| FINAL.contains(&c));
        let code = code.unwrap_or_else(|| format!("status {status}"));
        return Err(match ended {
            true => RefreshError::Ended(code),
            false => RefreshError::Unavailable(format!("it answered {code}")),
        });
    }
    let token = |name: &str| {
        let text = answer.get(name)?.as_str()?;
        is_field_text(text).then(|| Secret::new(text))
    };
    match token("access_token") {
        Some(access_token) => Ok(Tokens {
            access_token,
            refresh_token: token("refresh_token"),
            id_token: token("id_token"),
        }),
        None => Err(RefreshError::Unavailable(
            "its answer holds no access token".to_owned(),
        )),
    }
}

/// `error.code`, `error` or `code`, whichever is a word.
fn code_of(answer: &Value) -> Option<String> {
    let error = answer.get("error");
    let inner = error.and_then(|e| e.get("code"));
    let candidates = [inner, error, answer.get("code")];
    let words = candidates.into_iter().flatten().filter_map(Value::as_str);
    let legal = |c: &&str| {
        let word = c.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        word && (1..=40).contains(&c.len())
    };
    words.into_iter().find(legal).map(str::to_owned)
}

/// The kind of login, if it is not the one that is served here. Older files do not say; then a
/// key in them is what counts.
fn other_mode(document: &Map<String, Value>) -> Option<String> {
    match document.get("auth_mode").and_then(Value::as_str) {
        Some("chatgpt") => None,
        Some(mode) => Some(mode.chars().take(32).collect()),
        None => {
            let key = document.get("OPENAI_API_KEY").and_then(Value::as_str);
            key.filter(|k| !k.is_empty()).map(|_| "apikey".to_owned())
        }
    }
}

/// The claims of a JSON Web Token (RFC 7519, section 3). Its signature is for the backend to
/// judge: here they only say when to refresh, and for whom.
fn claims_of(token: &str) -> Option<Map<String, Value>> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

/// Whether `text` can be the value of a header field: not empty, visible ASCII only.
fn is_field_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// Unix seconds as RFC 3339 has them, in UTC.
pub fn rfc3339(unix_s: u64) -> String {
    // Days since 0000-03-01 in eras of 400 years, each of 146097 days: March first, so that a
    // leap day is a year's last.
    let days = unix_s / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 {
        (month + 3, 0)
    } else {
        (month - 9, 1)
    };
    let year = era * 400 + year + carry;
    let s = unix_s % 86_400;
    let (hour, minute, second) = (s / 3600, s / 60 % 60, s % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
#[path = "chatgpt_tests.rs"]
mod tests;
