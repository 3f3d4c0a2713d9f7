//! Listening sockets: opened, or got from another process or the service manager; main holds them
//! all, and each worker a share of them.

use super::ServerError;
use super::driver::phrase;
use crate::config::{Listen, Snapshot};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections that the kernel completes before they are accepted; capped by `somaxconn`.
const BACKLOG: i32 = 4096;
/// How often a busy port is tried again, and how long apart. The kernel takes a moment to give
/// up the port of an io_uring process that has just ended.
const BUSY_TRIES: u32 = 10;
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// A worker's share of a listening socket.
#[derive(Debug)]
pub(super) enum Port {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The listening sockets of one address.
#[derive(Debug)]
pub(super) struct Listener {
    /// The address as it was asked for.
    pub(super) wanted: Listen,
    /// The real one, with the port that the kernel chose for port 0.
    pub(super) address: Listen,
    /// Each has its own queue of connections: none may be left that nobody accepts from.
    pub(super) sockets: Vec<Socket>,
    /// Whether it was the service manager that opened them: then their files are its business,
    /// too.
    pub(super) given: bool,
}

impl Listener {
    /// Opens `wanted`. A TCP address has one socket per worker, so that the kernel spreads
    /// connections.
    pub(super) fn open(wanted: &Listen, workers: usize) -> Result<Self, ServerError> {
        let (address, sockets) = match wanted {
            Listen::Tcp(address) => {
                let (address, sockets) = open_tcp(*address, workers)?;
                (Listen::Tcp(address), sockets)
            }
            Listen::Unix { path, mode } => {
                let socket =
                    open_unix(path, *mode, Type::STREAM).map_err(|e| bind_error(wanted, &e))?;
                (wanted.clone(), vec![socket])
            }
        };
        Ok(Listener {
            wanted: wanted.clone(),
            address,
            sockets,
            given: false,
        })
    }

    /// A socket that somebody else has opened.
    pub(super) fn of(socket: Socket) -> io::Result<Self> {
        let listens = socket.is_listener()? && socket.r#type()? == Type::STREAM;
        let address = socket.local_addr()?;
        let address = match (address.as_socket(), address.is_unix()) {
            (Some(address), _) if listens => Listen::Tcp(address),
            (None, true) if listens => Listen::Unix {
                path: name_of(&address),
                mode: socket_mode(&address),
            },
            _ => {
                let why = "it is no stream socket that listens";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
            }
        };
        Ok(Listener {
            wanted: address.clone(),
            address,
            sockets: vec![socket],
            given: true,
        })
    }

    /// The same sockets once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let sockets: io::Result<Vec<Socket>> = self.sockets.iter().map(Socket::try_clone).collect();
        Ok(Listener {
            wanted: self.wanted.clone(),
            address: self.address.clone(),
            sockets: sockets?,
            given: self.given,
        })
    }

    /// A share of these sockets for each of `workers`. Where there are fewer sockets, workers share
    /// one; where there are more, a worker has several.
    pub(super) fn share(&self, workers: usize) -> io::Result<Vec<Vec<Port>>> {
        let mut shares: Vec<Vec<Port>> = (0..workers).map(|_| Vec::new()).collect();
        for n in 0..self.sockets.len().max(workers) {
            let socket = self.sockets[n % self.sockets.len()].try_clone()?;
            shares[n % workers].push(match self.address {
                Listen::Tcp(_) => Port::Tcp(socket.into()),
                Listen::Unix { .. } => Port::Unix(socket.into()),
            });
        }
        Ok(shares)
    }

    /// Removes the file of a Unix socket that is not to be listened at any more.
    pub(super) fn remove(&self) {
        if let (Listen::Unix { path, .. }, false) = (&self.address, self.given)
            && !is_abstract(path)
        {
            let _ = fs::remove_file(path);
        }
    }
}

