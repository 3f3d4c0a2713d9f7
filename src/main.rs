//! The `strait` command; see [`strait::cli`].

use std::ffi::{c_int, c_long};

#[global_allocator]
static ALLOCATOR: strait::allocator::Allocator = strait::allocator::Allocator;

/// `mi_option_arena_eager_commit` of mimalloc 3 (`mimalloc.h`; the bindings do not name it).
const ARENA_EAGER_COMMIT: c_int = 4;

unsafe extern "C" {
    fn mi_option_set(option: c_int, value: c_long);
}

/// Memory is the kernel's until it is touched. mimalloc commits an arena at once where the system
/// overcommits; so an idle Strait was 15.7 MB instead of 7, and a waiting stream 24 KiB instead
/// of 21, for the same CPU. `tests/it` holds the first against a limit.
extern "C" fn commit_when_needed() {
    // SAFETY: mimalloc is usable before it was set up, and setting an option only writes a static
    // of its own; an option it does not know is ignored.
    unsafe { mi_option_set(ARENA_EAGER_COMMIT, 0) };
}

// SAFETY: the loader calls what stands in this section before `main`, in the only thread, so the
// option stands before the runtime allocates.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = commit_when_needed;

fn main() -> std::process::ExitCode {
    strait::cli::main()
}
