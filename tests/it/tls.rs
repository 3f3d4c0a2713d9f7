//! A provider behind TLS, whose certificate only the operator's own authority vouches for.

use crate::client::respond;
use crate::provider::text;
use crate::strait::{Strait, scratch};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// The names that it can be asked by.
const NAMES: [&str; 2] = ["localhost", "provider.test"];

/// A server that answers every request on a connection with the same body; and the certificate
/// that vouches for it.
pub fn serve(media: &'static str, body: String) -> (SocketAddr, String) {
    let certified = rcgen::generate_simple_self_signed(NAMES.map(str::to_owned)).unwrap();
    let certificate = CertificateDer::from(certified.cert.der().to_vec());
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
    let (config, body) = (Arc::new(config), Arc::new(body));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let session = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut reader = BufReader::new(StreamOwned::new(session, tcp));
            let body = Arc::clone(&body);
            std::thread::spawn(move || while answer(&mut reader, media, &body).is_some() {});
        }
    });
    (address, certified.cert.pem())
}

fn answer(reader: &mut (impl BufRead + AsWriter), media: &str, body: &str) -> Option<()> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line == "\r\n" {
            break;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    reader.writer().write_all(head.as_bytes()).ok()?;
    reader.writer().write_all(body.as_bytes()).ok()?;
    reader.writer().flush().ok()
}

/// The writing side below a buffered reader.
trait AsWriter {
    fn writer(&mut self) -> &mut dyn Write;
}

impl<T: Read + Write> AsWriter for BufReader<T> {
    fn writer(&mut self) -> &mut dyn Write {
        self.get_mut()
    }
}

#[test]
fn a_large_answer_over_tls_and_an_unknown_authority() {
    let stream = text(&"word ".repeat(5000));
    let stream = stream.iter().map(|data| format!("data: {data}\n\n"));
    let (address, pem) = serve("text/event-stream", stream.collect());
    let file = scratch("tls").join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    let url = format!("https://localhost:{}/v1", address.port());
    for driver in ["io_uring", "epoll"] {
        // A top-level key, so it must stand before the first table.
        let strait = Strait::start_with_top(&format!("ca_file = {file:?}\n"), &url, driver);
        for _ in 0..2 {
            let body = json!({"model":"m","stream":true,"input":"x".repeat(300_000)});
            let got = respond(strait.address, &body);
            assert_eq!(
                (got.status, got.terminals()),
                (200, vec!["response.completed".to_owned()])
            );
            let last = got.events().pop().unwrap();
            let said = &last["response"]["output"][0]["content"][0]["text"];
            assert_eq!(said.as_str().unwrap(), "word ".repeat(5000));
        }
        let strait = Strait::start("openai-compatible", &url, driver);
        let got = respond(
            strait.address,
            &json!({"model":"m","stream":true,"input":"x"}),
        );
        assert_eq!(got.status, 502);
        let message = got.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("TLS"), "{message}");
    }
}
