//! The control socket: how another process of the same user asks this one to reload, or to hand
//! over. One packet a question or an answer, its first word says what it is.
//!
//! ```text
//! strait reload        this process              strait serve --take-over
//!     reload ──────────────▶ │ ◀──────────────── take-over
//!     ◀──── ok, or refused … │ listener … ───▶   with the sockets, as often as it takes
//!                            │ all ──────────▶
//!                            │ ◀──────────────── ready    its workers run
//!              accepts no more, yours ───────▶   accepts
//!                            │ ◀──────────────── serving PID
//!                     drains │ done ─────────▶
//! ```
//!
//! Between `yours` and `serving` connections wait in the kernel. If the other process ends there,
//! this one accepts again.

use super::Event;
use super::driver::phrase;
use super::listener::{self, Listener};
use crate::config;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use socket2::{SockAddr, Socket, Type};
use std::fs::{self, DirBuilder};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Most bytes in a packet.
const PACKET_BYTES_MAX: usize = 16 * 1024;
/// Most sockets in a packet: less than the kernel's 253.
const SOCKETS_MAX: usize = 64;
/// How long a peer is waited for.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a new process may take to read certificates and to start its workers.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What the main thread is asked through the socket.
pub(super) enum Ask {
    Reload(Sender<Result<(), String>>),
    /// The listening sockets, to be shared.
    Sockets(Sender<Result<Vec<Listener>, String>>),
    /// To accept nothing; false if that cannot be.
    Rest(Sender<bool>),
    /// To accept again: the other process has failed.
    Resume,
    /// To drain: the other process serves. Answered when the service manager knows.
    Bequeath(u32, Sender<()>),
}

/// The socket of this process.
pub(super) struct Control {
    socket: Socket,
    path: PathBuf,
}

impl Control {
    /// Opens the socket in the first directory that can be used, and starts its thread. An error
    /// is a phrase.
    pub(super) fn start(events: Sender<Event>) -> Result<Self, String> {
        let name = format!("control-{}.sock", std::process::id());
        let mut why = "neither RUNTIME_DIRECTORY nor HOME is set".to_owned();
        for dir in config::runtime_directories(&|name| std::env::var(name).ok()) {
            let path = dir.join(&name);
            match open(&dir, &path) {
                Ok(socket) => {
                    let own = socket.try_clone().map_err(|e| phrase(&e))?;
                    std::thread::Builder::new()
                        .name("strait-control".to_owned())
                        .spawn(move || serve(&own, &events))
                        .map_err(|e| phrase(&e))?;
                    return Ok(Control { socket, path });
                }
                Err(e) => why = format!("{}: {}", path.display(), phrase(&e)),
            }
        }
        Err(why)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Ends the thread, unless it waits for a peer: then the process does.
        let _ = self.socket.shutdown(Shutdown::Both);
        let _ = fs::remove_file(&self.path);
    }
}

fn open(dir: &Path, path: &Path) -> io::Result<Socket> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(dir)?;
    listener::open_unix(path, 0o600, Type::SEQPACKET)
}

fn serve(socket: &Socket, events: &Sender<Event>) {
    while let Ok((peer, _)) = socket.accept() {
        // A peer that breaks off is no matter.
        let _ = answer(&peer, events);
    }
}

fn answer(peer: &Socket, events: &Sender<Event>) -> io::Result<()> {
    peer.set_read_timeout(Some(TIMEOUT))?;
    peer.set_write_timeout(Some(TIMEOUT))?;
    match receive(peer)?.as_str() {
        "reload" => match ask(events, Ask::Reload) {
            Some(Ok(())) => send(peer, "ok"),
            Some(Err(why)) => send(peer, &format!("refused {why}")),
            None => send(peer, STOPPING),
        },
        "take-over" => hand_over(peer, events),
        _ => send(
            peer,
            "refused this version of Strait knows no such question",
        ),
    }
}

/// The answer of a process that does not answer any more.
const STOPPING: &str = "refused it is stopping";

