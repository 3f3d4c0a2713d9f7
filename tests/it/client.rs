//! A bare HTTP/1.1 client: what it sends is exactly what the test says.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer, its body taken out of its framing.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub fn events(&self) -> Vec<Value> {
        let text = std::str::from_utf8(&self.body).unwrap();
        text.lines()
            .filter_map(|l| l.strip_prefix("data: "))
            .filter(|d| *d != "[DONE]")
            .map(|d| serde_json::from_str(d).unwrap())
            .collect()
    }

    /// The types of the terminal events.
    pub fn terminals(&self) -> Vec<String> {
        let ends = [
            "response.completed",
            "response.incomplete",
            "response.failed",
        ];
        let types = self
            .events()
            .into_iter()
            .map(|e| e["type"].as_str().unwrap().to_owned());
        types.filter(|t| ends.contains(&t.as_str())).collect()
    }
}

/// A connection; `S` is what its bytes go through.
pub struct Connection<S = TcpStream> {
    pub stream: S,
    held: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Connection {
        let stream = TcpStream::connect(address).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        Connection::over(stream)
    }
}

impl<S: Read + Write> Connection<S> {
    pub fn over(stream: S) -> Connection<S> {
        Connection {
            stream,
            held: Vec::new(),
        }
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// Whether the other side closes without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.held.is_empty() && self.stream.read(&mut [0]).is_ok_and(|n| n == 0)
    }

    fn more(&mut self) -> bool {
        let mut buffer = [0; 16 * 1024];
        let n = self.stream.read(&mut buffer).expect("an answer in time");
        self.held.extend_from_slice(&buffer[..n]);
        n > 0
    }

    /// Reads until `text` was seen, without taking anything.
    pub fn wait_for(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.held).contains(text) {
            assert!(
                self.more(),
                "closed before {text:?}: {}",
                String::from_utf8_lossy(&self.held)
            );
        }
    }

    /// The next head.
    pub fn head(&mut self) -> String {
        let end = loop {
            if let Some(at) = self.held.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.more(), "closed before an answer");
        };
        String::from_utf8(self.held.drain(..end).collect()).unwrap()
    }

    /// What was received behind the last head.
    pub fn take_held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    pub fn answer(&mut self) -> Answer {
        let head = self.head();
        let status = head[9..12].parse().unwrap();
        if status == 100 {
            return Answer {
                status,
                head,
                body: Vec::new(),
            };
        }
        let field = |name: &str| {
            head.lines()
                .find_map(|l| l.strip_prefix(name))
                .map(|v| v.trim().to_owned())
        };
        let body = if let Some(length) = field("content-length:") {
            let length: usize = length.parse().unwrap();
            while self.held.len() < length {
                assert!(self.more(), "closed inside a body");
            }
            self.held.drain(..length).collect()
        } else if field("transfer-encoding:").is_some() {
            self.chunked()
        } else {
            while self.more() {}
            std::mem::take(&mut self.held)
        };
        Answer { status, head, body }
    }

    fn chunked(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = loop {
                if let Some(at) = self.held.windows(2).position(|w| w == b"\r\n") {
                    break at;
                }
                assert!(self.more(), "closed inside a chunked body");
            };
            let size = std::str::from_utf8(&self.held[..line]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            while self.held.len() < line + 2 + size + 2 {
                assert!(self.more(), "closed inside a chunk");
            }
            body.extend_from_slice(&self.held[line + 2..line + 2 + size]);
            self.held.drain(..line + 2 + size + 2);
            if size == 0 {
                return body;
            }
        }
    }
}

/// The bytes of a POST.
pub fn post_with(path: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// One POST to `/v1/responses` on a connection of its own.
pub fn respond(address: SocketAddr, body: &Value) -> Answer {
    let mut connection = Connection::open(address);
    connection.send(post_with("/v1/responses", "", body.to_string().as_bytes()));
    connection.answer()
}
