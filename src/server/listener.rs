//! Listening sockets: one per worker and address, sharing the port by SO_REUSEPORT.

use super::{DriverKind, ServerError};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};

const BACKLOG: i32 = 4096;

/// Binds every address once per worker. A port that another process already serves is an error:
/// SO_REUSEPORT would silently share it.
pub(super) fn bind(
    addresses: &[SocketAddr],
    workers: usize,
    driver: DriverKind,
) -> Result<Vec<Vec<TcpListener>>, ServerError> {
    let mut sets: Vec<Vec<TcpListener>> = (0..workers).map(|_| Vec::new()).collect();
    for address in addresses {
        let failed = |e: io::Error| {
            let hint = match e.kind() {
                io::ErrorKind::AddrInUse => ": another process serves this port",
                io::ErrorKind::PermissionDenied => ": ports below 1024 need CAP_NET_BIND_SERVICE",
                _ => "",
            };
            ServerError(format!("cannot listen on {address}: {e}{hint}"))
        };
        if address.port() != 0 {
            drop(socket(*address, false).map_err(failed)?);
        }
        let mut address = *address;
        for set in &mut sets {
            let socket = socket(address, true).map_err(failed)?;
            socket.listen(BACKLOG).map_err(failed)?;
            // A ring polls by itself; a non-blocking socket would make it answer EAGAIN instead.
            socket
                .set_nonblocking(driver == DriverKind::Epoll)
                .map_err(failed)?;
            let listener = TcpListener::from(socket);
            address = listener.local_addr().map_err(failed)?;
            set.push(listener);
        }
    }
    Ok(sets)
}

fn socket(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    // Accepted sockets inherit it.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// The addresses that are served.
pub(super) fn addresses(sets: &[Vec<TcpListener>]) -> Vec<SocketAddr> {
    let first = sets.first().map_or(&[][..], |set| set.as_slice());
    first.iter().filter_map(|l| l.local_addr().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_served_is_refused() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let held = bind(&[any], 2, DriverKind::Epoll).unwrap();
        let address = addresses(&held)[0];
        assert_ne!(address.port(), 0);
        let error = bind(&[address], 1, DriverKind::Epoll)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("another process serves this port"),
            "{error}"
        );
    }
}
