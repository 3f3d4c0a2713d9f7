//! The scripted provider: one thread, epoll, and answers prepared beforehand.

use crate::answers::{Answers, Api, MODEL, Stream};
use crate::http::{Reader, Side};
use crate::poll::{Clock, Poll, Ready, Timers};
use crate::script::{Random, Script, find_id, variant};
use memchr::memmem;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

const LISTENER: u64 = u64::MAX;
const BODY_MAX: usize = 64 << 20;
/// Copying stops here; beyond it, prepared bytes are written from where they are.
const COPY_MAX: usize = 32 << 10;
const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";

/// What goes wrong with one answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fault {
    None,
    Stall,
    Cut,
    Corrupt,
    Drop,
}

/// A streaming answer on its way.
struct Answer {
    answers: Arc<Answers>,
    api: Api,
    usage: bool,
    id: [u8; 8],
    fault: Fault,
    /// When the request was complete; deltas are due from here on.
    began: u64,
    /// How much later than the script says, because of a stall.
    late: u64,
    /// Deltas that have been put out.
    step: usize,
    /// Bytes of the framed answer that have been written.
    sent: usize,
    /// Bytes that may be written.
    allowed: usize,
    /// A timer will go on with it.
    waiting: bool,
    keep_alive: bool,
}

impl Answer {
    fn stream(&self) -> &Stream {
        self.answers.stream(self.api, self.usage, variant(&self.id))
    }

    fn due(&self, random: &mut Random) -> u64 {
        let script = &self.answers.script;
        let write = (self.step / script.burst()) as f64;
        let jitter = match script.jitter {
            0.0 => 0.0,
            j => (random.unit() * 2.0 - 1.0) * j * script.interval_ms,
        };
        let ms = script.first_ms + write * script.interval_ms + jitter;
        let due = self.began + self.late + (ms.max(0.0) * 1e6) as u64;
        match (script.interval_ms * 1e6) as u64 {
            beat if script.in_step && beat > 0 && write > 0.0 => due.next_multiple_of(beat),
            _ => due,
        }
    }

    /// True for the step that goes wrong.
    fn is_spoilt(&self, step: usize) -> bool {
        matches!(self.fault, Fault::Corrupt | Fault::Drop) && step == self.stream().steps.len() / 2
    }

    /// How far the prepared bytes may be written as they are.
    fn untouched(&self) -> usize {
        let stream = self.stream();
        let begins = |step: usize| match step {
            0 => 0,
            _ => stream.steps[step - 1].wire_end,
        };
        let mut end = self.allowed;
        let spoilt = stream.steps.len() / 2;
        if self.is_spoilt(spoilt) && begins(spoilt) > self.sent {
            end = end.min(begins(spoilt));
        }
        let holes = &stream.wire.holes;
        if let Some(hole) = holes.get(holes.partition_point(|h| *h < self.sent)) {
            let step = stream.steps.partition_point(|s| s.wire_end <= *hole);
            end = end.min(begins(step).max(self.sent));
        }
        end
    }
}

struct Connection {
    socket: TcpStream,
    generation: u32,
    reader: Reader,
    body: Vec<u8>,
    /// Bytes that were read but belong to the next request.
    ahead: Vec<u8>,
    out: Vec<u8>,
    out_at: usize,
    answer: Option<Answer>,
    closing: bool,
}

/// The provider.
pub struct Provider {
    listener: TcpListener,
    poll: Poll,
    clock: Clock,
    timers: Timers,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    generation: u32,
    random: Random,
    answers: Arc<Answers>,
    input: Vec<u8>,
    requests: u64,
}

