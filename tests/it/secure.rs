//! TLS on the listener: what goes over it, whose certificate is shown and asked for, and what is
//! refused.

use crate::certificates::{Authority, Secure, connect, open, section, shown};
use crate::client::{Answer as Got, Connection, post_with};
use crate::codex::Codex;
use crate::judge::{judge, judge_bodies};
use crate::provider::{Answer, Provider, calls, delta, text};
use crate::strait::{Strait, scratch};
use crate::websocket_client::{WebSocket, as_stream, create, id_of, text_of};
use rustls::HandshakeKind;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DRIVERS: [&str; 2] = ["io_uring", "epoll"];

/// Strait with the pair in `dir`, and what else there is in its `[tls]`.
fn strait(provider: &Provider, driver: &str, dir: &Path, more: &str) -> Strait {
    let more = format!("[models]\n\"*\" = \"mock/*\"\n{}{more}", section(dir));
    Strait::with("openai-compatible", &provider.url(), driver, &more)
}

/// A provider that says hello to everyone.
fn polite() -> Provider {
    Provider::answering(|_| Answer::Stream(text("hello there")))
}

fn ask(connection: &mut Connection<Secure>, body: &Value) -> Got {
    connection.send(post_with("/v1/responses", "", body.to_string().as_bytes()));
    connection.answer()
}

fn hello(connection: &mut Connection<Secure>) {
    let got = ask(connection, &json!({"model":"m","stream":true,"input":"hi"}));
    assert_eq!(got.terminals(), ["response.completed"]);
}

#[test]
fn streams_objects_and_websockets_go_over_tls() {
    let authority = Authority::new();
    let dir = scratch("secure");
    authority.issue(1).write(&dir);
    let tools =
        json!([{"type":"function","name":"f","parameters":{"type":"object","properties":{}}}]);
    for driver in DRIVERS {
        for version in rustls::ALL_VERSIONS {
            let long = "word ".repeat(20_000);
            let call = calls("think", &[("c1", "f", "{}")]);
            let answers = [call.clone(), text(&long), text("one"), call, text("two")];
            let provider = Provider::start(answers.map(Answer::Stream).into());
            let strait = strait(&provider, driver, &dir, "");
            let scheme = "listening on https://127.0.0.1:";
            assert!(strait.banner.contains(scheme), "{}", strait.banner);
            let config = authority.client_with(&[version], None);

            let mut connection = open(&config, strait.address);
            let body = json!({"model":"m","stream":true,"tools":tools,"input":"x".repeat(300_000)});
            let called = ask(&mut connection, &body);
            let told = ask(&mut connection, &body);
            let protocol = connection.stream.conn.alpn_protocol();
            assert_eq!(protocol, Some(&b"http/1.1"[..]));
            let mut connection = open(&config, strait.address);
            let kind = connection.stream.conn.handshake_kind();
            assert_eq!(kind, Some(HandshakeKind::Resumed), "{version:?}");
            let object = ask(&mut connection, &json!({"model":"m","input":"x"}));
            judge(&[("called", &called), ("told", &told), ("object", &object)]);
            let last = told.events().pop().unwrap();
            assert_eq!(last["response"]["output"][0]["content"][0]["text"], long);

            let mut socket = WebSocket::over(open(&config, strait.address));
            let mut first = create(json!([{"role":"user","content":"go"}]), None);
            first["tools"] = tools.clone();
            let called = socket.ask(&first);
            let output = json!([{"type":"function_call_output","call_id":"c1","output":"7"}]);
            let told = socket.ask(&create(output, Some(&id_of(&called))));
            assert_eq!(text_of(&told), "two");
            let (called, told) = (as_stream(&called), as_stream(&told));
            judge_bodies(&[("called", &called), ("told", &told)]);
        }
    }
}

