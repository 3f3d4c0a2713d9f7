//! Why a server does not start, or ends.

use crate::config::Listen;
use std::fmt;

/// Why the server could not start, or had to stop.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerError {
    /// The address cannot be listened on.
    Bind {
        /// Which one.
        address: Listen,
        /// In the system's words.
        cause: String,
    },
    /// The address is served by a process already.
    InUse(Listen),
    /// The address can be reached from other machines, and nobody has to present a key.
    Open(Listen),
    /// The place of another process cannot be taken; says which and why.
    TakeOver(String),
    /// Neither driver works, or not the one that was asked for.
    Driver(String),
    /// The audit cannot be used; names it.
    Audit(String),
    /// The store of responses cannot be used; names it.
    Store(String),
    /// TLS cannot be set up; names the file.
    Tls(String),
    /// A thread or the signals could not be set up.
    System(String),
    /// A worker ended without being told to.
    WorkerLost,
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerError::Bind { address, cause } => {
                write!(f, "cannot listen on {address}: {cause}")
            }
            ServerError::InUse(address) => write!(
                f,
                "cannot listen on {address}: another process serves this address already"
            ),
            ServerError::Open(address) => write!(
                f,
                "{address} is beyond loopback, and no client keys are set. Mend: add [[keys]] to \
                 strait.toml."
            ),
            ServerError::TakeOver(why) => f.write_str(why),
            ServerError::Driver(why) => write!(f, "no driver: {why}"),
            ServerError::Audit(why) => write!(f, "audit {why}"),
            ServerError::Store(why) => write!(f, "store {why}"),
            ServerError::Tls(why) => write!(f, "TLS: {why}"),
            ServerError::System(why) => f.write_str(why),
            ServerError::WorkerLost => f.write_str("a worker has crashed; see the log"),
        }
    }
}

impl std::error::Error for ServerError {}
