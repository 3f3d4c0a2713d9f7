//! io_uring or epoll: probed at start, since container runtimes refuse io_uring by default.

use super::ServerError;
use std::future::Future;

/// How a worker waits for its sockets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DriverKind {
    /// `epoll`, where io_uring is refused.
    Epoll,
    /// `io_uring`, with so many entries.
    IoUring,
}

impl DriverKind {
    /// As in `--driver`.
    pub fn name(self) -> &'static str {
        match self {
            DriverKind::Epoll => "epoll",
            DriverKind::IoUring => "io_uring",
        }
    }
}

/// Sizes of the submission ring to try: the memory counts against RLIMIT_MEMLOCK.
const ENTRIES: [u32; 2] = [1024, 256];

fn builder() -> io_uring::Builder {
    let mut builder = io_uring::IoUring::builder();
    // One thread submits, and completions run when it asks for them (Linux 6.1): no interrupts
    // of a busy worker.
    builder.setup_single_issuer().setup_defer_taskrun();
    builder
}

/// A set-up that this kernel takes: its builder and its entries.
fn probe() -> Result<(io_uring::Builder, u32), std::io::Error> {
    let mut last = None;
    for candidate in [builder(), io_uring::IoUring::builder()] {
        for entries in ENTRIES {
            match candidate.build(entries) {
                Ok(_) => return Ok((candidate, entries)),
                Err(e) => last = Some(e),
            }
        }
    }
    Err(last.unwrap_or_else(|| std::io::Error::other("no ring could be made")))
}

/// Chooses the driver; also says why io_uring was refused, where it was.
pub(super) fn choose(
    forced: Option<DriverKind>,
) -> Result<(DriverKind, Option<String>), ServerError> {
    match (forced, probe()) {
        (Some(DriverKind::Epoll), _) => Ok((DriverKind::Epoll, None)),
        (_, Ok(_)) => Ok((DriverKind::IoUring, None)),
        (Some(DriverKind::IoUring), Err(e)) => Err(ServerError(format!(
            "io_uring is refused here ({e}); leave --driver out, or use --driver epoll"
        ))),
        (None, Err(e)) => Ok((DriverKind::Epoll, Some(e.to_string()))),
    }
}

/// Runs `main` to its end on a runtime of the given kind, on this thread.
pub(super) fn block_on<F: Future>(
    kind: DriverKind,
    main: impl FnOnce() -> F,
) -> std::io::Result<F::Output> {
    match kind {
        DriverKind::IoUring => {
            let (builder, entries) = probe()?;
            let mut runtime = monoio::RuntimeBuilder::<monoio::IoUringDriver>::new()
                .uring_builder(builder)
                .with_entries(entries)
                .enable_timer()
                .build()?;
            Ok(runtime.block_on(main()))
        }
        DriverKind::Epoll => {
            let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new()
                .enable_timer()
                .build()?;
            Ok(runtime.block_on(main()))
        }
    }
}
