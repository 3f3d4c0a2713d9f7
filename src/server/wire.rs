//! Halves of a socket.
//!
//! monoio loses the bytes of a read whose future is dropped, so no read is ever dropped while
//! its connection is of use: a [`Reader`] owns the pending read and is polled when wanted.

use bytes::{Buf, Bytes};
use monoio::BufResult;
use monoio::buf::{IoBuf, Slice};
use monoio::io::{AsyncReadRent, AsyncWriteRent, OwnedReadHalf, OwnedWriteHalf, Splitable};
use monoio::net::TcpStream;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A boxed future of a worker.
pub(super) type Local<T> = Pin<Box<dyn Future<Output = T>>>;

/// The memory of a read grows and shrinks with what comes: a stream that waits for its provider
/// needs a little, one that runs flat out a lot.
const READ_BYTES_MIN: u32 = 512;
const READ_BYTES_FIRST: u32 = 2 * 1024;
const READ_BYTES_MAX: u32 = 64 * 1024;
/// So many reads in a row that half of the memory would have been enough for make it half.
const READS_SMALL: u8 = 8;

/// How large the next read is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Size {
    bytes: u32,
    /// Reads in a row that were small.
    small: u8,
}

impl Size {
    const FIRST: Size = Size {
        bytes: READ_BYTES_FIRST,
        small: 0,
    };

    /// After a read of so many bytes; `full`: there was room for no more.
    fn after(self, count: usize, full: bool) -> Size {
        let Size { bytes, small } = self;
        let (bytes, small) = if full {
            ((bytes * 4).min(READ_BYTES_MAX), 0)
        } else if count < self.room() / 8 && bytes > READ_BYTES_FIRST {
            (bytes / 2, 0)
        } else if count > self.room() / 2 {
            (bytes, 0)
        } else if small < READS_SMALL {
            (bytes, small + 1)
        } else {
            ((bytes / 2).max(READ_BYTES_MIN), 0)
        };
        Size { bytes, small }
    }

    fn room(self) -> usize {
        self.bytes as usize
    }
}

/// What is handed between a [`Reader`] and its task.
enum Slot {
    Empty,
    /// Read into this.
    Want(Vec<u8>),
    Done(io::Result<usize>, Vec<u8>),
    /// Wait until there is something to read.
    Watch,
    Seen,
}

/// What a [`Reader`] waits for before it reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Watching {
    /// Nothing: a read takes memory while it waits, and is done sooner.
    No,
    /// Something to read, next time.
    Next,
    /// Something to read, now.
    Now,
}

/// The receiving half of a connection, with at most one read pending. The task inside lives as
/// long as the connection: reading allocates nothing.
pub(super) struct Reader {
    slot: Rc<RefCell<Slot>>,
    task: Local<()>,
    /// `None` while a read is pending.
    buffer: Option<Vec<u8>>,
    size: Size,
    watching: Watching,
    control: Control,
}

impl Reader {
    fn new(half: OwnedReadHalf<TcpStream>, control: Control) -> Self {
        let slot = Rc::new(RefCell::new(Slot::Empty));
        Reader {
            task: Box::pin(read_when_wanted(half, slot.clone())),
            slot,
            buffer: Some(Vec::new()),
            size: Size::FIRST,
            watching: Watching::No,
            control,
        }
    }

    /// Starts a read if none is pending, and looks whether it is done. Zero bytes are the end.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.watching != Watching::No && self.buffer.is_some() {
            ready!(self.poll_watch(cx));
            if let Some(result) = self.read_now() {
                return Poll::Ready(result);
            }
        }
        if let Some(mut buffer) = self.buffer.take() {
            if buffer.capacity() != self.size.room() {
                buffer = Vec::with_capacity(self.size.room());
            }
            *self.slot.borrow_mut() = Slot::Want(buffer);
        }
        // The task never ends; it is pending when it waits for the kernel or for `Want`.
        let _ = self.task.as_mut().poll(cx);
        let mut slot = self.slot.borrow_mut();
        match std::mem::replace(&mut *slot, Slot::Empty) {
            Slot::Done(result, buffer) => {
                let full = buffer.len() == buffer.capacity();
                self.size = self.size.after(buffer.len(), full);
                self.buffer = Some(buffer);
                Poll::Ready(result)
            }
            other => {
                *slot = other;
                Poll::Pending
            }
        }
    }

    fn poll_watch(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.watching == Watching::Next {
            self.watching = Watching::Now;
            self.buffer = Some(Vec::new());
            *self.slot.borrow_mut() = Slot::Watch;
        }
        let _ = self.task.as_mut().poll(cx);
        let mut slot = self.slot.borrow_mut();
        if !matches!(*slot, Slot::Seen) {
            return Poll::Pending;
        }
        *slot = Slot::Empty;
        self.watching = Watching::No;
        Poll::Ready(())
    }

    /// Reads what is there already, without a turn of the ring. `None` if there is nothing, or it
    /// has to be found out in the usual way.
    fn read_now(&mut self) -> Option<io::Result<usize>> {
        let mut buffer = Vec::with_capacity(self.size.room());
        let count = self.control.receive(&mut buffer)?;
        self.buffer = Some(buffer);
        Some(Ok(count))
    }

    /// The next read needs no more memory than one for a few bytes; `for_long`: none at all
    /// before there is something to read, for the price of one more operation.
    pub(super) fn expect_little(&mut self, for_long: bool) {
        self.size.bytes = self.size.bytes.min(READ_BYTES_FIRST);
        if for_long && self.watching == Watching::No {
            self.watching = Watching::Next;
        }
    }

    /// The bytes of the last read.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.as_deref().unwrap_or_default()
    }

    /// Whether an operation is pending.
    pub(super) fn is_busy(&self) -> bool {
        self.buffer.is_none() || self.watching == Watching::Now
    }
}

