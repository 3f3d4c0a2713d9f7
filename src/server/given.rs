//! Sockets that the service manager has opened (sd_listen_fds(3)).

use super::ServerError;
use super::listener::Listener;
use socket2::Socket;
use std::os::fd::{FromRawFd, RawFd};

/// Where they begin.
const FIRST: RawFd = 3;

/// The sockets that `LISTEN_PID` and `LISTEN_FDS` tell of. To be called once.
pub(super) fn listeners() -> Result<Vec<Listener>, ServerError> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Ok(Vec::new());
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':');
    let count = number("LISTEN_FDS").unwrap_or(0);
    let mut listeners: Vec<Listener> = Vec::new();
    for fd in (FIRST..).take(count as usize) {
        let name = names.next().unwrap_or_default();
        // SAFETY: the service manager has opened this descriptor for this process, and nothing
        // else in it knows of it.
        let socket = unsafe { Socket::from_raw_fd(fd) };
        let listener = socket.set_cloexec(true).and_then(|()| Listener::of(socket));
        let listener = listener.map_err(|e| {
            ServerError::System(format!("descriptor {fd} of LISTEN_FDS ({name}): {e}"))
        })?;
        match listeners.iter_mut().find(|l| l.address == listener.address) {
            Some(same) => same.sockets.extend(listener.sockets),
            None => listeners.push(listener),
        }
    }
    Ok(listeners)
}
