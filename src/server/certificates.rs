//! What clients are shown: the certificate of the configuration's files, and the one that has
//! taken its place since. Connections keep the one that they began with.

use super::ServerError;
use super::journal::Journal;
use super::tls::{authorities, certificates};
use crate::config::{ClientCertificates, Tls};
use crate::limits;
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// The certificates of a server, shared by its workers.
pub(super) struct Certificates {
    files: Tls,
    held: Mutex<Held>,
}

struct Held {
    config: Arc<ServerConfig>,
    /// Of the files when they were read last.
    stamps: Stamps,
    /// Why they could not be used then.
    trouble: Option<String>,
}

/// Says whether a file is still the same: device, number, size and time of change (seconds,
/// nanoseconds) of what its path leads to. So another file under the same name shows, and another
/// end of a symbolic link on the way, as Kubernetes makes them.
type Stamp = (u64, u64, u64, i64, i64);
/// In the order of [`Certificates::stamps`]; `None`: it cannot be seen.
type Stamps = [Option<Stamp>; 3];

/// Reads the files and drops what they hold: an error names the file, and how to mend it.
pub fn check(files: &Tls) -> Result<(), ServerError> {
    load(files).map(drop).map_err(ServerError::Tls)
}

impl Certificates {
    /// Reads the files, if there are any, and looks after them from now on. Where they are the
    /// same as those of `held`, that is refreshed.
    pub(super) fn open(
        files: Option<&Tls>,
        held: Option<&Arc<Self>>,
        journal: &Journal,
    ) -> Result<Option<Arc<Self>>, ServerError> {
        let Some(files) = files else { return Ok(None) };
        if let Some(held) = held.filter(|held| held.files == *files) {
            held.refresh(journal).map_err(ServerError::Tls)?;
            return Ok(Some(held.clone()));
        }
        let certificates = Arc::new(Self::new(files).map_err(ServerError::Tls)?);
        let (watched, journal) = (Arc::downgrade(&certificates), journal.clone());
        std::thread::Builder::new()
            .name("strait-tls".to_owned())
            .spawn(move || {
                loop {
                    std::thread::sleep(limits::CERTIFICATES_EVERY);
                    let Some(certificates) = watched.upgrade() else {
                        return;
                    };
                    let _ = certificates.refresh(&journal);
                }
            })
            .map_err(|e| ServerError::System(format!("threads: {e}")))?;
        Ok(Some(certificates))
    }

    fn new(files: &Tls) -> Result<Self, String> {
        // Stamps first: a file that changes while it is read is read once more.
        let stamps = stamps(files);
        Ok(Certificates {
            files: files.clone(),
            held: Mutex::new(Held {
                config: load(files)?,
                stamps,
                trouble: None,
            }),
        })
    }

    /// What a new connection is shown. The lock is held for a moment, once a connection: nothing
    /// beside its handshake.
    pub(super) fn current(&self) -> Arc<ServerConfig> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.config.clone()
    }

    /// Reads the files again if they have changed. What is held stays where they cannot be used,
    /// which is logged once; the error is the same until they change.
    pub(super) fn refresh(&self, journal: &Journal) -> Result<(), String> {
        let stamps = stamps(&self.files);
        let held = || self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held().stamps != stamps {
            let loaded = load(&self.files);
            let mut held = held();
            held.stamps = stamps;
            held.trouble = loaded.as_ref().err().cloned();
            let shown = self.files.cert_file.display();
            match loaded {
                Ok(config) => {
                    held.config = config;
                    journal.info(|| format!("tls: new connections get the new {shown}"));
                }
                Err(why) => {
                    journal.info(|| format!("tls: the certificate from before stays in use: {why}"))
                }
            }
        }
        match &held().trouble {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }
}

fn stamps(files: &Tls) -> Stamps {
    let stamp = |path: &Path| {
        let file = std::fs::metadata(path).ok()?;
        Some((
            file.dev(),
            file.ino(),
            file.size(),
            file.ctime(),
            file.ctime_nsec(),
        ))
    };
    let clients = files.clients.as_ref();
    [
        stamp(&files.cert_file),
        stamp(&files.key_file),
        clients.and_then(|clients| stamp(&clients.ca_file)),
    ]
}

