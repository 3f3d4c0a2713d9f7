//! A wire in front of Strait that notes what goes over it, and breaks where the test says.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the wire does.
#[derive(Clone, Copy, PartialEq)]
pub enum Mode {
    Straight,
    /// A WebSocket ends with the first bytes behind its handshake.
    CutWebSockets,
    /// Once so many responses have come over WebSockets, the client's next bytes go over a new one,
    /// whose handshake the client does not see.
    SwapAfter(usize),
}

pub struct Wire {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    strait: SocketAddr,
    mode: Mode,
    /// The first line of what each connection brought.
    lines: Mutex<Vec<String>>,
    /// All that Strait said.
    said: Mutex<Vec<u8>>,
    swaps: AtomicUsize,
}

impl Wire {
    pub fn before(strait: SocketAddr, mode: Mode) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            strait,
            mode,
            lines: Mutex::default(),
            said: Mutex::default(),
            swaps: AtomicUsize::new(0),
        });
        let all = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = Arc::clone(&all);
                std::thread::spawn(move || drop(shared.forward(client)));
            }
        });
        Wire { address, shared }
    }

    /// How many connections began with a request line like this.
    pub fn count(&self, line: &str) -> usize {
        let lines = self.shared.lines.lock().unwrap();
        lines.iter().filter(|l| l.starts_with(line)).count()
    }

    /// Whether Strait said this.
    pub fn heard(&self, text: &str) -> bool {
        self.shared.times(text) > 0
    }
}

impl Shared {
    fn times(&self, text: &str) -> usize {
        let said = self.said.lock().unwrap();
        String::from_utf8_lossy(&said).matches(text).count()
    }

    fn forward(self: &Arc<Self>, mut client: TcpStream) -> std::io::Result<()> {
        let mut server = TcpStream::connect(self.strait)?;
        let current = Arc::new(AtomicUsize::new(0));
        self.back(&server, &client, &current, 0)?;
        let mut buffer = vec![0; 64 * 1024];
        let mut handshake = Vec::new();
        loop {
            let n = client.read(&mut buffer)?;
            if n == 0 {
                return server.shutdown(Shutdown::Both);
            }
            let bytes = &buffer[..n];
            if handshake.is_empty() {
                handshake = bytes.to_vec();
                let text = String::from_utf8_lossy(bytes).into_owned();
                let line = text.lines().next().unwrap_or_default().to_owned();
                self.lines.lock().unwrap().push(line);
            } else if handshake.starts_with(b"GET /v1/responses ") {
                match self.mode {
                    Mode::CutWebSockets => return server.shutdown(Shutdown::Both),
                    Mode::SwapAfter(responses)
                        if self.times("\"type\":\"response.completed\"") >= responses
                            && self.swaps.fetch_add(1, Ordering::Relaxed) == 0 =>
                    {
                        let old = std::mem::replace(&mut server, self.open(&handshake)?);
                        current.store(1, Ordering::Relaxed);
                        old.shutdown(Shutdown::Both)?;
                        self.back(&server, &client, &current, 1)?;
                    }
                    _ => {}
                }
            }
            server.write_all(bytes)?;
        }
    }

    /// A WebSocket behind its handshake.
    fn open(&self, handshake: &[u8]) -> std::io::Result<TcpStream> {
        let mut server = TcpStream::connect(self.strait)?;
        server.write_all(handshake)?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            server.read_exact(&mut byte)?;
            head.extend_from_slice(&byte);
        }
        Ok(server)
    }

    /// Carries what Strait says to the client; its end too, unless another took its place.
    fn back(
        self: &Arc<Self>,
        server: &TcpStream,
        client: &TcpStream,
        current: &Arc<AtomicUsize>,
        number: usize,
    ) -> std::io::Result<()> {
        let (mut server, mut client) = (server.try_clone()?, client.try_clone()?);
        let (shared, current) = (Arc::clone(self), Arc::clone(current));
        std::thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(n @ 1..) = server.read(&mut buffer) {
                shared.said.lock().unwrap().extend_from_slice(&buffer[..n]);
                if client.write_all(&buffer[..n]).is_err() {
                    break;
                }
            }
            if current.load(Ordering::Relaxed) == number {
                let _ = client.shutdown(Shutdown::Both);
            }
        });
        Ok(())
    }
}
