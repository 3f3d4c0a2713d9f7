//! An authority of the tests' own, and clients that trust nobody else.

use crate::client::Connection;
use crate::strait::scratch;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SerialNumber};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What vouches for certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Issued {
    pub certificate: CertificateDer<'static>,
    pub pem: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Authority {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
        }
    }

    /// The authority's own certificate, in a file.
    pub fn file(&self) -> PathBuf {
        let file = scratch("authority").join("ca.pem");
        std::fs::write(&file, self.issuer.pem()).unwrap();
        file
    }

    /// A certificate for this machine.
    pub fn issue(&self, serial: u64) -> Issued {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.serial_number = Some(SerialNumber::from(serial));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued {
            pem: certificate.pem(),
            certificate: certificate.into(),
            key: key.serialize_pem(),
        }
    }

    /// The configuration of a client that trusts this authority.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client_with(rustls::ALL_VERSIONS, None)
    }

    /// The same, with these versions of TLS only, and showing `own`.
    pub fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        own: Option<&Issued>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                let chain = vec![own.certificate.clone()];
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Arc::new(config)
    }
}

impl Issued {
    /// Writes the pair into `dir`, each file in one step.
    pub fn write(&self, dir: &Path) {
        for (name, text) in [("tls.crt", &self.pem), ("tls.key", &self.key)] {
            let new = dir.join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(&new, dir.join(name)).unwrap();
        }
    }
}

/// The `[tls]` of a pair in `dir`.
pub fn section(dir: &Path) -> String {
    let (cert, key) = (dir.join("tls.crt"), dir.join("tls.key"));
    format!("[tls]\ncert_file = {cert:?}\nkey_file = {key:?}\n")
}

/// A TLS connection of a client.
pub type Secure = StreamOwned<ClientConnection, TcpStream>;

/// Connects and shakes hands, as far as the client can tell.
pub fn connect(config: &Arc<ClientConfig>, address: SocketAddr) -> io::Result<Secure> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let name = ServerName::try_from("localhost").unwrap();
    let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    let mut secure = StreamOwned::new(session, stream);
    while secure.conn.is_handshaking() {
        secure.conn.complete_io(&mut secure.sock)?;
    }
    Ok(secure)
}

/// The same, to be spoken HTTP on.
pub fn open(config: &Arc<ClientConfig>, address: SocketAddr) -> Connection<Secure> {
    Connection::over(connect(config, address).unwrap())
}

/// What the server showed.
pub fn shown(connection: &Connection<Secure>) -> CertificateDer<'static> {
    let shown = connection.stream.conn.peer_certificates().unwrap();
    shown[0].clone().into_owned()
}