/// The sockets of all addresses. What the service manager gives stands for what is configured.
pub(super) fn open_all(
    listen: &[Listen],
    inherited: Vec<Listener>,
    workers: usize,
) -> Result<Vec<Listener>, ServerError> {
    if inherited.iter().any(|listener| listener.given) {
        return Ok(inherited);
    }
    let mut inherited: Vec<Option<Listener>> = inherited.into_iter().map(Some).collect();
    let take = |wanted: &Listen| {
        let mut all = inherited.iter_mut();
        let found = all.find(|one| one.as_ref().is_some_and(|one| one.wanted == *wanted));
        match found.and_then(Option::take) {
            Some(listener) => Ok(listener),
            None => Listener::open(wanted, workers),
        }
    };
    listen.iter().map(take).collect()
}

/// Refuses to be reached from elsewhere by who has no key.
pub(super) fn may_be_open(listeners: &[Listener], snapshot: &Snapshot) -> Result<(), ServerError> {
    let beyond = listeners.iter().find(|l| !l.address.is_local());
    match beyond.filter(|_| snapshot.keys.is_empty()) {
        Some(listener) => Err(ServerError::Open(listener.address.clone())),
        None => Ok(()),
    }
}

fn open_tcp(address: SocketAddr, count: usize) -> Result<(SocketAddr, Vec<Socket>), ServerError> {
    // With SO_REUSEPORT a forgotten process would silently get half of the connections, so
    // first bind without it.
    if address.port() != 0 {
        claim(address)?;
    }
    let fail = |cause: io::Error| bind_error(&Listen::Tcp(address), &cause);
    let first = listen(address).map_err(fail)?;
    let actual = first.local_addr().map_err(fail)?;
    let actual = actual.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    while sockets.len() < count {
        sockets.push(listen(actual).map_err(fail)?);
    }
    Ok((actual, sockets))
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
            Err(e) => return Err(bind_error(&Listen::Tcp(address), &e)),
        }
    }
}

fn exclusive_bind(address: SocketAddr) -> io::Result<()> {
    let socket = tcp_socket(address)?;
    // Lets connections in TIME_WAIT be; a socket that listens is still in the way.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())
}

fn listen(address: SocketAddr) -> io::Result<Socket> {
    let socket = tcp_socket(address)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Inherited by accepted sockets: saves a system call for each.
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn tcp_socket(address: SocketAddr) -> io::Result<Socket> {
    Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )
}

/// A file that a dead process has left is replaced; one that somebody listens at is not.
pub(super) fn open_unix(path: &Path, mode: u32, kind: Type) -> io::Result<Socket> {
    let address = unix_address(path)?;
    match bind_unix(&address, path, mode, kind) {
        Err(e) if e.kind() == io::ErrorKind::AddrInUse && is_stale(path, &address, kind) => {
            fs::remove_file(path)?;
            bind_unix(&address, path, mode, kind)
        }
        bound => bound,
    }
}

