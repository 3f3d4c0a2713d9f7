//! Which kernel interface carries the bytes: io_uring where it is allowed, else epoll.
//!
//! Each worker builds its own ring on its own thread, because a ring with `SINGLE_ISSUER`
//! belongs to the thread that made it. What was achieved is reported to the main thread.

use monoio::time::TimeDriver;
use monoio::{FusionRuntime, IoUringDriver, LegacyDriver, RuntimeBuilder};
use std::io;

/// The kernel interface of a worker.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DriverKind {
    /// Readiness by epoll: everywhere, with more system calls.
    Epoll,
    /// Completions by io_uring.
    IoUring,
}

/// The runtime of one worker.
pub(super) type Runtime = FusionRuntime<TimeDriver<IoUringDriver>, TimeDriver<LegacyDriver>>;

/// A runtime and how it came to be.
pub(super) struct Built {
    pub(super) runtime: Runtime,
    pub(super) kind: DriverKind,
    /// Why io_uring was refused, if it was asked and was.
    pub(super) refused: Option<String>,
}

/// Sizes of the submission queue to try. The locked memory of a ring counts against
/// `RLIMIT_MEMLOCK` on recent kernels; monoio makes none smaller than 256.
const RING_ENTRIES: [u32; 2] = [1024, 256];

/// Builds the runtime for the calling thread. With `forced`, only that driver will do.
///
/// monoio's own `FusionDriver` looks at a tiny ring only and fails when the real one is refused.
pub(super) fn build(forced: Option<DriverKind>) -> Result<Built, String> {
    let refused = if forced == Some(DriverKind::Epoll) {
        None
    } else {
        match build_ring() {
            Ok(runtime) => {
                return Ok(Built {
                    runtime: FusionRuntime::Uring(runtime),
                    kind: DriverKind::IoUring,
                    refused: None,
                });
            }
            Err(reason) => Some(reason),
        }
    };
    if let (Some(DriverKind::IoUring), Some(reason)) = (forced, &refused) {
        return Err(format!(
            "io_uring is refused here ({reason}); leave --driver out, or use --driver epoll"
        ));
    }
    let runtime = RuntimeBuilder::<LegacyDriver>::new()
        .enable_timer()
        .build()
        .map_err(|e| format!("epoll: {}", phrase(&e)))?;
    Ok(Built {
        runtime: FusionRuntime::Legacy(runtime),
        kind: DriverKind::Epoll,
        refused,
    })
}

fn build_ring() -> Result<monoio::Runtime<TimeDriver<IoUringDriver>>, String> {
    // A real, if tiny, ring says why not; monoio only says that not.
    io_uring::IoUring::new(2).map_err(|e| phrase(&e))?;
    if !monoio::utils::detect_uring() {
        return Err("the kernel lacks operations that are needed".to_owned());
    }
    let mut last = String::new();
    for entries in RING_ENTRIES {
        for flags in flag_sets() {
            let built = RuntimeBuilder::<IoUringDriver>::new()
                .uring_builder(flags)
                .with_entries(entries)
                .enable_timer()
                .build();
            match built {
                Ok(runtime) => return Ok(runtime),
                Err(e) => {
                    let unknown_flag = e.raw_os_error() == Some(libc::EINVAL);
                    last = phrase(&e);
                    if !unknown_flag {
                        break;
                    }
                }
            }
        }
    }
    Err(last)
}

/// From the best to the oldest: deferred task work (Linux 6.1), cooperative (5.19), none.
/// Never SQPOLL: monoio 0.2.4 panics when the poller lags.
fn flag_sets() -> [io_uring::Builder; 3] {
    let mut defer = io_uring::IoUring::builder();
    defer
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all();
    let mut cooperative = io_uring::IoUring::builder();
    cooperative.setup_coop_taskrun();
    [defer, cooperative, io_uring::IoUring::builder()]
}

/// The system's words for an error, without Rust's `(os error 1)`.
pub(super) fn phrase(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(at) => text[..at].to_owned(),
        None => text,
    }
}
