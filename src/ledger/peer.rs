//! Where a request comes from.

use std::fmt;
use std::net::IpAddr;

/// The other side of a connection, or whoever a trusted proxy says is behind it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Peer {
    /// Nobody has said.
    #[default]
    Unknown,
    /// A program of this machine, over a Unix socket.
    Unix,
    /// An address of the network. Never IPv4 inside of IPv6.
    Ip(IpAddr),
}

impl Peer {
    /// The one of this address, whichever family its socket has.
    pub fn of(address: IpAddr) -> Peer {
        Peer::Ip(address.to_canonical())
    }
}

impl fmt::Display for Peer {
    /// The address, `unix`, or nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Unknown => Ok(()),
            Peer::Unix => f.write_str("unix"),
            Peer::Ip(address) => address.fmt(f),
        }
    }
}
