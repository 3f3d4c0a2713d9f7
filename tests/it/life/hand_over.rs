//! A new process takes the place of the old one.

use super::load::{self, Load};
use super::{DRIVERS, config, status_of};
use crate::certificates::{Authority, open, section, shown};
use crate::client::{Connection, post_with};
use crate::provider::{delta, finish};
use crate::strait::{Strait, at_home, scratch};
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn start(dir: &Path, text: &str, more: &[&str]) -> Strait {
    Strait::serve(dir.to_owned(), text, |command| {
        command.args(more);
    })
}

#[test]
fn hand_overs_under_load_lose_nothing() {
    let provider = load::provider();
    let dir = scratch("hand-over");
    let text = config("127.0.0.1:0", &provider.url(), &[]);
    let mut old = start(&dir, &text, &["--driver", "io_uring", "--workers", "2"]);
    let address = old.address;
    let load = Load::on(address);
    // Fewer and more workers, and every change of driver.
    let heirs = [
        ("io_uring", "3"),
        ("epoll", "1"),
        ("epoll", "3"),
        ("io_uring", "1"),
        ("io_uring", "2"),
    ];
    for (driver, workers) in heirs {
        load.wait_for(50);
        let more = ["--take-over", "--driver", driver, "--workers", workers];
        let new = start(&dir, &text, &more);
        assert_eq!(new.address, address);
        assert!(old.child.wait().unwrap().success());
        new.says(&format!("took the place of process {}", old.child.id()));
        old = new;
        load.wait_for(50);
    }
    let whole = load.end();
    println!("{whole} streams whole over {} hand-overs", heirs.len());
}

/// A provider for one stream, that goes on when it is told to.
fn slow_provider() -> (String, std::sync::mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (go_on, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close";
        write!(stream, "{head}\r\n\r\n").unwrap();
        let mut say = |data: &str| write!(stream, "data: {data}\n\n").unwrap();
        say(&delta(json!({"content": "before "})));
        told.recv().unwrap();
        say(&delta(json!({"content": "after"})));
        finish("stop").iter().for_each(|data| say(data));
    });
    (url, go_on)
}

#[test]
fn a_stream_outlives_the_hand_over_and_its_drain_time() {
    for driver in DRIVERS {
        let (url, go_on) = slow_provider();
        let dir = scratch("outlives");
        let text = config("127.0.0.1:0", &url, &[]) + "[timeouts]\ndrain_s = 0.01\n";
        let mut old = start(&dir, &text, &["--driver", driver]);
        let mut stream = Connection::open(old.address);
        let ask = br#"{"model":"common","stream":true,"input":"hi"}"#;
        stream.send(post_with("/v1/responses", "", ask));
        stream.wait_for("output_text.delta");
        let new = start(&dir, &text, &["--take-over", "--driver", driver]);
        old.says("handed over to process");
        old.says("draining: 1 stream in flight");
        assert_eq!(status_of(&new, "nowhere"), 404);
        go_on.send(()).unwrap();
        let answer = stream.answer();
        assert_eq!(answer.terminals(), ["response.completed"]);
        let body = String::from_utf8(answer.body).unwrap();
        assert!(body.contains("before after"), "{body}");
        drop(stream);
        assert!(old.child.wait().unwrap().success());
    }
}

#[test]
fn tls_goes_on_over_a_hand_over() {
    let authority = Authority::new();
    for driver in DRIVERS {
        let (url, go_on) = slow_provider();
        let dir = scratch("secure-heir");
        authority.issue(1).write(&dir);
        let text = config("127.0.0.1:0", &url, &[]) + &section(&dir);
        let mut old = start(&dir, &text, &["--driver", driver]);
        let client = authority.client();
        let mut stream = open(&client, old.address);
        let ask = br#"{"model":"common","stream":true,"input":"hi"}"#;
        stream.send(post_with("/v1/responses", "", ask));
        stream.wait_for("output_text.delta");
        // The heir reads the files itself.
        let its_own = authority.issue(2);
        its_own.write(&dir);
        let new = start(&dir, &text, &["--take-over", "--driver", driver]);
        old.says("draining: 1 stream in flight");
        for client in [&client, &authority.client()] {
            let mut fresh = open(client, new.address);
            fresh.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
            assert_eq!(fresh.answer().status, 200);
            assert_eq!(shown(&fresh), its_own.certificate);
        }
        go_on.send(()).unwrap();
        assert_eq!(stream.answer().terminals(), ["response.completed"]);
        drop(stream);
        assert!(old.child.wait().unwrap().success());
    }
}

/// A packet of the control socket's.
fn receive(socket: &Socket) -> String {
    let mut bytes = [0; 4096];
    let count = (&*socket).read(&mut bytes).unwrap();
    String::from_utf8(bytes[..count].to_vec()).unwrap()
}

#[test]
fn an_heir_that_fails_leaves_everything_as_it_was() {
    for driver in DRIVERS {
        let provider = load::provider();
        let dir = scratch("fails");
        let text = config("127.0.0.1:0", &provider.url(), &[]);
        let strait = start(&dir, &text, &["--driver", driver]);
        // Before it has begun.
        let mut heir = Command::new(env!("CARGO_BIN_EXE_strait"));
        at_home(&mut heir, &dir);
        heir.args(["serve", "--take-over", "--config"])
            .arg(dir.join("strait.toml"))
            .args(["--listen", "192.0.2.1:1", "--listen", "127.0.0.1:0"]);
        assert!(!heir.output().unwrap().status.success());
        assert_eq!(status_of(&strait, "common"), 200);
        // When nobody accepts: what has come meanwhile waits, and is served.
        let path = dir.join(format!("strait/control-{}.sock", strait.child.id()));
        let control = Socket::new(Domain::UNIX, Type::SEQPACKET, None).unwrap();
        control.connect(&SockAddr::unix(path).unwrap()).unwrap();
        control
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        control.send(b"take-over").unwrap();
        assert_eq!(receive(&control), "listener own 127.0.0.1:0");
        assert_eq!(receive(&control), "all");
        control.send(b"ready").unwrap();
        assert_eq!(receive(&control), "yours");
        let mut waits = Connection::open(strait.address);
        waits.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n");
        drop(control);
        strait.says("not handed over");
        assert_eq!(waits.answer().status, 200);
        assert_eq!(status_of(&strait, "common"), 200);
    }
}

#[test]
fn where_nobody_runs_a_named_process_is_an_error_and_any_is_not() {
    let provider = load::provider();
    let dir = scratch("nobody");
    let text = config("127.0.0.1:0", &provider.url(), &[]);
    let first = start(&dir, &text, &["--take-over"]);
    assert_eq!(status_of(&first, "common"), 200);
    let mut heir = Command::new(env!("CARGO_BIN_EXE_strait"));
    at_home(&mut heir, &dir);
    heir.args(["serve", "--take-over=1", "--config"])
        .arg(dir.join("strait.toml"));
    let output = heir.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        !output.status.success() && said.contains("process 1 has no control"),
        "{said}"
    );
}
