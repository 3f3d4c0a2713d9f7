//! Providers behind a proxy that the environment or the configuration names.

use crate::client::{Answer as Got, Connection, post_with};
use crate::provider::{Answer, Provider, text};
use crate::strait::{Strait, scratch};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// What a proxy does with a connection once it was asked.
#[derive(Clone, Copy)]
enum Act {
    /// Leads it there, whatever was asked for.
    Lead(SocketAddr),
    /// Says this and closes.
    Say(&'static str),
}

/// The first words of each client.
type Asked = Mutex<Vec<Vec<u8>>>;

struct Proxy {
    address: SocketAddr,
    asked: Arc<Asked>,
}

impl Proxy {
    /// A proxy that speaks HTTP.
    fn http(act: Act) -> Proxy {
        Self::start(move |stream, asked| {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                read(stream, 1, &mut head)?;
            }
            asked.lock().unwrap().push(head);
            match act {
                Act::Lead(to) => lead(stream, to, b"HTTP/1.1 200 Connection established\r\n\r\n"),
                Act::Say(words) => stream.write_all(words.as_bytes()),
            }
        })
    }

    /// A proxy that speaks SOCKS 5, and leads whoever has a user and a password to `to`.
    fn socks(to: SocketAddr) -> Proxy {
        Self::start(move |stream, asked| {
            let mut said = Vec::new();
            read(stream, 4, &mut said)?;
            stream.write_all(&[5, 2])?;
            read(stream, "\x01\x02me\x02pw".len(), &mut said)?;
            stream.write_all(&[1, 0])?;
            // To an IPv4 address.
            read(stream, 4 + 4 + 2, &mut said)?;
            asked.lock().unwrap().push(said);
            lead(stream, to, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
        })
    }

    fn start(
        serve: impl Fn(&mut TcpStream, &Asked) -> std::io::Result<()> + Send + 'static,
    ) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::<Asked>::default();
        let seen = asked.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                // Who left early is missed by nobody.
                let _ = serve(&mut stream, &seen);
            }
        });
        Proxy { address, asked }
    }

    fn take_asked(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn read(stream: &mut TcpStream, count: usize, into: &mut Vec<u8>) -> std::io::Result<()> {
    let start = into.len();
    into.resize(start + count, 0);
    stream.read_exact(&mut into[start..])
}

/// Joins a client that is told `good` with what listens at `to`.
fn lead(client: &mut TcpStream, to: SocketAddr, good: &[u8]) -> std::io::Result<()> {
    let server = TcpStream::connect(to)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    for (from, to) in [(&*client, &server), (&server, &*client)] {
        let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(std::net::Shutdown::Both);
        });
    }
    client.write_all(good)
}

fn ask(client: &mut Connection, model: &str, stream: bool) -> Got {
    let body = json!({"model": model, "stream": stream, "input": "hi"});
    client.send(post_with("/v1/responses", "", body.to_string().as_bytes()));
    client.answer()
}

fn completes(client: &mut Connection, model: &str) {
    let got = ask(client, model, true);
    let said = String::from_utf8_lossy(&got.body).into_owned();
    assert_eq!(got.status, 200, "{said}");
    assert_eq!(got.terminals(), ["response.completed"], "{said}");
}

/// The message of a provider that was not reached.
fn failure(strait: &Strait) -> String {
    let got = ask(&mut Connection::open(strait.address), "m", true);
    assert_eq!(got.status, 502);
    let message = got.json()["error"]["message"].to_string();
    assert!(!message.contains("s3cret"), "{message}");
    message
}

const ANY: &str = "[models]\n\"*\" = \"mock/*\"\n";

#[test]
fn https_goes_through_connect_and_the_connection_is_kept() {
    let answer = json!({"id":"c","object":"chat.completion","created":1,"model":"m","choices":[
        {"index":0,"message":{"role":"assistant","content":"through the proxy"},"finish_reason":"stop"}
    ]});
    let (provider, pem) = crate::tls::serve("application/json", answer.to_string());
    let file = scratch("proxy").join("ca.pem");
    std::fs::write(&file, pem).unwrap();
    for driver in DRIVERS {
        let proxy = Proxy::http(Act::Lead(provider));
        let url = format!("http://us%65r:s3cret%40@{}", proxy.address);
        let top = format!("ca_file = {file:?}\n");
        let strait = Strait::start_in(
            &[("HTTPS_PROXY", &url), ("http_proxy", "http://127.0.0.1:9")],
            &top,
            "https://provider.test/v1",
            driver,
            // What waits for the store lets its connection go.
            &format!("[store]\nurl = \"none\"\n{ANY}"),
        );
        for _ in 0..2 {
            let got = ask(&mut Connection::open(strait.address), "m", false);
            let said = &got.json()["output"][0]["content"][0]["text"];
            assert_eq!(said, "through the proxy");
        }
        let asked = proxy.take_asked();
        // user:s3cret@
        let head = "CONNECT provider.test:443 HTTP/1.1\r\nhost: provider.test:443\r\nproxy-authorization: Basic dXNlcjpzM2NyZXRA\r\n\r\n";
        assert_eq!(asked, [head.as_bytes()]);
    }
}