fn bind_unix(address: &SockAddr, path: &Path, mode: u32, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind, None)?;
    if is_abstract(path) {
        socket.bind(address)?;
    } else {
        // The file is made with the permissions of the socket (unix(7)): nobody gets in before
        // they are set.
        let file = std::fs::File::from(std::os::fd::OwnedFd::from(socket.try_clone()?));
        file.set_permissions(Permissions::from_mode(mode))?;
        socket.bind(address)?;
        // Exactly these, whatever the umask has taken away.
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn is_stale(path: &Path, address: &SockAddr, kind: Type) -> bool {
    let is_socket = |data: Metadata| data.file_type().is_socket();
    if is_abstract(path) || !fs::symlink_metadata(path).is_ok_and(is_socket) {
        return false;
    }
    let refused = |e: io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    let probe = Socket::new(Domain::UNIX, kind, None);
    probe.is_ok_and(|probe| probe.connect(address).is_err_and(refused))
}

fn is_abstract(path: &Path) -> bool {
    path.as_os_str().as_bytes().starts_with(b"@")
}

/// The address of a file, or of a name behind an `@`.
fn unix_address(path: &Path) -> io::Result<SockAddr> {
    match path.as_os_str().as_bytes().strip_prefix(b"@") {
        None => SockAddr::unix(path),
        Some(name) => {
            let mut bytes = vec![0];
            bytes.extend_from_slice(name);
            SockAddr::unix(PathBuf::from(std::ffi::OsString::from_vec(bytes)))
        }
    }
}

fn name_of(address: &SockAddr) -> PathBuf {
    match (address.as_pathname(), address.as_abstract_namespace()) {
        (Some(path), _) => path.to_owned(),
        (None, Some(name)) => {
            let mut bytes = b"@".to_vec();
            bytes.extend_from_slice(name);
            PathBuf::from(std::ffi::OsString::from_vec(bytes))
        }
        (None, None) => PathBuf::new(),
    }
}

fn socket_mode(address: &SockAddr) -> u32 {
    let data = address.as_pathname().map(fs::metadata);
    data.and_then(Result::ok)
        .map_or(0o600, |data| data.mode() & 0o777)
}

fn bind_error(address: &Listen, cause: &io::Error) -> ServerError {
    if cause.kind() == io::ErrorKind::AddrInUse {
        ServerError::InUse(address.clone())
    } else {
        ServerError::Bind {
            address: address.clone(),
            cause: phrase(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(workers: usize) -> Listener {
        Listener::open(&"127.0.0.1:0".parse().unwrap(), workers).unwrap()
    }

    fn scratch(name: &str) -> PathBuf {
        let name = format!("strait-listener-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn port_zero_is_chosen_once_and_shared() {
        let listener = any(3);
        let Listen::Tcp(address) = listener.address else {
            panic!("{listener:?}")
        };
        assert_ne!(address.port(), 0);
        assert_eq!(listener.sockets.len(), 3);
        for socket in &listener.sockets {
            assert_eq!(socket.local_addr().unwrap().as_socket(), Some(address));
        }
    }

    #[test]
    fn a_served_port_is_named() {
        let taken = any(1);
        let error = Listener::open(&taken.address, 1).unwrap_err();
        assert_eq!(error, ServerError::InUse(taken.address.clone()));
        assert!(error.to_string().contains(&taken.address.to_string()));
    }

    #[test]
    fn every_socket_has_a_worker_and_every_worker_a_socket() {
        for (sockets, workers, shares) in [(3, 2, &[2, 1][..]), (2, 3, &[1, 1, 1]), (2, 2, &[1, 1])]
        {
            let given = any(sockets).share(workers).unwrap();
            let counts: Vec<usize> = given.iter().map(Vec::len).collect();
            assert_eq!(counts, shares);
        }
    }

    #[test]
    fn a_stale_file_is_replaced_and_a_served_one_is_not() {
        let path = scratch("stale");
        let wanted: Listen = format!("unix:{}?mode=660", path.display()).parse().unwrap();
        let first = Listener::open(&wanted, 2).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o660);
        let error = Listener::open(&wanted, 2).unwrap_err();
        assert_eq!(error, ServerError::InUse(wanted.clone()));
        drop(first);
        let second = Listener::open(&wanted, 2).unwrap();
        let other = Listener::of(second.sockets[0].try_clone().unwrap()).unwrap();
        assert_eq!(other.address, wanted);
        second.remove();
        assert!(!path.exists());
        fs::write(&path, "a file").unwrap();
        assert!(Listener::open(&wanted, 1).is_err());
        assert!(path.exists());
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_name_without_a_file_is_served() {
        let wanted: Listen = format!("unix:@strait-test-{}", std::process::id())
            .parse()
            .unwrap();
        let first = Listener::open(&wanted, 1).unwrap();
        assert!(Listener::open(&wanted, 1).is_err());
        let again = Listener::of(first.sockets[0].try_clone().unwrap()).unwrap();
        assert_eq!(again.address, wanted);
    }
}
