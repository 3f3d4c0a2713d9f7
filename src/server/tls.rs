//! TLS, to providers and to clients: rustls, driven by hand between the socket and the exchange.

use super::ServerError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use std::fmt::Display;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The configuration for all connections to providers: system roots if `system_roots`, and those of
/// `ca_file`. Session tickets are remembered across connections.
pub(super) fn config(
    system_roots: bool,
    ca_file: Option<&Path>,
) -> Result<Arc<ClientConfig>, ServerError> {
    let mut roots = RootCertStore::empty();
    if system_roots {
        add_system_roots(&mut roots, ca_file.is_some())?;
    }
    if let Some(path) = ca_file {
        let read = authorities(&mut roots, path);
        read.map_err(|why| ServerError::Tls(format!("ca_file {}: {why}", path.display())))?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ServerError::Tls(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn add_system_roots(roots: &mut RootCertStore, may_be_empty: bool) -> Result<(), ServerError> {
    let found = rustls_native_certs::load_native_certs();
    // Stores often hold a few certificates that nothing can use.
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added == 0 && !may_be_empty {
        let why = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "none found".to_owned(),
        };
        return Err(ServerError::Tls(format!(
            "no certificate authorities ({why}); install ca-certificates, or set ca_file or \
             SSL_CERT_FILE"
        )));
    }
    Ok(())
}

/// Adds the authorities of a PEM file, of which there must be one.
pub(super) fn authorities(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// The certificates of a PEM file, of which there must be one.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
        .map_err(|e| e.to_string())?
        .collect();
    match all.map_err(|e| e.to_string())? {
        none if none.is_empty() => Err("no certificate in it".to_owned()),
        some => Ok(some),
    }
}

/// One TLS connection: bytes of the socket in, bytes of the exchange out, and back.
pub(super) struct Session {
    connection: Connection,
}

impl Session {
    /// A connection to `host`, a name or an address; the handshake is still to be done.
    pub(super) fn client(config: Arc<ClientConfig>, host: &str) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is not a name that a certificate can have"))?;
        let connection = ClientConnection::new(config, name).map_err(told)?;
        Ok(Self::of(connection.into()))
    }

    /// A connection of a client; the handshake is still to be done.
    pub(super) fn server(config: Arc<ServerConfig>) -> Result<Self, String> {
        let connection = ServerConnection::new(config).map_err(told)?;
        Ok(Self::of(connection.into()))
    }

    fn of(mut connection: Connection) -> Self {
        // What is sealed is sealed whole; its size is limited long before.
        connection.set_buffer_limit(None);
        Session { connection }
    }

    /// Whether the handshake is still going on.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes bytes from the socket, and appends what they decrypt to. True if the peer said that
    /// nothing follows.
    pub(super) fn receive(
        &mut self,
        mut bytes: &[u8],
        plain: &mut Vec<u8>,
    ) -> Result<bool, String> {
        let mut closed = false;
        while !bytes.is_empty() && !closed {
            self.connection.read_tls(&mut bytes).map_err(told)?;
            let state = self.connection.process_new_packets().map_err(told)?;
            closed = state.peer_has_closed();
            let fresh = state.plaintext_bytes_to_read();
            if fresh > 0 {
                let start = plain.len();
                plain.resize(start + fresh, 0);
                let mut reader = self.connection.reader();
                reader.read_exact(&mut plain[start..]).map_err(told)?;
            }
        }
        Ok(closed)
    }

    /// Encrypts `plain`; the result goes to the socket.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.connection.writer().write_all(plain).map_err(told)?;
        Ok(self.outgoing())
    }

    /// Tells the peer that nothing follows, with the next bytes that are sent.
    pub(super) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Bytes that the session itself wants to send: handshake, alerts, key updates.
    pub(super) fn outgoing(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        while self.connection.wants_write() {
            // Writing to a `Vec` cannot fail; zero would mean that there is nothing.
            match self.connection.write_tls(&mut out) {
                Ok(n) if n > 0 => {}
                _ => break,
            }
        }
        out
    }
}

/// Why a connection cannot go on.
fn told(error: impl Display) -> String {
    format!("TLS: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::{ServerConfig, ServerConnection};

    fn pair() -> (Session, ServerConnection) {
        let issued = rcgen::generate_simple_self_signed(vec!["example.test".to_owned()]).unwrap();
        let file = std::env::temp_dir().join(format!("strait-ca-{}.pem", std::process::id()));
        std::fs::write(&file, issued.cert.pem()).unwrap();
        let client = config(false, Some(&file)).unwrap();
        std::fs::remove_file(&file).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der());
        let server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key.unwrap())
            .unwrap();
        (
            Session::client(client, "example.test").unwrap(),
            ServerConnection::new(Arc::new(server)).unwrap(),
        )
    }

    fn from_server(server: &mut ServerConnection) -> Vec<u8> {
        let mut out = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut out).unwrap();
        }
        out
    }

    fn to_server(server: &mut ServerConnection, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            server.read_tls(&mut bytes).unwrap();
            server.process_new_packets().unwrap();
        }
    }

    #[test]
    fn bytes_pass_at_every_split_and_the_end_is_told() {
        let (mut client, mut server) = pair();
        let mut got = Vec::new();
        while client.is_handshaking() || server.is_handshaking() {
            to_server(&mut server, &client.outgoing());
            for byte in from_server(&mut server) {
                assert!(!client.receive(&[byte], &mut got).unwrap());
            }
        }
        assert!(got.is_empty());
        to_server(&mut server, &client.seal(b"question").unwrap());
        let mut asked = [0; 8];
        server.reader().read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"question");

        let long = vec![b'x'; 100_000];
        server.set_buffer_limit(None);
        server.writer().write_all(&long).unwrap();
        for piece in from_server(&mut server).chunks(1000) {
            assert!(!client.receive(piece, &mut got).unwrap());
        }
        assert_eq!(got, long);

        server.writer().write_all(b"last").unwrap();
        server.send_close_notify();
        got.clear();
        assert!(client.receive(&from_server(&mut server), &mut got).unwrap());
        assert_eq!(got, b"last");
    }

    #[test]
    fn garbage_is_an_error() {
        let (mut client, _) = pair();
        let garbage = b"HTTP/1.1 400 Bad Request\r\n\r\n";
        assert!(client.receive(garbage, &mut Vec::new()).is_err());
    }

    #[test]
    fn a_bad_ca_file_is_named() {
        let error = config(false, Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }
}
