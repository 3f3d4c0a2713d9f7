//! Who is signed in. A session is random and known here by its digest only; it ends with its key,
//! with the process, when it was not used for some time, and some time after it began.

use crate::config::Snapshot;
use crate::http::head::RequestHead;
use crate::limits;
use crate::route::operator::Ask;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{Context, SHA256, digest};
use std::collections::HashMap;
use std::time::{Duration, Instant};

const COOKIE: &str = "strait_session";
/// Wrong keys after which one has to wait, and how long each is remembered. A key has more bits
/// than anyone can try; this keeps weak ones from being guessed.
const WRONG_MAX: usize = 10;
const WRONG_KEPT: Duration = Duration::from_secs(60);
/// Most sessions; beyond, the one that was longest out of use goes.
const SESSIONS_MAX: usize = 256;

type Digest = [u8; 32];

struct Session {
    /// The name of its key.
    name: String,
    /// The key's digest.
    key: Digest,
    began: Instant,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.used) > limits::ADMIN_IDLE
            || now.duration_since(self.began) > limits::ADMIN_SESSION
    }
}

/// Why nobody was signed in.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Refused {
    /// It is no admin key.
    Wrong,
    /// Too many were wrong; until when one has to wait.
    TooMany(Duration),
}

/// The sessions there are.
#[derive(Default)]
pub(super) struct Sessions {
    open: HashMap<Digest, Session>,
    /// When wrong keys were presented, oldest first.
    wrong: Vec<Instant>,
}

impl Sessions {
    /// Signs in with a key; gives the cookie.
    pub(super) fn open(&mut self, ask: &Ask, key: &str, now: Instant) -> Result<String, Refused> {
        self.wrong.retain(|at| now.duration_since(*at) < WRONG_KEPT);
        if let (true, Some(first)) = (self.wrong.len() >= WRONG_MAX, self.wrong.first()) {
            let since = now.duration_since(*first);
            return Err(Refused::TooMany(WRONG_KEPT.saturating_sub(since)));
        }
        let known = ask.snapshot.authorize(Some(key), ask.unix_s);
        let Some(admin) = known.ok().flatten().filter(|key| key.admin) else {
            self.wrong.push(now);
            return Err(Refused::Wrong);
        };
        self.make_room(now);
        let token = token(&ask.entropy);
        let session = Session {
            name: admin.name.clone(),
            key: sha256(key),
            began: now,
            used: now,
        };
        self.open.insert(sha256(&token), session);
        let age = limits::ADMIN_SESSION.as_secs();
        Ok(cookie(&ask.head, &token, age))
    }

    fn make_room(&mut self, now: Instant) {
        self.open.retain(|_, session| !session.is_over(now));
        while self.open.len() >= SESSIONS_MAX {
            let oldest = self.open.iter().min_by_key(|(_, session)| session.used);
            let Some(id) = oldest.map(|(id, _)| *id) else {
                return;
            };
            self.open.remove(&id);
        }
    }

    /// The name of the key that a request's session was opened with, if both are still good.
    pub(super) fn find(
        &mut self,
        head: &RequestHead,
        snapshot: &Snapshot,
        unix_s: u64,
        now: Instant,
    ) -> Option<&str> {
        let id = sha256(presented(head)?);
        let session = self.open.get(&id)?;
        let key = snapshot.recognise(&session.key, unix_s);
        if !key.is_ok_and(|key| key.admin) || session.is_over(now) {
            self.open.remove(&id);
            return None;
        }
        let session = self.open.get_mut(&id)?;
        session.used = now;
        Some(&session.name)
    }

    /// Signs out; gives the cookie that takes the other one away.
    pub(super) fn close(&mut self, head: &RequestHead) -> String {
        if let Some(token) = presented(head) {
            self.open.remove(&sha256(token));
        }
        cookie(head, "", 0)
    }
}

fn token(entropy: &[u8; 32]) -> String {
    let mut context = Context::new(&SHA256);
    context.update(b"strait admin session v1");
    context.update(entropy);
    URL_SAFE_NO_PAD.encode(context.finish())
}

fn sha256(text: &str) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    out
}

fn presented(head: &RequestHead) -> Option<&str> {
    let mut pairs = head
        .headers
        .all("cookie")
        .flat_map(|field| field.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// Only for our pages, never for a script or a page from elsewhere. Which scheme the browser sees,
/// a proxy before us included, its form's origin says.
fn cookie(head: &RequestHead, token: &str, age_s: u64) -> String {
    let origin = head.headers.get("origin").unwrap_or_default();
    let secure = match origin.starts_with("https://") {
        true => "; Secure",
        false => "",
    };
    format!("{COOKIE}={token}; Path=/admin; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}")
}
