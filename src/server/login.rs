//! Logins: read for every request, refreshed once however many wait.
//!
//! One thread a login does all of it in turn, so that no worker waits for a disk or a lock, and
//! who asks while a refresh is under way finds it done. Between processes a lock beside the file
//! does the same. The Codex CLI takes no such lock, but reads the file again before it refreshes;
//! so does this, and where Codex was first all the same, what it wrote is waited for.

mod file;

use super::journal::Journal;
use super::post::Post;
use super::resolve::Resolver;
use super::wire::Local;
use crate::auth::chatgpt::{AuthFile, Credential, Freshness, Reason, RefreshError, read_answer};
use crate::auth::secret::Secret;
use crate::config::{Login, Snapshot};
use crate::error::{Error, Kind, Source};
use crate::limits;
use crate::route::exchange::Ask;
use file::Replacement;
use futures_channel::oneshot;
use rustls::ClientConfig;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

type Answer = Result<Credential, Error>;

/// Pause between two looks at a file that another process is about to write.
const LOOK_EVERY: Duration = Duration::from_millis(50);

struct Question {
    refused: Option<Secret>,
    post: Arc<Post>,
    answer: oneshot::Sender<Answer>,
}

/// A login, and the way to its thread; `None` ends it.
type Door = (Arc<Login>, Sender<Option<Question>>);

/// Where workers ask: the logins of a configuration and of those before it, whose last exchanges
/// may still be under way.
pub(super) struct Desk {
    doors: Vec<Door>,
    /// How a token server is reached.
    post: Arc<Post>,
}

impl Desk {
    /// The credential of a login.
    pub(super) fn ask(&self, ask: Ask) -> Local<Answer> {
        let (answer, receiver) = oneshot::channel();
        let question = Question {
            refused: ask.refused,
            post: self.post.clone(),
            answer,
        };
        let door = self.doors.iter().find(|(login, _)| *login == ask.login);
        if let Some((_, door)) = door {
            // A thread that has gone drops the question, which the receiver sees.
            let _ = door.send(Some(question));
        }
        Box::pin(async move { receiver.await.unwrap_or_else(|_| Err(stopped())) })
    }
}

/// The threads, all ended and waited for by [`Logins::finish`].
pub(super) struct Logins {
    resolver: Resolver,
    journal: Journal,
    doors: Vec<Door>,
    threads: Vec<JoinHandle<()>>,
}

impl Logins {
    /// No login yet.
    pub(super) fn new(resolver: Resolver, journal: Journal) -> Self {
        Logins {
            resolver,
            journal,
            doors: Vec::new(),
            threads: Vec::new(),
        }
    }

    /// Starts a thread for each login of the configuration that has none yet.
    pub(super) fn open(
        &mut self,
        snapshot: &Snapshot,
        tls: &Arc<ClientConfig>,
    ) -> io::Result<Desk> {
        let post = Arc::new(Post {
            tls: tls.clone(),
            resolver: self.resolver.clone(),
            connect: snapshot.timeouts.connect,
        });
        for login in snapshot.providers.values().filter_map(|p| p.login.as_ref()) {
            if self.doors.iter().any(|(known, _)| known == login) {
                continue;
            }
            let (door, questions) = channel();
            let keeper = Keeper {
                login: login.clone(),
                post: post.clone(),
                journal: self.journal.clone(),
                failure: None,
                unwritten: None,
            };
            let thread = std::thread::Builder::new()
                .name("strait-login".to_owned())
                .spawn(move || keeper.run(&questions))?;
            self.doors.push((login.clone(), door));
            self.threads.push(thread);
        }
        Ok(Desk {
            doors: self.doors.clone(),
            post,
        })
    }