async fn read_when_wanted(mut half: OwnedReadHalf<TcpStream>, slot: Rc<RefCell<Slot>>) {
    loop {
        // No waker: whoever puts a wish there polls this task next.
        let wish = poll_fn(|_| {
            let mut slot = slot.borrow_mut();
            match *slot {
                Slot::Want(_) | Slot::Watch => {
                    Poll::Ready(std::mem::replace(&mut *slot, Slot::Empty))
                }
                _ => Poll::Pending,
            }
        })
        .await;
        let done = match wish {
            Slot::Want(mut buffer) => {
                buffer.clear();
                let (result, buffer) = half.read(buffer).await;
                Slot::Done(result, buffer)
            }
            _ => {
                // An error shows again when it is read.
                let _ = readable(&half).await;
                Slot::Seen
            }
        };
        *slot.borrow_mut() = done;
    }
}

async fn readable(half: &OwnedReadHalf<TcpStream>) -> io::Result<()> {
    // SAFETY: monoio's halves share the stream in this cell and make their own references to it
    // for as long as an operation takes. All of them, and this one, only lead to the shared
    // descriptor inside: nothing that is reachable through it is ever changed. The cell lives as
    // long as `half`.
    let stream = unsafe { &*half.0.get() };
    stream.readable(false).await
}

/// The sending half.
pub(super) type Writer = OwnedWriteHalf<TcpStream>;

/// Writes `buffer[from..]` or a part of it, once; gives back the buffer and how much was written.
// Its own future and not that of an `async fn`: every connection has room for one, and that would
// hold the arguments a second time.
pub(super) fn write_some(
    writer: &mut Writer,
    buffer: Vec<u8>,
    from: usize,
) -> impl Future<Output = BufResult<usize, Slice<Vec<u8>>>> {
    writer.write(buffer.slice(from..))
}

/// Writes a whole buffer.
pub(super) async fn write_all(writer: &mut Writer, mut bytes: Bytes) -> io::Result<()> {
    while !bytes.is_empty() {
        let (result, back) = writer.write(bytes).await;
        bytes = back;
        match result? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => bytes.advance(written),
        }
    }
    Ok(())
}

/// Something to look at a connection with and to shut it down, whatever its halves are doing.
#[derive(Clone, Copy)]
pub(super) struct Control {
    fd: RawFd,
}

impl Control {
    /// Ends the sending side: the peer sees the end of the stream.
    pub(super) fn shutdown_write(&self) {
        self.shutdown(libc::SHUT_WR);
    }

    /// Ends both sides at once, also under a pending operation.
    pub(super) fn shutdown_both(&self) {
        self.shutdown(libc::SHUT_RDWR);
    }

    fn shutdown(&self, how: libc::c_int) {
        // SAFETY: shutdown(2) touches no memory. The descriptor is open: whoever holds a
        // `Control` holds the halves, which own it, next to it.
        unsafe { libc::shutdown(self.fd, how) };
    }

    /// Receives at once into the buffer's spare room, which must not be empty; `None` if nothing
    /// is there, or an error is.
    fn receive(&self, buffer: &mut Vec<u8>) -> Option<usize> {
        let spare = buffer.spare_capacity_mut();
        // SAFETY: the pointer and the length are those of writable memory that outlives the call,
        // and the descriptor is open as said below.
        let got = unsafe {
            libc::recv(
                self.fd,
                spare.as_mut_ptr().cast(),
                spare.len(),
                libc::MSG_DONTWAIT,
            )
        };
        let got = usize::try_from(got).ok()?;
        // SAFETY: so many bytes behind the buffer's length were just written.
        unsafe { buffer.set_len(buffer.len() + got) };
        Some(got)
    }

    /// Whether nothing has arrived: no bytes, no end, no error.
    pub(super) fn is_quiet(&self) -> bool {
        let mut byte = 0u8;
        // SAFETY: the pointer and the length name one writable byte that outlives the call, and
        // the descriptor is open as said above.
        let got = unsafe {
            libc::recv(
                self.fd,
                (&raw mut byte).cast(),
                1,
                libc::MSG_PEEK | libc::MSG_DONTWAIT,
            )
        };
        got < 0 && io::Error::last_os_error().kind() == io::ErrorKind::WouldBlock
    }
}

/// Splits a connection.
pub(super) fn split(stream: TcpStream) -> (Reader, Writer, Control) {
    let control = Control {
        fd: stream.as_raw_fd(),
    };
    let (read, write) = stream.into_split();
    (Reader::new(read, control), write, control)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The size after reads of so many bytes from a peer that sends no more at once.
    fn after(size: Size, counts: impl IntoIterator<Item = usize>) -> Size {
        counts.into_iter().fold(size, |size, count| {
            let count = count.min(size.room());
            size.after(count, count == size.room())
        })
    }

    #[test]
    fn it_grows_at_once_and_shrinks_when_little_comes_for_long() {
        let flat_out = after(Size::FIRST, [usize::MAX; 3]);
        assert_eq!(flat_out.bytes, READ_BYTES_MAX);
        assert_eq!(after(flat_out, [usize::MAX]), flat_out);
        let paced = after(flat_out, [300; 40]);
        assert_eq!(paced.bytes, 512);
        assert_eq!(after(paced, [300; 40]).bytes, 512);
        assert_eq!(after(paced, [1; 40]).bytes, READ_BYTES_MIN);
        // Two events at once now and then.
        let mixed = after(paced, [300, 600]);
        assert_eq!(mixed.bytes, 2048);
        let often = [900, 300, 300, 300].into_iter().cycle();
        assert_eq!(after(mixed, often.take(100)).bytes, 1024);
    }
}
