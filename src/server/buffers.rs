//! Output buffers of a worker, lent to whoever has something to say.

use crate::limits;
use std::cell::{Cell, RefCell};

/// A fresh buffer takes an event or two.
const FRESH_BYTES: usize = 1024;

/// Buffers that nobody uses now. A stream that waits holds none, and the last one used, which the
/// cache still knows, is the first one used again.
#[derive(Default)]
pub(super) struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
    bytes: Cell<usize>,
}

impl Buffers {
    /// An empty buffer.
    pub(super) fn take(&self) -> Vec<u8> {
        match self.free.borrow_mut().pop() {
            Some(buffer) => {
                self.bytes.set(self.bytes.get() - buffer.capacity());
                buffer
            }
            None => Vec::with_capacity(FRESH_BYTES),
        }
    }

    /// Takes a buffer back, and keeps it as long as all of them together are not too large.
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        let bytes = self.bytes.get() + buffer.capacity();
        if bytes <= limits::OUTPUT_KEPT_BYTES && buffer.capacity() > 0 {
            buffer.clear();
            self.bytes.set(bytes);
            self.free.borrow_mut().push(buffer);
        }
    }

    /// Gives all memory back.
    pub(super) fn clear(&self) {
        *self.free.borrow_mut() = Vec::new();
        self.bytes.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_given_is_the_first_one_taken_and_the_sum_is_bounded() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(10));
        buffers.give(b"12345678901234567890".to_vec());
        assert_eq!(buffers.take(), b"");
        buffers.give(Vec::with_capacity(limits::OUTPUT_KEPT_BYTES));
        assert!(buffers.take().capacity() < limits::OUTPUT_KEPT_BYTES);
        assert_eq!(buffers.bytes.get(), 0);
        buffers.give(Vec::with_capacity(limits::OUTPUT_KEPT_BYTES));
        buffers.clear();
        assert_eq!(buffers.take().capacity(), FRESH_BYTES);
    }
}
