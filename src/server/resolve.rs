//! Names become addresses, away from the workers: `getaddrinfo` blocks.

use super::driver::phrase;
use crate::limits;
use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Threads that wait for the system's resolver: one slow name does not stop the others.
const THREADS: usize = 2;
/// Names remembered per worker: those of the configuration, so never many.
const NAMES_MAX: usize = 256;

/// Addresses in the order in which to try them, or why there are none.
pub(super) type Answer = Result<Rc<[IpAddr]>, Rc<str>>;

type Found = Result<Vec<IpAddr>, String>;

struct Question {
    host: String,
    answer: oneshot::Sender<Found>,
}

/// The threads; shared by all workers. They end when the last handle is dropped.
#[derive(Clone)]
pub(super) struct Resolver {
    questions: Sender<Question>,
}

impl Resolver {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Self> {
        Self::with(|host| {
            let found = (host, 0).to_socket_addrs().map_err(|e| phrase(&e))?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn with(lookup: fn(&str) -> Found) -> io::Result<Self> {
        let (questions, receiver) = channel();
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let receiver = receiver.clone();
            std::thread::Builder::new()
                .name("strait-dns".to_owned())
                .spawn(move || answer_all(&receiver, lookup))?;
        }
        Ok(Resolver { questions })
    }

    async fn ask(&self, host: &str) -> Found {
        let (answer, receiver) = oneshot::channel();
        let question = Question {
            host: host.to_owned(),
            answer,
        };
        let gone = || "the resolver has stopped".to_owned();
        self.questions.send(question).map_err(|_| gone())?;
        receiver.await.unwrap_or_else(|_| Err(gone()))
    }
}

fn answer_all(questions: &Mutex<Receiver<Question>>, lookup: fn(&str) -> Found) {
    loop {
        // The lock is held while waiting: the other thread waits for the lock instead.
        let question = questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(question) = question else { return };
        let mut found = lookup(&question.host);
        if let Ok(addresses) = &mut found {
            addresses.dedup();
            if addresses.is_empty() {
                found = Err("the name has no address".to_owned());
            }
        }
        let _ = question.answer.send(found);
    }
}

enum Entry {
    Known { answer: Answer, until: Instant },
    Asked(Vec<oneshot::Sender<Answer>>),
}

/// What one worker remembers.
pub(super) struct Cache {
    resolver: Resolver,
    entries: RefCell<HashMap<String, Entry>>,
}

impl Cache {
    pub(super) fn new(resolver: Resolver) -> Self {
        Cache {
            resolver,
            entries: RefCell::new(HashMap::new()),
        }
    }

    /// The addresses of `host`, which may be an address itself.
    pub(super) async fn resolve(self: &Rc<Self>, host: &str) -> Answer {
        if let Some(addresses) = without_asking(host) {
            return Ok(addresses);
        }
        let (sender, receiver) = oneshot::channel();
        if let Some(answer) = self.known_or_wait(host, sender) {
            return answer;
        }
        receiver
            .await
            .unwrap_or_else(|_| Err("the look-up was lost".into()))
    }

    /// The answer if it is known and fresh; else `waiter` gets it.
    fn known_or_wait(
        self: &Rc<Self>,
        host: &str,
        waiter: oneshot::Sender<Answer>,
    ) -> Option<Answer> {
        let mut entries = self.entries.borrow_mut();
        match entries.get_mut(host) {
            Some(Entry::Known { answer, until }) if *until > Instant::now() => {
                return Some(answer.clone());
            }
            Some(Entry::Asked(waiting)) => {
                waiting.push(waiter);
                return None;
            }
            _ => {}
        }
        if entries.len() >= NAMES_MAX {
            entries.retain(|_, entry| matches!(entry, Entry::Asked(_)));
        }
        entries.insert(host.to_owned(), Entry::Asked(vec![waiter]));
        drop(entries);
        self.look_up(host);
        None
    }

    /// A task of its own, so that it ends well when the first to ask has gone.
    fn look_up(self: &Rc<Self>, host: &str) {
        let cache = self.clone();
        let host = host.to_owned();
        monoio::spawn(async move {
            let found = cache.resolver.ask(&host).await;
            let ttl = match &found {
                Ok(_) => limits::RESOLVE_TTL,
                Err(_) => limits::RESOLVE_FAILED_TTL,
            };
            let answer: Answer = match found {
                Ok(addresses) => Ok(addresses.into()),
                Err(why) => Err(why.into()),
            };
            let known = Entry::Known {
                answer: answer.clone(),
                until: Instant::now() + ttl,
            };
            let before = cache.entries.borrow_mut().insert(host, known);
            if let Some(Entry::Asked(waiting)) = before {
                for one in waiting {
                    let _ = one.send(answer.clone());
                }
            }
        });
    }
}

/// Addresses, and `localhost`, which is never asked for (RFC 6761).
fn without_asking(host: &str) -> Option<Rc<[IpAddr]>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Some(Rc::new([
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]));
    }
    let address: IpAddr = host.parse().ok()?;
    Some(Rc::new([address]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::driver::{self, DriverKind};
    use std::sync::atomic::{AtomicU32, Ordering};

    static ASKED: AtomicU32 = AtomicU32::new(0);

    fn lookup(host: &str) -> Found {
        ASKED.fetch_add(1, Ordering::SeqCst);
        match host {
            "good.test" => Ok(vec![IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))]),
            "empty.test" => Ok(Vec::new()),
            _ => Err("no such name".to_owned()),
        }
    }

    #[test]
    fn literals_need_no_question() {
        for host in ["127.0.0.1", "::1", "localhost", "LocalHost"] {
            assert!(without_asking(host).is_some(), "{host}");
        }
        assert!(without_asking("example.test").is_none());
    }

    #[test]
    fn answers_are_shared_and_remembered() {
        for kind in [DriverKind::Epoll, DriverKind::IoUring] {
            let Ok(mut built) = driver::build(Some(kind)) else {
                continue;
            };
            ASKED.store(0, Ordering::SeqCst);
            built.runtime.block_on(async {
                let cache = Rc::new(Cache::new(Resolver::with(lookup).unwrap()));
                let other = cache.clone();
                let task = monoio::spawn(async move { other.resolve("good.test").await });
                let first = cache.resolve("good.test").await.unwrap();
                assert_eq!(first, task.await.unwrap());
                assert_eq!(first, cache.resolve("good.test").await.unwrap());
                assert_eq!(ASKED.load(Ordering::SeqCst), 1);
                assert!(cache.resolve("empty.test").await.is_err());
                let why = cache.resolve("bad.test").await.unwrap_err();
                assert_eq!(&*why, "no such name");
            });
        }
    }
}
