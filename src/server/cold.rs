//! Memory that only the program's start needs, and each reading of the configuration.
//!
//! That goes through most of the program and its libraries once, and so do the certificates and the
//! tables of relocations. The pages, and those that the kernel maps around them, then stay in the
//! process without being used again. Given back they cost nothing, and what serving needs of them
//! comes back from the page cache with its first use. `tests/it` holds an idle process against a
//! limit.

use std::ffi::{c_int, c_void};
use std::time::Duration;

/// After so long the threads that a start begins have gone through their own beginnings.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

/// Gives the pages back to the kernel, which would read them from the file again.
pub(super) fn forget() {
    // SAFETY: `of_object` is called on this thread with what the loader knows of each object, and
    // takes no argument.
    unsafe { libc::dl_iterate_phdr(Some(of_object), std::ptr::null_mut()) };
}

/// The program is one, each library another; 0 goes on to the next.
unsafe extern "C" fn of_object(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader gives a valid object, whose headers it has counted.
    let (base, headers) = unsafe {
        let info = &*info;
        let count = usize::from(info.dlpi_phnum);
        let headers = std::slice::from_raw_parts(info.dlpi_phdr, count);
        (info.dlpi_addr as usize, headers)
    };
    // SAFETY: asking for the size of a page touches no memory.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs() as usize;
    for header in headers {
        // A page that was written would be lost.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let at = base + header.p_vaddr as usize;
        let begin = at.next_multiple_of(page);
        let end = (at + header.p_memsz as usize) / page * page;
        if begin < end {
            // SAFETY: the range lies in a mapping of the object's file that nothing writes, so what
            // is read or run there later is what was there before.
            unsafe { libc::madvise(begin as *mut c_void, end - begin, libc::MADV_DONTNEED) };
        }
    }
    0
}