#[test]
fn the_end_is_told_and_a_client_that_leaves_is_seen() {
    let authority = Authority::new();
    let (dir, config) = (scratch("secure"), authority.client());
    authority.issue(1).write(&dir);
    for driver in DRIVERS {
        let begun = || Answer::Silence(vec![delta(json!({"content":"a"}))]);
        let provider = Provider::start(vec![begun(), begun()]);
        let more = "[timeouts]\ndrain_s = 0.3\n";
        let mut strait = strait(&provider, driver, &dir, more);
        let body = br#"{"model":"m","stream":true,"input":"hi"}"#;
        let stream = || {
            let mut stream = open(&config, strait.address);
            stream.send(post_with("/v1/responses", "", body));
            stream.wait_for("output_text.delta");
            stream
        };
        drop(stream());
        let gone = provider.gone.recv_timeout(Duration::from_secs(5));
        gone.expect("upstream is closed");

        // rustls makes an error of an end without close_notify.
        let mut closing = open(&config, strait.address);
        closing.send("GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(closing.answer().status, 200);
        assert!(closing.is_closed());
        let (mut busy, mut idle) = (stream(), open(&config, strait.address));
        idle.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
        assert_eq!(idle.answer().status, 200);
        strait.signal("TERM");
        assert!(idle.is_closed());
        assert_eq!(busy.answer().terminals(), ["response.failed"]);
        assert!(busy.is_closed());
        assert!(strait.child.wait().unwrap().success());
    }
}

#[test]
fn what_is_no_handshake_is_refused() {
    let authority = Authority::new();
    let dir = scratch("secure");
    authority.issue(1).write(&dir);
    let try_with = |driver: &str| {
        let provider = polite();
        let strait = strait(&provider, driver, &dir, "");
        // Begun and not gone on with.
        let mut slow = Connection::open(strait.address);
        slow.send([22, 3, 1, 2, 0, 1]);
        let mut mute = Connection::open(strait.address);

        let mut plain = Connection::open(strait.address);
        plain.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
        let answer = plain.answer();
        let said = answer.json()["error"]["message"].to_string();
        assert!(answer.status == 400 && said.contains("https://"), "{said}");
        assert!(plain.is_closed());

        let said_to = |bytes: &[u8]| {
            let mut garbage = Connection::open(strait.address);
            garbage.send(bytes);
            let mut said = Vec::new();
            // A reset is as good an end.
            let _ = garbage.stream.read_to_end(&mut said);
            said
        };
        assert_eq!(said_to(&[0x80; 4096]), b"");
        // A fatal alert (RFC 8446, section 6).
        assert_eq!(said_to(&[22, 3, 1, 0, 4, 1, 0, 0, 0])[0], 21);
        let mut h2 = (*authority.client()).clone();
        h2.alpn_protocols = vec![b"h2".to_vec()];
        assert!(connect(&Arc::new(h2), strait.address).is_err());

        hello(&mut open(&authority.client(), strait.address));
        let began = Instant::now();
        assert!(slow.is_closed() && mute.is_closed());
        assert!(began.elapsed() < Duration::from_secs(20));
    };
    std::thread::scope(|scope| {
        for driver in DRIVERS {
            scope.spawn(move || try_with(driver));
        }
    });
}

#[test]
fn a_new_certificate_is_shown_to_new_connections() {
    let authority = Authority::new();
    let try_with = |driver: &str| {
        let provider = polite();
        // As Kubernetes lays secrets out: what changes is one link.
        let dir = scratch("secure");
        let version = |serial: u64| {
            let of_version = dir.join(format!("..{serial}"));
            std::fs::create_dir(&of_version).unwrap();
            let issued = authority.issue(serial);
            issued.write(&of_version);
            std::os::unix::fs::symlink(&of_version, dir.join("..new")).unwrap();
            std::fs::rename(dir.join("..new"), dir.join("..data")).unwrap();
            issued.certificate
        };
        let first = version(1);
        for name in ["tls.crt", "tls.key"] {
            let target = Path::new("..data").join(name);
            std::os::unix::fs::symlink(target, dir.join(name)).unwrap();
        }
        let strait = strait(&provider, driver, &dir, "");
        let config = authority.client();
        let mut old = open(&config, strait.address);
        let mut old_socket = WebSocket::over(open(&config, strait.address));
        hello(&mut old);
        assert_eq!(shown(&old), first);

        let done = AtomicBool::new(false);
        let second = std::thread::scope(|scope| {
            // Panics of a thread in scope are the scope's.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    hello(&mut open(&authority.client(), strait.address));
                }
            });
            let second = version(2);
            // Else it is seen by itself.
            if driver == "io_uring" {
                strait.signal("HUP");
                strait.says("configuration reloaded");
            }
            let until = Instant::now() + Duration::from_secs(30);
            loop {
                let mut new = open(&config, strait.address);
                hello(&mut new);
                let new = shown(&new);
                if new == second {
                    break;
                }
                assert!(new == first && Instant::now() < until, "it stays the first");
            }
            done.store(true, Ordering::Relaxed);
            second
        });
        hello(&mut old);
        let told = old_socket.ask(&create(json!([{"role":"user","content":"go"}]), None));
        assert_eq!(text_of(&told), "hello there");

        // Another key, and its certificate is still to come.
        std::fs::write(dir.join("..data/tls.key"), authority.issue(3).key).unwrap();
        strait.signal("HUP");
        let said = strait.says("configuration ");
        for part in [
            "not reloaded: TLS: key_file ",
            "is not the key of",
            "Mend: ",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(shown(&open(&config, strait.address)), second);
    };
    std::thread::scope(|scope| {
        for driver in DRIVERS {
            scope.spawn(move || try_with(driver));
        }
    });
}