    /// Ends the threads. A refresh that is under way is waited for: its tokens are written, or
    /// the login would be lost.
    pub(super) fn finish(self) {
        for (_, door) in &self.doors {
            let _ = door.send(None);
        }
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// A refresh that failed, and for how long that is the answer.
struct Failure {
    /// The access token that was to be replaced.
    token: Secret,
    error: Error,
    /// `None`: for as long as the file holds this token.
    until: Option<Instant>,
}

/// New tokens that could not be written.
struct Unwritten {
    /// The refresh token that they were given for.
    spent: Secret,
    bytes: Vec<u8>,
}

/// What a thread knows of its login.
struct Keeper {
    login: Arc<Login>,
    /// The way to the token server of whoever asked last.
    post: Arc<Post>,
    journal: Journal,
    failure: Option<Failure>,
    unwritten: Option<Unwritten>,
}

impl Keeper {
    fn run(mut self, questions: &Receiver<Option<Question>>) {
        while let Ok(Some(question)) = questions.recv() {
            if !question.answer.is_canceled() {
                self.post = question.post;
                let answer = self.answer(question.refused.as_ref());
                let _ = question.answer.send(answer);
            }
        }
    }

    fn answer(&mut self, refused: Option<&Secret>) -> Answer {
        let login = self.read()?;
        let Some(reason) = reason(&login, refused) else {
            return Ok(login.credential().clone());
        };
        match self.refresh(&login, refused, reason) {
            Ok(login) => Ok(login.credential().clone()),
            // It is good for some minutes yet, and the next request tries again.
            Err(_) if refused.is_none() && login.freshness(now()) != Freshness::Expired => {
                Ok(login.credential().clone())
            }
            Err(error) => Err(error),
        }
    }

    /// The login as it stands in the file, or as it would if it could be written.
    fn read(&mut self) -> Result<AuthFile, Error> {
        let path = &self.login.file;
        let bytes = file::read(path).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => unusable("does not exist"),
            _ => unusable(&format!("cannot be read: {}", e.kind())),
        })?;
        let login = AuthFile::parse(&bytes).map_err(|e| unusable(&e.to_string()))?;
        let Some(held) = self.unwritten.take() else {
            return Ok(login);
        };
        let same = |token: &Secret| token.expose() == held.spent.expose();
        if !login.refresh_token().is_some_and(same) {
            return Ok(login);
        }
        let held_login = AuthFile::parse(&held.bytes).map_err(|e| unusable(&e.to_string()))?;
        if let Err(e) = Replacement::begin(path).and_then(|r| r.commit(&held.bytes)) {
            self.say(&format!("still cannot be written: {e}"));
            self.unwritten = Some(held);
        }
        Ok(held_login)
    }

    fn refresh(
        &mut self,
        login: &AuthFile,
        refused: Option<&Secret>,
        reason_now: Reason,
    ) -> Result<AuthFile, Error> {
        let failure = self.failure.as_ref();
        if let Some(failure) = failure.filter(|f| {
            login.presents(&f.token) && f.until.is_none_or(|until| until > Instant::now())
        }) {
            return Err(failure.error.clone());
        }
        self.failure = None;
        let result = self.refresh_locked(refused, reason_now);
        if let Err((error, until)) = result {
            self.say(&error.message);
            self.failure = Some(Failure {
                token: login.credential().access_token.clone(),
                error: error.clone(),
                until,
            });
            return Err(error);
        }
        result.map_err(|(error, _)| error)
    }

    /// Asks the token server.
    fn ask(&self, body: &[u8]) -> Result<(u16, Vec<u8>), String> {
        let Login { origin, path, .. } = &*self.login;
        let agent = concat!("strait/", env!("CARGO_PKG_VERSION"));
        let fields = [("originator", "strait"), ("user-agent", agent)];
        let limit = limits::LOGIN_REFRESH_TIMEOUT;
        self.post.send(origin, path, &fields, body, limit)
    }