/// Asks the main thread; `None`: it does not answer any more.
fn ask<T>(events: &Sender<Event>, question: impl FnOnce(Sender<T>) -> Ask) -> Option<T> {
    let (sender, receiver) = channel();
    events.send(Event::Asked(question(sender))).ok()?;
    receiver.recv().ok()
}

fn hand_over(peer: &Socket, events: &Sender<Event>) -> io::Result<()> {
    let listeners = match ask(events, Ask::Sockets) {
        Some(Ok(listeners)) => listeners,
        Some(Err(why)) => return send(peer, &format!("refused {why}")),
        None => return send(peer, STOPPING),
    };
    for listener in &listeners {
        let whose = if listener.given { "given" } else { "own" };
        for some in listener.sockets.chunks(SOCKETS_MAX) {
            let text = format!("listener {whose} {}", listener.wanted);
            send_with(peer, &text, some)?;
        }
    }
    drop(listeners);
    send(peer, "all")?;
    peer.set_read_timeout(Some(START_TIMEOUT))?;
    if receive(peer)? != "ready" {
        return Ok(());
    }
    if ask(events, Ask::Rest) != Some(true) {
        let _ = events.send(Event::Asked(Ask::Resume));
        return send(peer, STOPPING);
    }
    let heir = send(peer, "yours").and_then(|()| receive(peer));
    let pid = heir
        .as_ref()
        .ok()
        .and_then(|said| said.strip_prefix("serving "));
    match pid.and_then(|pid| pid.parse().ok()) {
        Some(pid) => {
            let _ = ask(events, |told| Ask::Bequeath(pid, told));
            send(peer, "done")
        }
        None => {
            let _ = events.send(Event::Asked(Ask::Resume));
            heir.map(drop)
        }
    }
}

/// The process whose place this one takes.
pub(super) struct Predecessor {
    socket: Socket,
    pid: u32,
}

impl Predecessor {
    /// Connects to the process `pid`, or to the only one there is. `None`: there is none, and none
    /// was named.
    pub(super) fn find(pid: Option<u32>) -> Result<Option<Self>, String> {
        match find(pid)? {
            Some((pid, socket)) => Ok(Some(Predecessor { socket, pid })),
            None if pid.is_some() => Err(nobody(pid)),
            None => Ok(None),
        }
    }

    /// Its listening sockets. It goes on accepting.
    pub(super) fn sockets(&self) -> Result<Vec<Listener>, String> {
        self.say("take-over")?;
        let mut listeners: Vec<Listener> = Vec::new();
        loop {
            let (text, sockets) = receive_with(&self.socket).map_err(|e| self.broken(&e))?;
            let Some(rest) = text.strip_prefix("listener ") else {
                return match text.as_str() {
                    "all" => Ok(listeners),
                    _ => Err(self.unexpected(&text)),
                };
            };
            let parsed = rest
                .split_once(' ')
                .and_then(|(whose, wanted)| Some((whose == "given", wanted.parse().ok()?)));
            let (given, wanted) = parsed.ok_or_else(|| self.unexpected(&text))?;
            for socket in sockets {
                let one = Listener::of(socket.into()).map_err(|e| self.broken(&e))?;
                match listeners.last_mut() {
                    Some(last) if last.wanted == wanted && last.address == one.address => {
                        last.sockets.extend(one.sockets);
                    }
                    _ => listeners.push(Listener {
                        wanted: wanted.clone(),
                        given,
                        ..one
                    }),
                }
            }
        }
    }

    /// Tells it to accept nothing more: the sockets are this process's.
    pub(super) fn rest(&self) -> Result<(), String> {
        self.expect("ready", "yours")
    }

    /// Tells it to drain.
    pub(super) fn retire(&self) -> Result<u32, String> {
        let serving = format!("serving {}", std::process::id());
        self.expect(&serving, "done")?;
        Ok(self.pid)
    }

    fn expect(&self, say: &str, answer: &str) -> Result<(), String> {
        self.say(say)?;
        match receive(&self.socket) {
            Ok(text) if text == answer => Ok(()),
            Ok(text) => Err(self.unexpected(&text)),
            Err(e) => Err(self.broken(&e)),
        }
    }