#[test]
fn clients_certificates_are_asked_for() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let dir = scratch("secure");
    authority.issue(1).write(&dir);
    let (own, foreign) = (authority.issue(2), stranger.issue(3));
    let provider = polite();
    for driver in DRIVERS {
        for (mode, without) in [("require", false), ("request", true)] {
            let ca = authority.file();
            let more = format!("client_ca_file = {ca:?}\nclient_auth = \"{mode}\"\n");
            let strait = strait(&provider, driver, &dir, &more);
            for (shown, good) in [(None, without), (Some(&foreign), false), (Some(&own), true)] {
                for version in rustls::ALL_VERSIONS {
                    let config = authority.client_with(&[version], shown);
                    // In TLS 1.3 a client learns of its refusal with the first bytes.
                    let got = connect(&config, strait.address).and_then(|mut secure| {
                        secure.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")?;
                        let mut status = [0; 12];
                        secure.read_exact(&mut status).map(|()| status)
                    });
                    let got = got.is_ok_and(|status| &status == b"HTTP/1.1 200");
                    assert_eq!(got, good, "{mode} {version:?}");
                }
            }
            // Nobody goes on with a session without showing the certificate again.
            let config = authority.client_with(rustls::ALL_VERSIONS, Some(&own));
            for _ in 0..2 {
                let mut connection = open(&config, strait.address);
                hello(&mut connection);
                let kind = connection.stream.conn.handshake_kind();
                assert_eq!(kind, Some(HandshakeKind::Full));
            }
        }
    }
}

#[test]
fn codex_itself_goes_over_tls() {
    let authority = Authority::new();
    let dir = scratch("secure");
    authority.issue(1).write(&dir);
    let provider = Provider::start(vec![Answer::Stream(text("over TLS"))]);
    let strait = strait(&provider, "io_uring", &dir, "");
    let Some(codex) = Codex::new(&strait, "m", "") else {
        return;
    };
    let ca = authority.file();
    let variables = [
        ("STRAIT_KEY", "open"),
        ("CODEX_CA_CERTIFICATE", ca.to_str().unwrap()),
    ];
    let run = codex.exec_with(&["hi"], &variables);
    assert_eq!(run.text(), "over TLS", "{run:?}");
}
