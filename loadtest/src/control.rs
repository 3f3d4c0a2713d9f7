//! The provider's own small interface: its script can be read and set.

use crate::http::{Reader, Side};
use crate::script::Script;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// One request with one answer; returns the status and the body.
pub fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<(u16, Vec<u8>)> {
    let mut socket = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut out = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        out.push_str(&format!("{name}: {value}\r\n"));
    }
    out.push_str("\r\n");
    let mut out = out.into_bytes();
    out.extend_from_slice(body);
    socket.write_all(&out)?;
    let mut reader = Reader::new(Side::Responses);
    let (mut input, mut answer) = (vec![0; 16 << 10], Vec::new());
    while !reader.is_done() {
        let n = socket.read(&mut input)?;
        if n == 0 {
            if !reader.close() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            break;
        }
        reader
            .read(&input[..n], &mut |_, b| answer.extend_from_slice(b))
            .map_err(|e| io::Error::other(e.0))?;
    }
    Ok((reader.head.status, answer))
}

/// Makes the provider at `address` follow `script` from its next answer on.
pub fn set_script(address: SocketAddr, script: &Script) -> io::Result<()> {
    let body = serde_json::to_vec(script).expect("plain fields");
    match ask(address, "PUT", "/script", &[], &body)? {
        (200, _) => Ok(()),
        (status, body) => Err(io::Error::other(format!(
            "the provider at {address} answers {status}: {}",
            String::from_utf8_lossy(&body)
        ))),
    }
}
