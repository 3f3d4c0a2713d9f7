//! The Autobahn suite itself, where its fuzzing client is installed (it needs Python 2.7):
//!
//! ```text
//! virtualenv -p python2.7 v && v/bin/pip install autobahntestsuite
//! WSTEST=v/bin/wstest cargo test --test it autobahn -- --ignored
//! ```
//!
//! It wants a server that echoes: this one is Strait's handshake and connection on plain sockets.

use crate::strait::scratch;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;
use strait::http::head::{Parsed, request, write_response};
use strait::http::websocket::{self, Connection, Message, encode};

#[test]
#[ignore = "needs the Autobahn suite: WSTEST is the path of its wstest"]
fn every_case_of_the_suite_passes() {
    let wstest = std::env::var_os("WSTEST").expect("WSTEST is the path of wstest");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || drop(echo(stream)));
        }
    });
    let dir = scratch("autobahn");
    // 12 and 13 are about compression, which is never agreed on.
    let spec = json!({
        "outdir": dir.join("reports"),
        "servers": [{"agent": "strait", "url": url}],
        "cases": ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
    });
    let file = dir.join("spec.json");
    std::fs::write(&file, spec.to_string()).unwrap();
    let status = Command::new(wstest)
        .args(["-m", "fuzzingclient", "-s"])
        .arg(&file)
        .current_dir(&dir)
        .status();
    assert!(status.unwrap().success());
    let index = std::fs::read(dir.join("reports/index.json")).unwrap();
    let index: Value = serde_json::from_slice(&index).unwrap();
    let cases = index["strait"].as_object().unwrap();
    assert!(cases.len() > 300, "only {} cases were run", cases.len());
    let good = |verdict: &Value| verdict == "OK" || verdict == "INFORMATIONAL";
    let bad: Vec<_> = cases
        .iter()
        .filter(|(_, v)| !good(&v["behavior"]) || !good(&v["behaviorClose"]))
        .collect();
    eprintln!("{} cases", cases.len());
    assert!(bad.is_empty(), "{bad:#?}");
}

/// Sends every message back, until the connection closes.
fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut head = Vec::new();
    let accept = loop {
        let n = stream.read(&mut buffer)?;
        head.extend_from_slice(&buffer[..n]);
        if let Ok(Parsed::Complete { head, .. }) = request(&head) {
            break websocket::accept(&head).expect("a handshake");
        }
        assert!(n > 0, "no handshake");
    };
    let mut out = Vec::new();
    let fields = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", &accept),
    ];
    write_response(&mut out, 101, &fields);
    let mut connection = Connection::new(64 << 20);
    loop {
        stream.write_all(&out)?;
        out.clear();
        if connection.is_closed() {
            stream.shutdown(Shutdown::Write)?;
            while stream.read(&mut buffer)? > 0 {}
            return Ok(());
        }
        let n = stream.read(&mut buffer)?;
        if n == 0 {
            return Ok(());
        }
        let mut input = &buffer[..n];
        while let Some(message) = connection.receive(&mut input, &mut out) {
            match message {
                Message::Text(text) => encode::text(&mut out, &text),
                Message::Binary(bytes) => encode::binary(&mut out, &bytes),
            }
        }
    }
}
