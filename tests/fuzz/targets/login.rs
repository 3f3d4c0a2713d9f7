//! `auth::chatgpt` on an arbitrary `auth.json` and an arbitrary answer of the token server (split
//! at the first NUL): never panics; what it takes for a credential fits in a header; no `Debug`
//! shows more than that there is a token; and what a refresh writes is the same file with the new
//! tokens.

use strait_fuzz::fuzz_target;
use serde_json::Value as Json;
use strait::auth::chatgpt::{AuthFile, FileError, Freshness, Reason, RefreshError, read_answer};

const STATUSES: [u16; 6] = [200, 201, 400, 401, 403, 500];
const NOW: u64 = 1_795_207_653;

fn header_text(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

fuzz_target!(|data: &[u8]| {
    let cut = data.iter().position(|b| *b == 0).unwrap_or(data.len());
    let (file, answer) = (&data[..cut], data.get(cut + 1..).unwrap_or_default());
    let status = STATUSES[strait_fuzz::digest(data) as usize % STATUSES.len()];
    let tokens = read_answer(status, answer);
    match &tokens {
        Err(RefreshError::Ended(said) | RefreshError::Unavailable(said)) => {
            // A code is a word of its own, so it is passed on whatever it says.
            assert!(!said.is_empty() && said.len() <= 64);
        }
        Ok(tokens) => {
            assert!((200..300).contains(&status) && header_text(tokens.access_token.expose()));
            let secret = |there: bool| if there { "Some(Secret(…))" } else { "None" };
            let (refresh, id) = (&tokens.refresh_token, &tokens.id_token);
            let shown = format!(
                "Tokens {{ access_token: Secret(…), refresh_token: {}, id_token: {} }}",
                secret(refresh.is_some()),
                secret(id.is_some())
            );
            assert_eq!(format!("{tokens:?}"), shown);
        }
    }
    let login = match AuthFile::parse(file) {
        Ok(login) => login,
        Err(FileError::OtherMode(mode)) => return assert!(mode.chars().count() <= 32),
        Err(FileError::NoToken | FileError::NotJson) => return,
    };
    let shown = format!("AuthFile {{ expires_at: {:?}, .. }}", login.expires_at());
    assert_eq!(format!("{login:?}"), shown);
    let credential = login.credential();
    assert!(header_text(credential.access_token.expose()));
    assert!(credential.account_id.as_deref().is_none_or(header_text));
    let ended = login.expires_at().is_some_and(|end| end <= NOW);
    assert_eq!(login.freshness(NOW) == Freshness::Expired, ended);
    let asked = login.refresh_request("client", Reason::Expiry);
    assert_eq!(asked.is_some(), login.refresh_token().is_some());
    assert!(asked.is_none_or(|body| strait_fuzz::is_json(&body)));
    let Ok(tokens) = tokens else { return };
    let mut expected: Json = serde_json::from_slice(file).expect("it was read");
    for (name, token) in [
        ("access_token", Some(&tokens.access_token)),
        ("refresh_token", tokens.refresh_token.as_ref()),
        ("id_token", tokens.id_token.as_ref()),
    ] {
        if let Some(token) = token {
            expected["tokens"][name] = token.expose().into();
        }
    }
    expected["last_refresh"] = "2026-11-20T20:47:33Z".into();
    let written = login.refreshed(&tokens, NOW);
    let after: Json = serde_json::from_slice(&written).expect("JSON out of JSON");
    assert_eq!(after, expected);
    let again = AuthFile::parse(&written).expect("a login out of a login");
    assert!(again.presents(&tokens.access_token));
});
