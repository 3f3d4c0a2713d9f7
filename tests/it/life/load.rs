//! Clients that stream without a pause, and count.

use crate::client::{Connection, post_with};
use crate::provider::{Answer, Provider, Seen, text};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

const SAID: &str = "What is begun is said to its end, whatever becomes of the process.";
const CLIENTS: usize = 6;

/// A provider that says the same to everyone.
pub fn provider() -> Provider {
    Provider::answering(|_: &Seen| Answer::Stream(text(SAID)))
}

/// Clients at work; every answer that is not whole is a panic.
pub struct Load {
    ended: Arc<AtomicBool>,
    /// Streams that came whole.
    pub whole: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Half of the clients stay on a connection as long as it is kept, half open one for each
    /// stream.
    pub fn on(address: SocketAddr) -> Load {
        let (ended, whole) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let client = |n: usize| {
            let (ended, whole) = (ended.clone(), whole.clone());
            std::thread::spawn(move || {
                let mut kept = None;
                while !ended.load(Ordering::Relaxed) {
                    let connection = kept.take();
                    kept = one_stream(address, connection).filter(|_| n.is_multiple_of(2));
                    whole.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let clients = (0..CLIENTS).map(client).collect();
        Load {
            ended,
            whole,
            clients,
        }
    }

    /// Waits until so many more streams came whole.
    pub fn wait_for(&self, more: usize) {
        let aim = self.whole.load(Ordering::Relaxed) + more;
        while self.whole.load(Ordering::Relaxed) < aim {
            assert!(!self.clients.iter().any(JoinHandle::is_finished));
            std::thread::yield_now();
        }
    }

    /// Ends the clients; so many streams came whole.
    pub fn end(self) -> usize {
        self.ended.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no stream is lost");
        }
        self.whole.load(Ordering::Relaxed)
    }
}

/// One stream, on a connection that is there already or on a new one; the connection, if it may be
/// used again.
fn one_stream(address: SocketAddr, kept: Option<Connection>) -> Option<Connection> {
    let ask = post_with(
        "/v1/responses",
        "",
        br#"{"model":"common","stream":true,"input":"hi"}"#,
    );
    let mut connection = kept.unwrap_or_else(|| Connection::open(address));
    connection.send(&ask);
    let answer = connection.answer();
    assert_eq!(answer.terminals(), ["response.completed"], "{answer:?}");
    let is_text = |event: &Value| event["type"] == "response.output_text.done";
    let done = answer.events().into_iter().find(is_text).unwrap();
    assert_eq!(done["text"], SAID);
    (!answer.head.contains("connection: close")).then_some(connection)
}