    fn say(&self, text: &str) -> Result<(), String> {
        send(&self.socket, text).map_err(|e| self.broken(&e))
    }

    fn broken(&self, e: &io::Error) -> String {
        format!("process {} does not hand over: {}", self.pid, phrase(e))
    }

    fn unexpected(&self, text: &str) -> String {
        let why = text.strip_prefix("refused ").unwrap_or(text);
        format!("process {} does not hand over: {why}", self.pid)
    }
}

/// Asks the process `pid`, or the only one there is, to read its configuration again. Gives its
/// pid, or why it was not done.
pub fn reload(pid: Option<u32>) -> Result<u32, String> {
    let (pid, socket) = find(pid)?.ok_or_else(|| nobody(pid))?;
    let broken = |e: io::Error| format!("process {pid} does not answer: {}", phrase(&e));
    send(&socket, "reload").map_err(broken)?;
    let answer = receive(&socket).map_err(broken)?;
    match answer.strip_prefix("refused ") {
        Some(why) => Err(why.to_owned()),
        None => Ok(pid),
    }
}

fn nobody(pid: Option<u32>) -> String {
    match pid {
        Some(pid) => format!("process {pid} has no control socket that can be reached. {MEND}"),
        None => format!("no Strait is running whose control socket can be reached. {MEND}"),
    }
}

const MEND: &str = "Mend: run this as the user that runs Strait, with the same RUNTIME_DIRECTORY \
                    or XDG_RUNTIME_DIR.";

/// The process that answers; an error if there are several.
fn find(pid: Option<u32>) -> Result<Option<(u32, Socket)>, String> {
    let mut found: Vec<(u32, Socket)> = Vec::new();
    let mut dirs = config::runtime_directories(&|name| std::env::var(name).ok());
    // Where systemd's variable points to, for who is not started by systemd.
    dirs.push(PathBuf::from("/run/strait"));
    for dir in dirs {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| {
                let rest = name.strip_prefix("control-")?;
                rest.strip_suffix(".sock")?.parse().ok()
            });
            let Some(number) = number else { continue };
            let known = found.iter().any(|(other, _)| *other == number);
            if known || pid.is_some_and(|pid| pid != number) {
                continue;
            }
            if let Ok(socket) = connect(&entry.path()) {
                found.push((number, socket));
            }
        }
    }
    if found.len() > 1 {
        let pids: Vec<String> = found.iter().map(|(pid, _)| pid.to_string()).collect();
        let pids = pids.join(", ");
        return Err(format!(
            "several are running: {pids}. Mend: name one by its pid."
        ));
    }
    Ok(found.pop())
}

fn connect(path: &Path) -> io::Result<Socket> {
    let socket = Socket::new(socket2::Domain::UNIX, Type::SEQPACKET, None)?;
    socket.connect(&SockAddr::unix(path)?)?;
    socket.set_read_timeout(Some(START_TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

fn send(socket: &Socket, text: &str) -> io::Result<()> {
    send_with(socket, text, &[])
}

fn send_with(socket: &Socket, text: &str, sockets: &[Socket]) -> io::Result<()> {
    let bytes = &text.as_bytes()[..text.len().min(PACKET_BYTES_MAX)];
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        rights.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    let parts = [IoSlice::new(bytes)];
    sendmsg(socket, &parts, &mut rights, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive(socket: &Socket) -> io::Result<String> {
    Ok(receive_with(socket)?.0)
}

fn receive_with(socket: &Socket) -> io::Result<(String, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(SOCKETS_MAX))];
    let mut rights = RecvAncillaryBuffer::new(&mut space);
    let mut bytes = vec![0; PACKET_BYTES_MAX];
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(socket, &mut parts, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
    let mut sockets = Vec::new();
    for message in rights.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            sockets.extend(descriptors);
        }
    }
    if got.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    bytes.truncate(got.bytes);
    Ok((String::from_utf8_lossy(&bytes).into_owned(), sockets))
}
