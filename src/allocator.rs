//! The memory of the process: mimalloc, asked in the short way.
//!
//! The `mimalloc` crate asks for each block by its alignment. Beyond 1 KiB, and where a page of
//! that size has no block left, mimalloc then takes a longer way, and a larger block, unless the
//! size is a power of two. No usual type needs that: every block is aligned for a word.

use libmimalloc_sys::{mi_malloc, mi_zalloc};
use mimalloc::MiMalloc;
use std::alloc::{GlobalAlloc, Layout};

/// The allocator for `#[global_allocator]`.
pub struct Allocator;

/// What `mi_malloc` and the like give is aligned to a word, whatever its size.
const fn is_usual(layout: &Layout) -> bool {
    layout.align() <= size_of::<usize>()
}

// SAFETY: all blocks come from mimalloc and go back to it. They have the asked size and alignment:
// that of a word by themselves (`mimalloc.h`: a block is aligned to `MI_MAX_ALIGN_SIZE` if it is
// that large, else to its own size), any other as `MiMalloc` does it. Nothing here unwinds.
unsafe impl GlobalAlloc for Allocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        match is_usual(&layout) {
            // SAFETY: any size may be asked for.
            true => unsafe { mi_malloc(layout.size()) }.cast(),
            // SAFETY: the caller's layout.
            false => unsafe { MiMalloc.alloc(layout) },
        }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        match is_usual(&layout) {
            // SAFETY: any size may be asked for.
            true => unsafe { mi_zalloc(layout.size()) }.cast(),
            // SAFETY: the caller's layout.
            false => unsafe { MiMalloc.alloc_zeroed(layout) },
        }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller has the block from here, which is from mimalloc.
        unsafe { MiMalloc.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from here, which is from mimalloc.
        unsafe { MiMalloc.realloc(block, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_zeroed_and_keep_what_they_hold() {
        for align in [1, 2, 4, 8, 16, 64, 4096] {
            for size in [
                1, 7, 8, 9, 24, 40, 1000, 1025, 1280, 5000, 70_000, 3_000_000,
            ] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: the size is not zero, and what is read and written is inside the
                // blocks, which are given back with the layouts that they have.
                unsafe {
                    let zeroed = Allocator.alloc_zeroed(layout);
                    assert_eq!(zeroed.addr() % align, 0, "{layout:?}");
                    assert!((0..size).all(|at| *zeroed.add(at) == 0), "{layout:?}");
                    let block = Allocator.alloc(layout);
                    assert_eq!(block.addr() % align, 0, "{layout:?}");
                    block.write_bytes(7, size);
                    let grown = Allocator.realloc(block, layout, 2 * size);
                    assert_eq!(grown.addr() % align, 0, "{layout:?}");
                    assert!((0..size).all(|at| *grown.add(at) == 7), "{layout:?}");
                    let layout = Layout::from_size_align(2 * size, align).unwrap();
                    Allocator.dealloc(grown, layout);
                    Allocator.dealloc(zeroed, Layout::from_size_align(size, align).unwrap());
                }
            }
        }
    }
}
