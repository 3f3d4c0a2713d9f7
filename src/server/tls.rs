//! TLS towards providers: rustls, the system's roots, and the operator's own.

use super::ServerError;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::path::Path;
use std::sync::Arc;

/// The configuration that all workers share; sessions are resumed across them.
pub(super) fn config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, ServerError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    if let Some(file) = ca_file {
        let failed =
            |e: &dyn std::fmt::Display| ServerError(format!("ca_file {}: {e}", file.display()));
        let certificates = CertificateDer::pem_file_iter(file).map_err(|e| failed(&e))?;
        let mut count = 0;
        for certificate in certificates {
            roots
                .add(certificate.map_err(|e| failed(&e))?)
                .map_err(|e| failed(&e))?;
            count += 1;
        }
        if count == 0 {
            return Err(failed(&"holds no certificate"));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ServerError(format!("TLS cannot be set up: {e}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
