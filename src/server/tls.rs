//! TLS to providers: rustls, driven by hand between the socket and the exchange.

use super::ServerError;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;

/// The configuration for all connections: system roots if `system_roots`, and those of
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
        add_file(&mut roots, path)?;
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

fn add_file(roots: &mut RootCertStore, path: &Path) -> Result<(), ServerError> {
    let fail = |why: String| ServerError::Tls(format!("ca_file {}: {why}", path.display()));
    let mut added = 0;
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fail(e.to_string()))? {
        let certificate = certificate.map_err(|e| fail(e.to_string()))?;
        roots.add(certificate).map_err(|e| fail(e.to_string()))?;
        added += 1;
    }
    if added == 0 {
        return Err(fail("no certificate in it".to_owned()));
    }
    Ok(())
}

/// One TLS connection: bytes of the socket in, bytes of the exchange out, and back.
pub(super) struct Session {
    connection: ClientConnection,
    plain: Vec<u8>,
}

impl Session {
    /// A connection to `host`, a name or an address; the handshake is still to be done.
    pub(super) fn new(config: Arc<ClientConfig>, host: &str) -> Result<Self, String> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is not a name that a certificate can have"))?;
        let mut connection =
            ClientConnection::new(config, name).map_err(|e| format!("TLS: {e}"))?;
        // A request is sealed whole; its size is limited long before.
        connection.set_buffer_limit(None);
        Ok(Session {
            connection,
            plain: Vec::new(),
        })
    }

    /// Whether the handshake is still going on.
    pub(super) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Takes bytes from the socket. What they decrypt to replaces [`Session::plain`]. True if
    /// the peer said that nothing follows.
    pub(super) fn receive(&mut self, mut bytes: &[u8]) -> Result<bool, String> {
        self.plain.clear();
        let mut closed = false;
        while !bytes.is_empty() && !closed {
            self.connection
                .read_tls(&mut bytes)
                .map_err(|e| format!("TLS: {e}"))?;
            let state = self
                .connection
                .process_new_packets()
                .map_err(|e| format!("TLS: {e}"))?;
            closed = state.peer_has_closed();
            let fresh = state.plaintext_bytes_to_read();
            if fresh > 0 {
                let start = self.plain.len();
                self.plain.resize(start + fresh, 0);
                self.connection
                    .reader()
                    .read_exact(&mut self.plain[start..])
                    .map_err(|e| format!("TLS: {e}"))?;
            }
        }
        Ok(closed)
    }

    /// What the last bytes decrypted to.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain
    }

    /// Encrypts `plain`; the result goes to the socket.
    pub(super) fn seal(&mut self, plain: &[u8]) -> Result<Vec<u8>, String> {
        self.connection
            .writer()
            .write_all(plain)
            .map_err(|e| format!("TLS: {e}"))?;
        Ok(self.outgoing())
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
            Session::new(client, "example.test").unwrap(),
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
        while client.is_handshaking() || server.is_handshaking() {
            to_server(&mut server, &client.outgoing());
            for byte in from_server(&mut server) {
                assert!(!client.receive(&[byte]).unwrap());
            }
        }
        to_server(&mut server, &client.seal(b"question").unwrap());
        let mut asked = [0; 8];
        server.reader().read_exact(&mut asked).unwrap();
        assert_eq!(&asked, b"question");

        let long = vec![b'x'; 100_000];
        server.set_buffer_limit(None);
        server.writer().write_all(&long).unwrap();
        let mut got = Vec::new();
        for piece in from_server(&mut server).chunks(1000) {
            assert!(!client.receive(piece).unwrap());
            got.extend_from_slice(client.plain());
        }
        assert_eq!(got, long);

        server.writer().write_all(b"last").unwrap();
        server.send_close_notify();
        assert!(client.receive(&from_server(&mut server)).unwrap());
        assert_eq!(client.plain(), b"last");
    }

    #[test]
    fn garbage_is_an_error() {
        let (mut client, _) = pair();
        assert!(client.receive(b"HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
    }

    #[test]
    fn a_bad_ca_file_is_named() {
        let error = config(false, Some(Path::new("/nonexistent/ca.pem"))).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/ca.pem"), "{error}");
    }
}
