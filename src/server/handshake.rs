//! A client's TLS handshake, before anything else that it says.

use super::client::Client;
use super::downstream::{Waited, wait_for_bytes};
use super::tls::Session;
use super::worker::Worker;
use crate::error::Error;
use crate::limits;
use crate::route::exchange::{self, RequestId};
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Instant;

/// The type of the record that a handshake begins with (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Secures the connection within [`limits::HANDSHAKE_TIMEOUT`]; false: it is of no use, and the
/// client was told as far as it can be.
pub(super) async fn run(worker: &Worker, client: &mut Client, config: Arc<ServerConfig>) -> bool {
    let deadline = Instant::now() + limits::HANDSHAKE_TIMEOUT;
    let Waited::More = wait_for_bytes(worker, client, deadline).await else {
        return false;
    };
    match client.carry().first() {
        Some(&HANDSHAKE) => {}
        Some(byte) if byte.is_ascii_alphabetic() => {
            refuse_plain(worker, client).await;
            return false;
        }
        _ => return false,
    }
    // Not sooner: whoever only connects, or sends garbage, costs no more than without TLS.
    let mut session = match Session::server(config) {
        Ok(session) => Box::new(session),
        Err(why) => {
            worker.journal.info(|| why);
            return false;
        }
    };
    let mut plain = Vec::new();
    loop {
        let received = session.receive(&client.take_carry(), &mut plain);
        let said = session.outgoing();
        if !said.is_empty() && client.send(said).await.is_none() {
            return false;
        }
        match received {
            Ok(false) if !session.is_handshaking() => {
                client.secure(session, plain);
                return true;
            }
            Ok(false) => {}
            Ok(true) => return false,
            Err(why) => {
                worker.journal.debug(|| format!("refused: {why}"));
                // So that the alert is not lost in a reset.
                client.linger().await;
                return false;
            }
        }
        let Waited::More = wait_for_bytes(worker, client, deadline).await else {
            return false;
        };
    }
}

/// A request in the clear gets an answer in the clear, which says what is wrong.
async fn refuse_plain(worker: &Worker, client: &mut Client) {
    let message = "This port speaks HTTPS, and the request came without TLS: use https://.";
    let error = Error::bad_request(message);
    worker.journal.debug(|| format!("refused {error}"));
    let id = RequestId::of(&worker.entropy());
    if client.send(exchange::refuse(&error, id)).await.is_some() {
        client.linger().await;
    }
}