fn again(e: &io::Error) -> bool {
    matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl Provider {
    /// Listens on `address`.
    pub fn bind(address: SocketAddr, script: &Script) -> io::Result<Provider> {
        let answers = Answers::new(script).map_err(io::Error::other)?;
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(4096)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from(socket);
        let poll = Poll::new()?;
        poll.add(&listener, LISTENER)?;
        Ok(Provider {
            listener,
            poll,
            clock: Clock::start(),
            timers: Timers::default(),
            connections: Vec::new(),
            free: Vec::new(),
            generation: 0,
            random: Random::new(7),
            answers: Arc::new(answers),
            input: vec![0; 64 << 10],
            requests: 0,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until a system call fails.
    pub fn serve(&mut self) -> io::Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            let wait = self.timers.wait(self.clock.now(), Duration::from_secs(1));
            self.poll.wait(wait, &mut ready)?;
            for event in ready.drain(..) {
                if event.token == LISTENER {
                    self.accept()?;
                    continue;
                }
                let index = event.token as usize;
                if event.read {
                    self.with(index, |p, c| p.receive(c, index, event.closed));
                }
                if event.write {
                    self.with(index, |p, c| match &c.answer {
                        Some(answer) if !answer.waiting => p.advance(c, index, p.clock.now()),
                        _ => p.flush(c),
                    });
                }
            }
            let now = self.clock.now();
            while let Some(token) = self.timers.pop(now) {
                let (index, generation) = ((token & 0xffff_ffff) as usize, (token >> 32) as u32);
                self.with(index, |p, c| match c.generation == generation {
                    true => {
                        c.answer.iter_mut().for_each(|a| a.waiting = false);
                        p.advance(c, index, now)
                    }
                    false => Ok(()),
                });
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::ConnectionAborted || again(&e) => continue,
                Err(e) => return Err(e),
            };
            socket.set_nonblocking(true)?;
            self.generation = self.generation.wrapping_add(1);
            let index = self.free.pop().unwrap_or(self.connections.len());
            if index == self.connections.len() {
                self.connections.push(None);
            }
            self.poll.add(&socket, index as u64)?;
            self.connections[index] = Some(Connection {
                socket,
                generation: self.generation,
                reader: Reader::new(Side::Requests),
                body: Vec::new(),
                ahead: Vec::new(),
                out: Vec::new(),
                out_at: 0,
                answer: None,
                closing: false,
            });
        }
    }

    /// Acts on a connection and closes it when that fails.
    fn with(
        &mut self,
        index: usize,
        act: impl FnOnce(&mut Provider, &mut Connection) -> io::Result<()>,
    ) {
        let Some(mut connection) = self.connections.get_mut(index).and_then(Option::take) else {
            return;
        };
        match act(self, &mut connection) {
            Ok(()) => self.connections[index] = Some(connection),
            Err(_) => self.free.push(index),
        }
    }

    fn receive(&mut self, c: &mut Connection, index: usize, closed: bool) -> io::Result<()> {
        loop {
            let mut input = std::mem::take(&mut self.input);
            let got = c.socket.read(&mut input);
            let outcome = match got {
                Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.take(c, index, &input[..n]).map(|()| n),
                Err(e) => Err(e),
            };
            let room = input.len();
            self.input = input;
            match outcome {
                Ok(n) if n < room && !closed => return Ok(()),
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    fn take(&mut self, c: &mut Connection, index: usize, input: &[u8]) -> io::Result<()> {
        if c.answer.is_some() || c.closing {
            c.ahead.extend_from_slice(input);
            return match c.ahead.len() > BODY_MAX {
                true => Err(ErrorKind::InvalidData.into()),
                false => Ok(()),
            };
        }
        let mut at = 0;
        while at < input.len() {
            let had_head = c.reader.has_head();
            let body = &mut c.body;
            let used = c
                .reader
                .read(&input[at..], &mut |_, piece| body.extend_from_slice(piece))
                .map_err(|e| io::Error::new(ErrorKind::InvalidData, e.0))?;
            at += used;
            if c.body.len() > BODY_MAX {
                return Err(ErrorKind::InvalidData.into());
            }
            if !had_head && c.reader.has_head() && c.reader.head.expects_continue {
                c.out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                self.flush(c)?;
            }
            if c.reader.is_done() {
                self.requests += 1;
                self.answer(c, index)?;
                c.reader.reset();
                c.body.clear();
                if c.answer.is_some() && at < input.len() {
                    c.ahead.extend_from_slice(&input[at..]);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, c: &mut Connection, index: usize) -> io::Result<()> {
        let head = &c.reader.head;
        let target = head.target.split('?').next().unwrap_or("");
        let keep = head.keep_alive;
        let api = match (head.method.as_str(), target) {
            ("POST", t) if t.ends_with("/chat/completions") => Api::Chat,
            ("POST", t) if t.ends_with("/responses") => Api::Responses,
            _ => {
                let (status, body) = self.local(&head.method, target, &c.body);
                object(&mut c.out, status, keep, &body, None);
                c.closing = !keep;
                return self.flush(c);
            }
        };
        let id = find_id(&c.body);
        let script = &self.answers.script;
        if self.random.happens(script.error_rate) {
            let body = br#"{"error":{"message":"scripted","type":"scripted","code":"scripted"}}"#;
            object(&mut c.out, script.error_status, keep, body, None);
            c.closing = !keep;
            return self.flush(c);
        }
        let fault = if self.random.happens(script.cut_rate) {
            Fault::Cut
        } else if self.random.happens(script.corrupt_rate) {
            Fault::Corrupt
        } else if self.random.happens(script.drop_rate) {
            Fault::Drop
        } else if self.random.happens(script.stall_rate) {
            Fault::Stall
        } else {
            Fault::None
        };
        if !says(&c.body, b"\"stream\"") {
            let answers = self.answers.clone();
            let pattern = answers.object(api, variant(&id));
            let start = c.out.len();
            object(&mut c.out, 200, keep, &pattern.bytes, Some(&id));
            if fault == Fault::Corrupt {
                spoil(&mut c.out[start..]);
            }
            c.closing = !keep;
            return self.flush(c);
        }
        let now = self.clock.now();
        c.out.extend_from_slice(STREAM_HEAD);
        let answer = Answer {
            answers: self.answers.clone(),
            api,
            usage: says(&c.body, b"\"include_usage\""),
            id,
            fault,
            began: now,
            late: 0,
            step: 0,
            sent: 0,
            allowed: 0,
            waiting: false,
            keep_alive: keep,
        };
        let paced = answer.answers.script.interval_ms > 0.0 || answer.answers.script.first_ms > 0.0;
        c.answer = Some(answer);
        if paced {
            // A real provider's head comes before its first delta.
            self.flush(c)?;
        }
        self.advance(c, index, now)
    }

    /// Allows the deltas that are due, and says when the next are.
    fn advance(&mut self, c: &mut Connection, index: usize, now: u64) -> io::Result<()> {
        loop {
            let Some(answer) = c.answer.as_mut() else {
                return self.flush(c);
            };
            let script = answer.answers.script.clone();
            let steps = script.steps();
            if answer.step >= steps {
                return self.flush(c);
            }
            let due = answer.due(&mut self.random);
            if due > now {
                answer.waiting = true;
                self.flush(c)?;
                let token = (c.generation as u64) << 32 | index as u64;
                self.timers.add(due, token);
                return Ok(());
            }
            let middle = steps / 2;
            if answer.step == middle && middle > 0 {
                match answer.fault {
                    Fault::Stall if answer.late == 0 => {
                        answer.late = (script.stall_ms * 1e6) as u64;
                        continue;
                    }
                    Fault::Cut => {
                        self.flush(c)?;
                        socket2::SockRef::from(&c.socket).set_linger(Some(Duration::ZERO))?;
                        return Err(ErrorKind::ConnectionReset.into());
                    }
                    _ => {}
                }
            }
            let stops = matches!(answer.fault, Fault::Stall | Fault::Cut);
            let limit = match stops && answer.step < middle {
                true => middle,
                false => steps,
            };
            answer.step = (answer.step + script.burst()).min(limit);
            answer.allowed = answer.stream().steps[answer.step - 1].wire_end;
            self.flush(c)?;
            if c.answer.as_ref().is_some_and(|a| a.sent < a.allowed) {
                // The socket is full: readiness goes on with it.
                return Ok(());
            }
        }
    }

    /// Writes what may be written.
    fn flush(&mut self, c: &mut Connection) -> io::Result<()> {
        loop {
            if let Some(answer) = c.answer.as_mut() {
                fill(answer, &mut c.out, c.out_at);
            }
            if c.out_at < c.out.len() {
                match c.socket.write(&c.out[c.out_at..]) {
                    Ok(n) => c.out_at += n,
                    Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
                if c.out_at == c.out.len() {
                    c.out.clear();
                    c.out_at = 0;
                }
                continue;
            }
            let Some(answer) = c.answer.as_mut() else {
                return match c.closing {
                    true => Err(ErrorKind::ConnectionAborted.into()),
                    false => Ok(()),
                };
            };
            let end = answer.stream().wire.bytes.len();
            if answer.sent == end {
                c.closing = !answer.keep_alive;
                c.answer = None;
                if !c.ahead.is_empty() {
                    return Err(io::Error::other("pipelining is not answered"));
                }
                continue;
            }
            if answer.sent == answer.allowed {
                return Ok(());
            }
            let part = answer.sent..answer.untouched();
            match c.socket.write(&answer.stream().wire.bytes[part]) {
                Ok(n) => answer.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Answers that have nothing to do with a model: the control interface, and lists.
    fn local(&mut self, method: &str, target: &str, body: &[u8]) -> (u16, Vec<u8>) {
        match (method, target) {
            ("GET", "/script") => {
                let text = serde_json::to_vec(&self.answers.script).expect("plain fields");
                (200, text)
            }
            ("PUT", "/script") => {
                let answers = serde_json::from_slice::<Script>(body)
                    .map_err(|e| e.to_string())
                    .and_then(|script| Answers::new(&script));
                match answers {
                    Ok(answers) => {
                        self.answers = Arc::new(answers);
                        (200, b"{}".to_vec())
                    }
                    Err(e) => (
                        400,
                        serde_json::json!({"error": e}).to_string().into_bytes(),
                    ),
                }
            }
            ("GET", "/stats") => {
                let open = self.connections.iter().flatten().count();
                let stats = serde_json::json!({"requests": self.requests, "connections": open});
                (200, stats.to_string().into_bytes())
            }
            ("GET", t) if t.ends_with("/models") => {
                let list = serde_json::json!({"object": "list", "data":
                    [{"id": MODEL, "object": "model", "created": 1, "owned_by": "loadtest"}]});
                (200, list.to_string().into_bytes())
            }
            ("GET" | "HEAD", "/" | "/health") => (200, b"{}".to_vec()),
            _ => (404, br#"{"error":{"message":"no such path"}}"#.to_vec()),
        }
    }
}

/// Moves what must be copied to `out`: what has holes, what is spoilt, and what follows a head.
fn fill(answer: &mut Answer, out: &mut Vec<u8>, out_at: usize) {
    let steps = answer.stream().steps.len();
    while answer.sent < answer.allowed {
        let stream = answer.stream();
        let k = stream.steps.partition_point(|s| s.wire_end <= answer.sent);
        let part = answer.sent..stream.steps[k].wire_end.min(answer.allowed);
        let spoilt = answer.is_spoilt(k);
        let waiting = out.len() > out_at;
        if !(spoilt || stream.wire.has_hole(&part) || waiting && out.len() - out_at < COPY_MAX) {
            return;
        }
        let start = out.len();
        let begins = k == 0 || part.start == stream.steps[k - 1].wire_end;
        if !(spoilt && answer.fault == Fault::Drop && k + 1 < steps && begins) {
            stream.wire.copy(part.clone(), &answer.id, out);
        }
        let text_at = stream.steps[k].text_at;
        if spoilt && answer.fault == Fault::Corrupt && part.contains(&text_at) {
            out[start + text_at - part.start] = b'~';
        }
        answer.sent = part.end;
    }
}

/// Makes one byte of a JSON answer's text wrong.
fn spoil(answer: &mut [u8]) {
    let middle = answer.len() / 2;
    if let Some(at) = answer[middle..].iter().position(u8::is_ascii_lowercase) {
        answer[middle + at] = b'~';
    }
}

/// True when the body has `key` with the value true, whatever the spacing.
fn says(body: &[u8], key: &[u8]) -> bool {
    memmem::find_iter(body, key).any(|at| {
        let mut rest = body[at + key.len()..]
            .iter()
            .filter(|b| !b.is_ascii_whitespace());
        rest.next() == Some(&b':') && b"true".iter().all(|b| rest.next() == Some(b))
    })
}

fn object(out: &mut Vec<u8>, status: u16, keep: bool, body: &[u8], id: Option<&[u8; 8]>) {
    let connection = if keep { "" } else { "connection: close\r\n" };
    let head = format!(
        "HTTP/1.1 {status} Scripted\r\ncontent-type: application/json\r\n{connection}content-length: {}\r\n\r\n",
        body.len()
    );
    out.extend_from_slice(head.as_bytes());
    let start = out.len();
    out.extend_from_slice(body);
    if let Some(id) = id {
        let holes: Vec<usize> = memmem::find_iter(body, crate::script::HOLE).collect();
        for hole in holes {
            out[start + hole..start + hole + 8].copy_from_slice(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_is_found_whatever_the_spacing() {
        assert!(says(b"{\"stream\" : true}", b"\"stream\""));
        assert!(says(
            b"{\"stream_options\":{},\"stream\":true}",
            b"\"stream\""
        ));
        assert!(!says(b"{\"stream\":false}", b"\"stream\""));
        assert!(!says(b"{\"stream\":tru", b"\"stream\""));
    }
}
