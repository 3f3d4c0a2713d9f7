//! What the service manager is told (sd_notify(3)), if one has asked.

use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Longest wait for a service manager that does not read.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The way to the service manager.
pub(super) struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants a sign of life.
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    pub(super) fn from_env() -> Self {
        let set = |name: &str| env::var(name).ok().filter(|v| !v.is_empty());
        let manager = set("NOTIFY_SOCKET").and_then(|name| reach(&name).ok());
        let meant = |pid: String| pid == std::process::id().to_string();
        let watchdog = match set("WATCHDOG_PID").is_none_or(meant) {
            true => set("WATCHDOG_USEC").and_then(|usec| usec.parse().ok()),
            false => None,
        };
        Notify {
            manager,
            watchdog: watchdog.filter(|usec| *usec > 0).map(Duration::from_micros),
        }
    }

    /// How often to call [`Notify::alive`]: twice as often as is asked for.
    pub(super) fn beat(&self) -> Option<Duration> {
        self.manager
            .as_ref()
            .and(self.watchdog)
            .map(|every| every / 2)
    }

    pub(super) fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    pub(super) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={status}"));
    }

    /// A reload begins; [`Notify::ready`] ends it.
    pub(super) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let usec = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={usec}"));
    }

    pub(super) fn stopping(&self, status: &str) {
        self.send(&format!("STOPPING=1\nSTATUS={status}"));
    }

    /// Another process goes on with the service.
    pub(super) fn main_pid(&self, pid: u32) {
        self.send(&format!("MAINPID={pid}"));
    }

    fn send(&self, text: &str) {
        if let Some((socket, manager)) = &self.manager {
            // Whether it is read is the manager's business.
            let _ = socket.send_to_addr(text.as_bytes(), manager);
        }
    }
}

fn reach(name: &str) -> std::io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok((socket, address))
}
