//! Sockets that somebody else has opened, and sockets that are files.

use super::load;
use super::{DRIVERS, config};
use crate::client::Connection;
use crate::strait::{Strait, scratch};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

const HEALTH: &str = "GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";

/// As systemd starts a service: the sockets from descriptor 3 on.
fn activated(dir: &std::path::Path, driver: &str, tcp: OwnedFd, unix: OwnedFd) -> Strait {
    let script = "exec 3<&0 4>&1 </dev/null >/dev/null; LISTEN_PID=$$ exec \"$0\" serve \"$@\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strait")]);
    Strait::serve_by(dir.to_owned(), shell, |command| {
        command
            .args(["--driver", driver])
            .env("LISTEN_FDS", "2")
            .env("LISTEN_FDNAMES", "strait.socket:strait-unix.socket")
            .stdin(Stdio::from(tcp))
            .stdout(Stdio::from(unix));
    })
}

#[test]
fn the_service_manager_gives_sockets_and_keeps_them() {
    for driver in DRIVERS {
        let provider = load::provider();
        let dir = scratch("activated");
        // Nobody listens there: what is given stands for it.
        let text =
            config("127.0.0.1:1", &provider.url(), &[]).replace("workers = 1", "workers = 2");
        std::fs::write(dir.join("strait.toml"), text).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = dir.join("given.sock");
        let unix = UnixListener::bind(&path).unwrap();
        for _ in 0..2 {
            // Each came before the process that serves it.
            let mut early = Connection::open(tcp.local_addr().unwrap());
            early.send(HEALTH);
            let mut by_file = UnixStream::connect(&path).unwrap();
            by_file.write_all(HEALTH.as_bytes()).unwrap();
            let (tcp, unix) = (tcp.try_clone().unwrap(), unix.try_clone().unwrap());
            let mut strait = activated(&dir, driver, tcp.into(), unix.into());
            assert_eq!(early.answer().status, 200);
            let mut said = String::new();
            by_file.read_to_string(&mut said).unwrap();
            assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
            strait.signal("TERM");
            assert!(strait.child.wait().unwrap().success());
        }
        assert!(path.exists());
    }
}

#[test]
fn sockets_that_the_world_reaches_need_keys() {
    let dir = scratch("activated");
    std::fs::write(
        dir.join("strait.toml"),
        config("127.0.0.1:1", "http://127.0.0.1:1", &[]),
    )
    .unwrap();
    let tcp = TcpListener::bind("0.0.0.0:0").unwrap();
    let script =
        "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" serve --config \"$1\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script, env!("CARGO_BIN_EXE_strait")]);
    shell.arg(dir.join("strait.toml"));
    crate::strait::at_home(&mut shell, &dir);
    let output = shell.stdin(OwnedFd::from(tcp)).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no client keys are set"), "{said}");
}

#[test]
fn a_unix_socket_is_served_and_removed() {
    for driver in DRIVERS {
        let provider = load::provider();
        let dir = scratch("unix");
        let path = dir.join("s");
        // A process that was killed has left it.
        drop(UnixListener::bind(&path).unwrap());
        let listen = format!("unix:{}?mode=620", path.display());
        let serve = |more: &[&str]| {
            let text = config(&listen, &provider.url(), &[]);
            Strait::serve(dir.clone(), &text, |command| {
                command.args(["--driver", driver]).args(more);
            })
        };
        let ask = || {
            let body = r#"{"model":"common","stream":true,"input":"hi"}"#;
            let mut stream = UnixStream::connect(&path).unwrap();
            write!(
                stream,
                "POST /v1/responses HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            let mut said = String::new();
            stream.read_to_string(&mut said).unwrap();
            assert!(said.contains("event: response.completed"), "{said}");
        };
        let mut old = serve(&["--workers", "2"]);
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o620);
        ask();
        let mut new = serve(&["--take-over"]);
        assert!(old.child.wait().unwrap().success());
        ask();
        new.signal("TERM");
        assert!(new.child.wait().unwrap().success());
        assert!(!path.exists());
    }
}
