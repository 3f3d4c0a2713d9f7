//! One connection to the gateway.

use super::plan::Template;
use crate::check::{Checker, Fault, Notes};
use crate::http::{Reader, Side};
use crate::poll::Poll;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};

/// What came of acting on a connection.
pub(super) enum Event {
    /// Nothing that ends anything.
    Waiting,
    /// An idle connection was closed by the gateway.
    Closed,
    /// The answer is over; true: the connection may be used again.
    Done(Result<Notes, Fault>, bool),
}

/// A connection, with at most one request on it.
pub(super) struct Connection {
    socket: TcpStream,
    out: Vec<u8>,
    sent: usize,
    reader: Reader,
    checker: Option<Checker>,
    error: Vec<u8>,
    /// Deltas of the answer that is over.
    ended_events: usize,
    /// When the request was meant to be sent.
    pub(super) intended: u64,
    /// When the last bytes were read.
    pub(super) read_at: u64,
    /// When the last delta came.
    pub(super) last_event: u64,
}

impl Connection {
    /// Begins to connect. A source makes one of many loopback addresses the client's, so that
    /// new connections by the thousand do not run out of ports.
    pub(super) fn open(
        address: SocketAddr,
        source: Option<u32>,
        poll: &Poll,
        token: u64,
    ) -> io::Result<Connection> {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        if let (Some(n), IpAddr::V4(ip)) = (source, address.ip())
            && ip.is_loopback()
        {
            let from = Ipv4Addr::new(127, 1, (n >> 7) as u8 & 127, (n & 127) as u8 + 1);
            socket.bind(&SocketAddr::from((from, 0)).into())?;
        }
        match socket.connect(&address.into()) {
            Ok(()) => {}
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(e) => return Err(e),
        }
        let socket = TcpStream::from(socket);
        poll.add(&socket, token)?;
        Ok(Connection {
            socket,
            out: Vec::new(),
            sent: 0,
            reader: Reader::new(Side::Responses),
            checker: None,
            error: Vec::new(),
            ended_events: 0,
            intended: 0,
            read_at: 0,
            last_event: 0,
        })
    }

    /// True between requests.
    pub(super) fn is_idle(&self) -> bool {
        self.checker.is_none()
    }

    /// Deltas of the answer so far.
    pub(super) fn events(&self) -> usize {
        self.checker
            .as_ref()
            .map_or(self.ended_events, Checker::events)
    }

    /// Makes the request ready; `send` sends it.
    pub(super) fn ask(&mut self, template: &Template, id: &[u8; 8], checker: Checker, at: u64) {
        self.out.clear();
        template.fill(id, &mut self.out);
        self.sent = 0;
        self.reader.reset();
        self.error.clear();
        self.ended_events = 0;
        self.checker = Some(checker);
        self.intended = at;
        self.last_event = 0;
    }

    /// Sends what there is to send.
    pub(super) fn send(&mut self) -> Event {
        while self.sent < self.out.len() {
            match self.socket.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                // Not connected yet, or no room.
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Event::Waiting;
                }
                Err(e) => return self.fail(format!("send: {e}")),
            }
        }
        Event::Waiting
    }

    fn fail(&mut self, what: String) -> Event {
        match self.checker.take() {
            Some(_) => Event::Done(Err(Fault::Failed(what)), false),
            None => Event::Closed,
        }
    }

    /// Reads what there is to read; `closed`: the peer has said that no more will follow.
    pub(super) fn receive(&mut self, input: &mut [u8], now: u64, closed: bool) -> Event {
        self.read_at = now;
        loop {
            let n = match self.socket.read(input) {
                Ok(0) => return self.ended(),
                Ok(n) => n,
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Event::Waiting;
                }
                Err(e) => return self.broken(&format!("{e}")),
            };
            let Some(checker) = self.checker.as_mut() else {
                return Event::Closed;
            };
            let error = &mut self.error;
            let used = self.reader.read(&input[..n], &mut |head, body| {
                if head.status == 200 {
                    checker.feed(body);
                } else if error.len() < 400 {
                    error.extend_from_slice(&body[..body.len().min(400)]);
                }
            });
            match used {
                Err(e) => {
                    self.checker = None;
                    return Event::Done(Err(Fault::Garbled(format!("framing: {}", e.0))), false);
                }
                Ok(used) if self.reader.is_done() => return self.verdict(used == n && !closed),
                // The edge comes once: a full buffer or an end means that there is more to read.
                Ok(_) if n == input.len() || closed => {}
                Ok(_) => return Event::Waiting,
            }
        }
    }

    fn ended(&mut self) -> Event {
        match self.checker.is_some() && self.reader.close() {
            true => self.verdict(false),
            false => self.broken("the connection ended"),
        }
    }

    fn broken(&mut self, what: &str) -> Event {
        let Some(checker) = self.checker.take() else {
            return Event::Closed;
        };
        let events = checker.events();
        self.ended_events = events;
        let text = match self.reader.has_head() {
            true => format!("{what} after {events} deltas"),
            false => format!("{what} before the answer"),
        };
        // What came may be wrong as well as short.
        match checker.finish() {
            Err(Fault::Garbled(g)) if self.reader.has_head() => {
                Event::Done(Err(Fault::Garbled(g)), false)
            }
            _ => Event::Done(Err(Fault::Lost(text)), false),
        }
    }

    fn verdict(&mut self, clean: bool) -> Event {
        let Some(checker) = self.checker.take() else {
            return Event::Closed;
        };
        self.ended_events = checker.events();
        let keep = clean && self.reader.head.keep_alive;
        let status = self.reader.head.status;
        if status != 200 {
            let body = String::from_utf8_lossy(&self.error);
            return Event::Done(Err(Fault::Failed(format!("HTTP {status} {body}"))), keep);
        }
        Event::Done(checker.finish(), keep)
    }
}
