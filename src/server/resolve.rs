//! Names resolved off the ring: getaddrinfo blocks, so it runs on threads of its own.

use crate::limits;
use futures_channel::oneshot;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

type Answer = Result<Vec<IpAddr>, String>;

struct Question {
    host: String,
    answer: oneshot::Sender<Answer>,
}

/// A handle to the resolving threads.
#[derive(Clone)]
pub(super) struct Resolver {
    questions: mpsc::Sender<Question>,
}

impl Resolver {
    /// Starts the threads; they end with the last handle.
    pub(super) fn start() -> Resolver {
        let (questions, asked) = mpsc::channel::<Question>();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..2 {
            let asked = Arc::clone(&asked);
            std::thread::spawn(move || {
                loop {
                    let next = asked.lock().ok().and_then(|a| a.recv().ok());
                    let Some(Question { host, answer }) = next else {
                        return;
                    };
                    let _ = answer.send(look_up(&host));
                }
            });
        }
        Resolver { questions }
    }
}

fn look_up(host: &str) -> Answer {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => {
            let mut ips: Vec<IpAddr> = addresses.map(|a| a.ip()).collect();
            ips.dedup();
            if ips.is_empty() {
                Err("the name has no address".into())
            } else {
                Ok(ips)
            }
        }
        Err(e) => Err(e.to_string()),
    }
}

/// A worker's memory of names.
pub(super) struct Names {
    resolver: Resolver,
    known: RefCell<HashMap<String, (Answer, Instant)>>,
}

impl Names {
    /// A memory that asks `resolver`.
    pub(super) fn new(resolver: Resolver) -> Names {
        Names {
            resolver,
            known: RefCell::new(HashMap::new()),
        }
    }

    /// The addresses of `host`, from memory where they are fresh.
    pub(super) async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let with_port = |ips: &[IpAddr]| ips.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(with_port(&[ip]));
        }
        let known = self.known.borrow().get(host).cloned();
        if let Some((answer, at)) = known {
            let ttl = match answer {
                Ok(_) => limits::RESOLVE_TTL,
                Err(_) => limits::RESOLVE_FAILED_TTL,
            };
            if at.elapsed() < ttl {
                return answer.map(|ips| with_port(&ips));
            }
        }
        let (answer, answered) = oneshot::channel();
        let question = Question {
            host: host.to_owned(),
            answer,
        };
        self.resolver
            .questions
            .send(question)
            .map_err(|_| "the resolver is gone".to_owned())?;
        let answer = answered
            .await
            .map_err(|_| "the resolver is gone".to_owned())?;
        self.known
            .borrow_mut()
            .insert(host.to_owned(), (answer.clone(), Instant::now()));
        answer.map(|ips| with_port(&ips))
    }
}