/// Reads the files.
fn load(files: &Tls) -> Result<Arc<ServerConfig>, String> {
    let path = &files.cert_file;
    let chain = certificates(path).map_err(|why| {
        let mend = "a PEM file, the server's certificate first.";
        mistake("cert_file", path, &why, mend)
    })?;
    let key = key(&files.key_file)?;
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?;
    let builder = match &files.clients {
        None => builder.with_no_client_auth(),
        Some(clients) => builder.with_client_cert_verifier(verifier(clients)?),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|e| {
        let why = match e {
            rustls::Error::InconsistentKeys(_) => format!(
                "is not the key of the certificate in cert_file {}",
                path.display()
            ),
            other => format!("cannot be used with its certificate: {other}"),
        };
        let mend = "the two files belong together; the server's certificate comes first.";
        mistake("key_file", &files.key_file, &why, mend)
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Sessions go on by tickets, which clients keep: Codex opens a connection for each request.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    match files.clients {
        None => config.ticketer = Ticketer::new().map_err(|e| e.to_string())?,
        // A certificate is judged each time: it may have expired, or its authority be gone.
        Some(_) => config.send_tls13_tickets = 0,
    }
    Ok(Arc::new(config))
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let unencrypted = "a PEM file with one private key that is not encrypted.";
    let text =
        std::fs::read(path).map_err(|e| mistake("key_file", path, &e.to_string(), unencrypted))?;
    // Both ways to encrypt a key say so in its PEM (RFC 1421, RFC 7468).
    if memchr::memmem::find(&text, b"ENCRYPTED").is_some() {
        let mend = "openssl pkey -in FILE -out NEW, and let only Strait read the new file.";
        let why = "is encrypted, and there is nobody who could type its passphrase";
        return Err(mistake("key_file", path, why, mend));
    }
    PrivateKeyDer::from_pem_slice(&text).map_err(|e| {
        let why = match e {
            pem::Error::NoItemsFound => "no private key in it".to_owned(),
            other => other.to_string(),
        };
        mistake("key_file", path, &why, unencrypted)
    })
}

fn verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let path = &clients.ca_file;
    let mend = "a PEM file of the authorities that sign clients' certificates.";
    let fail = |why: String| mistake("client_ca_file", path, &why, mend);
    let mut roots = RootCertStore::empty();
    authorities(&mut roots, path).map_err(fail)?;
    let provider = Arc::new(default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match clients.required {
        true => builder,
        false => builder.allow_unauthenticated(),
    };
    builder.build().map_err(|e| fail(e.to_string()))
}

fn mistake(name: &str, path: &Path, why: &str, mend: &str) -> String {
    format!("{name} {}: {why}. Mend: {mend}", path.display())
}

#[cfg(test)]
mod tests {
    use super::super::journal::{self, Level};
    use super::*;
    use crate::config::LogFormat;
    use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
    use std::path::PathBuf;

    struct Files {
        dir: PathBuf,
        tls: Tls,
    }

    impl Files {
        fn new(name: &str) -> Files {
            let dir = format!("strait-{name}-{}", std::process::id());
            let dir = std::env::temp_dir().join(dir);
            std::fs::create_dir_all(&dir).unwrap();
            Files {
                tls: Tls {
                    cert_file: dir.join("tls.crt"),
                    key_file: dir.join("tls.key"),
                    clients: None,
                },
                dir,
            }
        }

        fn write(&self, certified: &CertifiedKey<KeyPair>) {
            std::fs::write(&self.tls.cert_file, certified.cert.pem()).unwrap();
            self.write_key(&certified.signing_key.serialize_pem());
        }

        fn write_key(&self, text: &str) {
            std::fs::write(&self.tls.key_file, text).unwrap();
        }

        fn mistake(&self) -> String {
            check(&self.tls).unwrap_err().to_string()
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }

    fn issue() -> CertifiedKey<KeyPair> {
        generate_simple_self_signed(vec!["example.test".to_owned()]).unwrap()
    }

    #[test]
    fn what_changes_is_read_and_what_is_broken_changes_nothing() {
        let (journal, _writer) = journal::start(Level::Off, LogFormat::Text).unwrap();
        let files = Files::new("refresh");
        let (first, second) = (issue(), issue());
        files.write(&first);
        let certificates = Certificates::new(&files.tls).unwrap();
        let begun = certificates.current();
        certificates.refresh(&journal).unwrap();
        assert!(Arc::ptr_eq(&begun, &certificates.current()));

        files.write_key(&second.signing_key.serialize_pem());
        let why = certificates.refresh(&journal).unwrap_err();
        assert!(why.contains("is not the key of the certificate"), "{why}");
        assert!(Arc::ptr_eq(&begun, &certificates.current()));
        // Not read again, but said to whoever asks.
        assert_eq!(certificates.refresh(&journal), Err(why));
        assert!(Arc::ptr_eq(&begun, &certificates.current()));

        files.write(&second);
        certificates.refresh(&journal).unwrap();
        let now = certificates.current();
        assert!(!Arc::ptr_eq(&begun, &now));
        std::fs::remove_file(&files.tls.cert_file).unwrap();
        certificates.refresh(&journal).unwrap_err();
        assert!(Arc::ptr_eq(&now, &certificates.current()));
    }

    #[test]
    fn mistakes_name_the_file_and_its_mend() {
        let mut files = Files::new("mistakes");
        let said = files.mistake();
        assert!(
            said.contains("cert_file /") && said.contains("tls.crt"),
            "{said}"
        );
        let certified = issue();
        files.write(&certified);
        check(&files.tls).unwrap();
        let encrypted =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAA==\n-----END RSA PRIVATE KEY-----\n";
        for (key, expected) in [
            (encrypted, "is encrypted"),
            (older, "is encrypted"),
            ("", "no private key in it"),
            (&certified.cert.pem(), "no private key in it"),
            (&issue().signing_key.serialize_pem(), "is not the key of"),
        ] {
            files.write_key(key);
            let said = files.mistake();
            assert!(said.contains(expected) && said.contains("Mend: "), "{said}");
            assert!(said.contains("key_file /"), "{said}");
        }
        files.write(&certified);
        std::fs::write(&files.tls.cert_file, "nothing").unwrap();
        assert!(files.mistake().contains("no certificate in it"));
        files.write(&certified);
        files.tls.clients = Some(ClientCertificates {
            ca_file: files.tls.key_file.clone(),
            required: true,
        });
        assert!(files.mistake().contains("client_ca_file /"));
    }
}
