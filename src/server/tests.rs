//! Whole servers on loopback sockets, with both drivers.

use super::*;
use crate::auth::secret::SealKey;
use crate::config::{Admin, LogFormat, Metrics, Retry, Store, Timeouts};
use crate::ledger::breaker::Policy;
use crate::limits;
use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// A server without providers, on a port of its own, on one driver.
pub(super) struct Harness {
    pub(super) address: SocketAddr,
    stop: Sender<Event>,
    thread: JoinHandle<Result<(), ServerError>>,
}

pub(super) fn snapshot() -> Snapshot {
    Snapshot {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: None,
        workers: 2,
        keys: Vec::new(),
        keyring: Arc::default(),
        providers: BTreeMap::new(),
        models: BTreeMap::new(),
        seal_key: SealKey::new([7; 32]),
        timeouts: Timeouts {
            connect: limits::CONNECT_TIMEOUT,
            first_byte: limits::FIRST_BYTE_TIMEOUT,
            silence: limits::SILENCE_TIMEOUT,
            keepalive: limits::KEEPALIVE_EVERY,
            hold: limits::HOLD_MAX,
            drain: Duration::from_millis(200),
        },
        ca_file: None,
        websocket: true,
        trusted_proxies: crate::config::TrustedProxies::default(),
        log_format: LogFormat::default(),
        metrics: Metrics::default(),
        store: Store::none(),
        traces: None,
        admin: Admin::default(),
        audit: crate::config::Audit::none(),
        retry: Retry::default(),
        breaker: Policy::default(),
    }
}

impl Harness {
    /// `None` where the kernel refuses the driver.
    pub(super) fn start(kind: DriverKind, snapshot: Snapshot) -> Option<Self> {
        let options = Options {
            snapshot,
            reload: None,
            take_over: None,
            driver: Some(kind),
            ready: None,
        };
        let (stop, events) = channel();
        let server = match Server::start(options, Vec::new(), &stop) {
            Ok(server) => server,
            Err(ServerError::Driver(why)) if kind == DriverKind::IoUring => {
                eprintln!("not tested: {why}");
                return None;
            }
            Err(e) => panic!("{e}"),
        };
        server.accept().unwrap();
        let Listen::Tcp(address) = server.addresses()[0] else {
            panic!("{:?}", server.addresses())
        };
        let sender = stop.clone();
        let thread = std::thread::spawn(move || server.serve(&events, &sender));
        Some(Harness {
            address,
            stop,
            thread,
        })
    }

    pub(super) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        stream
    }

    pub(super) fn signal(&self) {
        let _ = self.stop.send(Event::Stop);
    }

    pub(super) fn stop(self) {
        self.signal();
        self.join();
    }

    /// Waits for the end; only one signal may be given before, the second ends the process.
    pub(super) fn join(self) {
        self.thread.join().unwrap().unwrap();
    }
}

fn both(test: impl Fn(Harness)) {
    for kind in [DriverKind::Epoll, DriverKind::IoUring] {
        if let Some(harness) = Harness::start(kind, snapshot()) {
            test(harness);
        }
    }
}

#[test]
fn garbage_is_refused_and_the_answer_arrives_whole() {
    both(|server| {
        for _ in 0..8 {
            let mut stream = server.connect();
            // More than the head: unread bytes must not turn the answer into a reset.
            let mut bytes = b"GET\x01 nonsense\r\n\r\n".to_vec();
            bytes.resize(40_000, b'x');
            stream.write_all(&bytes).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
            assert!(answer.ends_with('}'), "{answer}");
        }
        server.stop();
    });
}

#[test]
fn a_head_without_end_is_refused() {
    both(|server| {
        let mut stream = server.connect();
        let mut bytes = b"GET / HTTP/1.1\r\nx: ".to_vec();
        bytes.resize(limits::HEAD_BYTES_MAX, b'x');
        stream.write_all(&bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
        server.stop();
    });
}

#[test]
fn idle_connections_end_when_drained() {
    both(|server| {
        let mut streams: Vec<_> = (0..4).map(|_| server.connect()).collect();
        // Accepted or still in the kernel's queue: either way the end must come.
        server.signal();
        for stream in &mut streams {
            let mut rest = Vec::new();
            if let Err(e) = stream.read_to_end(&mut rest) {
                assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
            }
            assert!(rest.is_empty());
        }
        assert_eq!(server.thread.join().unwrap(), Ok(()));
        assert!(TcpStream::connect(server.address).is_err());
    });
}

#[test]
fn a_served_port_is_refused() {
    let server = Harness::start(DriverKind::Epoll, snapshot()).unwrap();
    let mut second = snapshot();
    second.listen = vec![Listen::Tcp(server.address)];
    let options = Options {
        snapshot: second,
        reload: None,
        take_over: None,
        driver: None,
        ready: None,
    };
    let error = Server::start(options, Vec::new(), &channel().0).err();
    let taken = ServerError::InUse(Listen::Tcp(server.address));
    assert_eq!(error, Some(taken));
    server.stop();
}
