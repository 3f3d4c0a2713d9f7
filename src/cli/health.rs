//! `strait health`: for what can only run a program to learn whether a Strait serves, as the
//! health check of a container without a shell.

use crate::limits;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

/// Longest status line that is read, in bytes.
const STATUS_LINE_MAX: u64 = 1024;

/// Asks at `url`, `http://host:port/path` or `unix:/path/of/socket`. Healthy is a 200, and a 400:
/// so answers one that serves TLS a request in the clear, and nothing else does here.
pub fn run(url: &str) -> ExitCode {
    match ask(url) {
        Ok(status) if matches!(status.split(' ').nth(1), Some("200" | "400")) => ExitCode::SUCCESS,
        Ok(status) => failed(url, &format!("answered {status:?}")),
        Err(e) => failed(url, &e.to_string()),
    }
}

fn failed(url: &str, why: &str) -> ExitCode {
    eprintln!("strait: {url}: {why}");
    ExitCode::FAILURE
}

/// The status line of the answer.
fn ask(url: &str) -> io::Result<String> {
    let timeout = Some(limits::HEALTH_TIMEOUT);
    if let Some(path) = url.strip_prefix("unix:") {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(timeout)?;
        stream.set_write_timeout(timeout)?;
        return converse(stream, "localhost", "/healthz");
    }
    let Some(rest) = url.strip_prefix("http://") else {
        let what = "neither http://host:port nor unix:/path";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    };
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/healthz"),
    };
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in host.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, limits::HEALTH_TIMEOUT) {
            Ok(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)?;
                return converse(stream, host, path);
            }
            Err(e) => last = e,
        }
    }
    Err(last)
}

fn converse(mut stream: impl Read + Write, host: &str, path: &str) -> io::Result<String> {
    let head = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(STATUS_LINE_MAX)).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
