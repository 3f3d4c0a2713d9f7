//! The tape of a thread, lent to whoever reads one document after another: thousands of streams
//! may wait in a worker, and none of them needs a tape for that.

use super::scan::Tape;
use std::cell::Cell;

/// A tape that has grown beyond so many nodes is not kept.
const NODES_KEPT: usize = 4096;

thread_local! {
    static TAPE: Cell<Tape> = const { Cell::new(Tape::new()) };
}

/// Lends the tape to `read`. Who asks for it while it is lent gets one that is empty.
pub fn with_tape<T>(read: impl FnOnce(&mut Tape) -> T) -> T {
    let mut tape = TAPE.take();
    let result = read(&mut tape);
    if tape.nodes() <= NODES_KEPT {
        TAPE.set(tape);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_unless_it_has_grown_large() {
        let nodes = || with_tape(|tape| tape.nodes());
        let read = |items: usize| {
            let text = format!("[{}1]", "1,".repeat(items - 1));
            with_tape(|tape| {
                let root = tape.parse(text.as_bytes()).unwrap();
                // One within the other has a tape of its own.
                assert!(with_tape(|own| own.parse(b"2").is_ok()));
                assert_eq!(root.items().count(), items);
            });
        };
        read(100);
        assert!((100..=NODES_KEPT).contains(&nodes()));
        read(2 * NODES_KEPT);
        assert!(nodes() < NODES_KEPT);
    }
}
