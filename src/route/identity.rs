//! Who asks: the credential, the program and the conversation, as header fields of a request.

use super::prepare::Order;
use super::trace;
use crate::auth::chatgpt::Credential;
use crate::auth::secret::SealKey;
use crate::http::head::RequestHead;
use crate::json::{Value, write};
use ring::digest;

/// What Strait calls itself.
const NAME: &str = "strait";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// How it says so where nobody else is named.
const AGENT: &str = concat!("\r\nuser-agent: strait/", env!("CARGO_PKG_VERSION"));
/// What Codex calls itself begins so.
const CODEX: &str = "codex";
/// Longest name of a conversation that is passed on as it is.
const SESSION_BYTES_MAX: usize = 128;

/// Whether the client is the Codex CLI, by what it says of itself.
pub fn is_codex(head: &RequestHead) -> bool {
    let originator = head.headers.get("originator");
    originator.is_some_and(|o| o.starts_with(CODEX))
}

/// Appends the fields, each behind a line end; the last one is open.
pub(super) fn write(out: &mut Vec<u8>, order: &Order<'_>) {
    let provider = &order.target.provider;
    let profile = &provider.profile;
    if let Some(own) = order.key.and_then(|place| provider.keys.get(place)) {
        let value = [&profile.auth_prefix, own.key.expose()];
        field(out, &profile.auth_header, &value);
    }
    if let Some(credential) = order.credential {
        login(out, credential);
    }
    for (name, value) in &profile.headers {
        field(out, name, &[value]);
    }
    let headers = &order.head.headers;
    trace::write(out, headers, order.trace);
    let codex = profile.originator && is_codex(order.head);
    let own = codex.then(|| headers.get("user-agent")).flatten();
    match own {
        Some(agent) => field(out, "user-agent", &[agent]),
        None => out.extend_from_slice(AGENT.as_bytes()),
    }
    if profile.originator {
        program(out, order.head, own);
    }
    if !profile.headers_forward.is_empty() {
        for (name, value) in headers.iter().filter(|(name, _)| profile.forwards(name)) {
            field(out, name, &[value]);
        }
    }
    let session = profile.session_header.as_str();
    let told = profile.forwards(session) && headers.get(session).is_some();
    if !session.is_empty() && !told {
        let name = session_of(order.request, &order.snapshot.seal_key);
        field(out, session, &[&name]);
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &[&str]) {
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    for part in value {
        out.extend_from_slice(part.as_bytes());
    }
}

fn login(out: &mut Vec<u8>, credential: &Credential) {
    let token = credential.access_token.expose();
    field(out, "authorization", &["Bearer ", token]);
    if let Some(account) = &credential.account_id {
        field(out, "chatgpt-account-id", &[account]);
    }
}

/// The program that asks, under its own name: nobody is passed off as somebody else.
fn program(out: &mut Vec<u8>, head: &RequestHead, codex_agent: Option<&str>) {
    let Some(originator) = head.headers.get("originator").filter(|_| is_codex(head)) else {
        field(out, "originator", &[NAME]);
        return field(out, "version", &[VERSION]);
    };
    field(out, "originator", &[originator]);
    // Codex says its version in a field of its own only to its own provider; it always stands
    // in the user agent, as in `codex_exec/0.169.0 (…)`.
    let product = codex_agent.and_then(|agent| agent.split(' ').next()?.split_once('/'));
    let version = head.headers.get("version").or(product.map(|(_, v)| v));
    if let Some(version) = version {
        field(out, "version", &[version]);
    }
}

/// The conversation that the request belongs to: the session as Codex names it, or the older Codex
/// and others in their way, or [`session_of`].
pub(super) fn conversation(head: &RequestHead, request: Value<'_>, key: &SealKey) -> String {
    let names = ["session-id", "session_id"];
    let named = names.iter().find_map(|name| head.headers.get(name));
    match named.filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => session_of(request, key),
    }
}

/// The conversation's name, for a client that gives none: its cache key; else what follows from
/// how the conversation begins, which stays the same while it grows. Keyed, so that it says
/// nothing of the content.
fn session_of(request: Value<'_>, key: &SealKey) -> String {
    if let Some(given) = request.str("prompt_cache_key") {
        let given = given.text();
        let legal = given.len() <= SESSION_BYTES_MAX && !given.is_empty();
        if legal && given.bytes().all(|b| b.is_ascii_graphic()) {
            return given.into_owned();
        }
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(key.expose());
    for name in ["prompt_cache_key", "instructions"] {
        let value = request.present(name);
        context.update(value.map_or(b"null".as_slice(), |v| v.raw()));
    }
    let turns = request.present("input").or(request.present("messages"));
    if let Some(text) = turns.and_then(|t| t.as_str()) {
        context.update(text.raw());
    }
    // Up to the first turn of the user: prompts alone are the same for everyone.
    for turn in turns.iter().flat_map(|t| t.items()) {
        context.update(turn.raw());
        if turn.str("role").is_some_and(|role| role == "user") {
            break;
        }
    }
    uuid(context.finish().as_ref())
}

/// A UUID of version 8, whose bits are ours to choose (RFC 9562, section 5.8).
fn uuid(digest: &[u8]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut name = String::with_capacity(36);
    for (i, group) in [4, 2, 2, 2, 6].into_iter().enumerate() {
        let from = [0, 4, 6, 8, 10][i];
        if i > 0 {
            name.push('-');
        }
        write::hex(&mut name, &bytes[from..from + group]);
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Tape;

    fn session(body: &str) -> String {
        let mut tape = Tape::new();
        let request = tape.parse(body.as_bytes()).unwrap();
        session_of(request, &SealKey::new([7; 32]))
    }

    #[test]
    fn a_conversation_keeps_its_name_while_it_grows() {
        let begin = r#"{"instructions":"i","input":[{"role":"developer","content":"d"},{"role":"user","content":"q"}"#;
        let one = session(&format!("{begin}]}}"));
        let two = session(&format!(
            r#"{begin},{{"type":"message","role":"assistant"}},{{"role":"user","content":"r"}}]}}"#
        ));
        assert_eq!(one, two);
        assert_eq!((one.len(), &one[14..15]), (36, "8"));
        assert_ne!(one, session(r#"{"input":[{"role":"user","content":"q"}]}"#));
        let chat = |text: &str| {
            session(&format!(
                r#"{{"messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"{text}"}}]}}"#
            ))
        };
        assert_ne!(chat("a"), chat("b"));
        assert_ne!(session(r#"{"input":"a"}"#), session(r#"{"input":"b"}"#));
    }

    #[test]
    fn a_cache_key_is_the_name_where_a_header_can_carry_it() {
        assert_eq!(session(r#"{"prompt_cache_key":"k-1"}"#), "k-1");
        for odd in ["a b", "a\\r\\nx: y", "é", ""] {
            let name = session(&format!(r#"{{"prompt_cache_key":"{odd}"}}"#));
            assert_eq!(name.len(), 36, "{odd}");
        }
    }
}