#[test]
fn a_proxy_that_does_not_lead_on_is_told_without_its_password() {
    for driver in DRIVERS {
        for (say, expected) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n",
                "it refuses the user and the password in its URL",
            ),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "with status 403"),
            ("", "it closed the connection"),
        ] {
            let proxy = Proxy::http(Act::Say(say));
            let url = format!("http://user:s3cret@{}", proxy.address);
            let variables = [("https_proxy", url.as_str())];
            let strait = Strait::start_in(&variables, "", "https://provider.test", driver, ANY);
            let message = failure(&strait);
            let place = format!(
                "provider.test:443 through the proxy http://{} (https_proxy)",
                proxy.address
            );
            for part in [place.as_str(), expected] {
                assert!(message.contains(part), "{part}: {message}");
            }
        }
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        let url = format!("http://user:s3cret@{}", nobody.unwrap());
        let variables = [("https_proxy", url.as_str())];
        let strait = Strait::start_in(&variables, "", "https://provider.test", driver, ANY);
        let message = failure(&strait);
        assert!(message.contains("refused"), "{message}");
    }
}

#[test]
fn what_is_excepted_or_of_this_machine_goes_straight() {
    let provider = Provider::answering(|_| Answer::Stream(text("hello there")));
    let proxy = Proxy::http(Act::Lead(provider.address));
    let url = proxy.address.to_string();
    let plain = "http://provider.test:8000/v1";
    let start = |variables: &[(&str, &str)], base: &str| {
        Strait::start_in(variables, "", base, "io_uring", ANY)
    };
    let strait = start(&[("http_proxy", &url)], plain);
    completes(&mut Connection::open(strait.address), "m");
    let asked = proxy.take_asked();
    assert!(asked[0].starts_with(b"CONNECT provider.test:8000 HTTP/1.1\r\n"));
    // What a name without an address comes to: it was not the proxy that was asked.
    let except = [("http_proxy", url.as_str()), ("NO_PROXY", ".test")];
    for variables in [&except[..], &[("HTTP_PROXY", &url)]] {
        let message = failure(&start(variables, plain));
        assert!(!message.contains("proxy"), "{message}");
    }
    let strait = start(&[("all_proxy", &url)], &provider.url());
    completes(&mut Connection::open(strait.address), "m");
    assert!(proxy.take_asked().is_empty());
}

#[test]
fn a_provider_names_its_own_proxy_and_none_borrows_its_connection() {
    for driver in DRIVERS {
        let provider = Provider::answering(|_| Answer::Stream(text("hello there")));
        let proxy = Proxy::socks(provider.address);
        let more = format!(
            "proxy = \"socks5h://me:pw@{}\"\n[providers.straight]\nprofile = \"openai-compatible\"\nbase_url = \"{}\"\n{ANY}",
            proxy.address,
            provider.url()
        );
        let strait = Strait::start_in(&[], "", &provider.url(), driver, &more);
        let mut client = Connection::open(strait.address);
        for model in ["straight/m", "mock/m", "straight/m"] {
            completes(&mut client, model);
        }
        let asked = proxy.take_asked();
        let mut words = b"\x05\x02\0\x02\x01\x02me\x02pw\x05\x01\0\x01".to_vec();
        words.extend([127, 0, 0, 1]);
        words.extend(provider.address.port().to_be_bytes());
        assert_eq!(asked, [words]);
    }
}

#[test]
fn check_says_what_goes_where_and_names_a_bad_variable() {
    let check = |url: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_strait"))
            .arg("check")
            .current_dir(scratch("proxy"))
            .env_remove("STRAIT_CONFIG")
            .env("XDG_STATE_HOME", scratch("proxy"))
            .env("DEEPSEEK_API_KEY", "sk-0123456789abcdef0123")
            .env("HTTPS_PROXY", url)
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said = said + &String::from_utf8(output.stderr).unwrap();
        assert!(!said.contains("s3cret"), "{said}");
        (output.status.code(), said)
    };
    let (code, said) = check("me:s3cret@corp.test:3128");
    let line = "through the proxy http://corp.test:3128 (HTTPS_PROXY)";
    assert!(code == Some(0) && said.contains(line), "{said}");
    let (code, said) = check("https://me:s3cret@corp.test");
    let line = "environment: HTTPS_PROXY: is no proxy that Strait can use";
    assert!(code == Some(2) && said.contains(line), "{said}");
}
