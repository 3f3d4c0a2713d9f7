//! Listening sockets: one per worker and address, so that the kernel spreads connections.

use super::ServerError;
use super::driver::phrase;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

/// Connections that the kernel completes before they are accepted; capped by `somaxconn`.
const BACKLOG: i32 = 4096;
/// How often a busy port is tried again, and how long apart. The kernel takes a moment to give
/// up the port of an io_uring process that has just ended.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// The sockets of one address: one per worker.
#[derive(Debug)]
pub(super) struct Listeners {
    /// The real address, with the port that the kernel chose for port 0.
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<TcpListener>,
}

/// Opens `count` sockets on `address`.
pub(super) fn open(address: SocketAddr, count: usize) -> Result<Listeners, ServerError> {
    // With SO_REUSEPORT a forgotten process would silently get half of the connections, so
    // first bind without it.
    if address.port() != 0 {
        claim(address)?;
    }
    let fail = |cause: io::Error| bind_error(address, &cause);
    let first = listen(address).map_err(fail)?;
    let actual = first.local_addr().map_err(fail)?;
    let mut sockets = vec![first];
    while sockets.len() < count {
        sockets.push(listen(actual).map_err(fail)?);
    }
    Ok(Listeners {
        address: actual,
        sockets,
    })
}

fn claim(address: SocketAddr) -> Result<(), ServerError> {
    let mut tries = 0;
    loop {
        match exclusive_bind(address) {
            Ok(()) => return Ok(()),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse && tries < BUSY_TRIES => {
                tries += 1;
                std::thread::sleep(BUSY_PAUSE);
            }
            Err(e) => return Err(bind_error(address, &e)),
        }
    }
}

fn exclusive_bind(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // Lets connections in TIME_WAIT be; a socket that listens is still in the way.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Inherited by accepted sockets: saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn bind_error(address: SocketAddr, cause: &io::Error) -> ServerError {
    if cause.kind() == io::ErrorKind::AddrInUse {
        ServerError::InUse(address)
    } else {
        ServerError::Bind {
            address,
            cause: phrase(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_zero_is_chosen_once_and_shared() {
        let listeners = open("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        assert_ne!(listeners.address.port(), 0);
        assert_eq!(listeners.sockets.len(), 3);
        for socket in &listeners.sockets {
            assert_eq!(socket.local_addr().unwrap(), listeners.address);
        }
    }

    #[test]
    fn a_served_port_is_named() {
        let taken = open("127.0.0.1:0".parse().unwrap(), 1).unwrap();
        let error = open(taken.address, 1).unwrap_err();
        assert!(matches!(error, ServerError::InUse(a) if a == taken.address));
        assert!(error.to_string().contains(&taken.address.to_string()));
    }
}