    /// The error says until when it is the answer.
    fn refresh_locked(
        &mut self,
        refused: Option<&Secret>,
        reason_now: Reason,
    ) -> Result<AuthFile, (Error, Option<Instant>)> {
        let soon = || Some(Instant::now() + limits::LOGIN_RETRY_AFTER);
        let later = |why: &str| (unavailable(why), soon());
        let path = self.login.file.clone();
        let _lock = file::lock(&path, limits::LOGIN_LOCK_MAX).map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => later("another process holds its lock"),
            _ => (unwritable(&e), soon()),
        })?;
        // Whoever held the lock may have done it.
        let login = self.read().map_err(|error| (error, soon()))?;
        if reason(&login, refused).is_none() {
            return Ok(login);
        }
        let asked = login.refresh_request(&self.login.client_id, reason_now);
        let (Some(asked), Some(spent)) = (asked, login.refresh_token()) else {
            return Err((ended("it holds no refresh token"), None));
        };
        // Before the token is spent, so that what is given for it can be kept.
        let replacement = Replacement::begin(&path).map_err(|e| (unwritable(&e), soon()))?;
        let (status, answer) = self.ask(&asked).map_err(|e| later(&e))?;
        let tokens = match read_answer(status, &answer) {
            Ok(tokens) => tokens,
            Err(RefreshError::Unavailable(why)) => return Err(later(&why)),
            Err(RefreshError::Ended(code)) => {
                return self.others(spent, refused).ok_or((ended(&code), None));
            }
        };
        let bytes = login.refreshed(&tokens, now());
        if let Err(e) = replacement.commit(&bytes) {
            self.say(&format!("cannot be written, and is kept in memory: {e}"));
            self.unwritten = Some(Unwritten {
                spent: spent.clone(),
                bytes: bytes.clone(),
            });
        }
        let login = AuthFile::parse(&bytes).map_err(|e| (unusable(&e.to_string()), soon()))?;
        self.say("refreshed");
        Ok(login)
    }

    /// Our refresh token was spent already. If another program did it, its tokens are about to
    /// be written.
    fn others(&mut self, spent: &Secret, refused: Option<&Secret>) -> Option<AuthFile> {
        let until = Instant::now() + limits::LOGIN_OTHERS_WRITE;
        loop {
            let login = self.read().ok();
            let another = login.filter(|login| {
                let token = login.refresh_token();
                token.is_some_and(|t| t.expose() != spent.expose())
                    && reason(login, refused).is_none()
            });
            if another.is_some() || Instant::now() >= until {
                return another;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    fn say(&self, what: &str) {
        let path = self.login.file.display();
        self.journal.info(|| format!("login {path}: {what}"));
    }
}

/// Why a login has to be refreshed now, if it has to.
fn reason(login: &AuthFile, refused: Option<&Secret>) -> Option<Reason> {
    if refused.is_some_and(|token| login.presents(token)) {
        return Some(Reason::Refused);
    }
    (login.freshness(now()) != Freshness::Fresh).then_some(Reason::Expiry)
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The file is of no use.
fn unusable(what: &str) -> Error {
    let message = format!(
        "The ChatGPT login cannot be used: auth.json {what}. Run `codex login` on the gateway's machine."
    );
    Error::new(Source::Gateway, Kind::ProviderAuth, message)
}

/// New tokens could not be kept, so none are asked for.
fn unwritable(error: &io::Error) -> Error {
    let message = format!(
        "The ChatGPT login has to be refreshed, but auth.json cannot be written: {}. Make its \
         directory writable for the gateway, or run `codex login`.",
        error.kind()
    );
    Error::new(Source::Gateway, Kind::ProviderAuth, message)
}

/// The login has to be made anew. Codex shows a 400 at once, and retries what blames a key.
fn ended(code: &str) -> Error {
    let message = format!(
        "The ChatGPT login has ended ({code}). Run `codex login` on the gateway's machine."
    );
    Error::new(Source::Upstream, Kind::ProviderAuth, message)
}

/// Trying again later may help.
fn unavailable(why: &str) -> Error {
    let message = format!(
        "The ChatGPT login has to be refreshed, and could not be: {why}. If that lasts, run `codex login`."
    );
    Error::new(Source::Upstream, Kind::ConnectFailed, message)
}

fn stopped() -> Error {
    let message = "The gateway is shutting down; try again.";
    Error::new(Source::Gateway, Kind::Draining, message)
}
