//! Memory that only the program's start needs.
//!
//! Reading the configuration, the certificates and the table of relocations goes through most of
//! the program once. Its pages, and those that the kernel maps around them, then stay in the
//! process without being used again. Given back they cost nothing, and what serving needs of them
//! comes back from the page cache with its first use. `tests/it` holds an idle process against a
//! limit.

use std::ffi::{c_int, c_void};

/// Gives the pages back to the kernel, which would read them from the file again.
pub(super) fn forget() {
    // SAFETY: `of_program` is called on this thread with what the loader knows of each object, and
    // takes no argument.
    unsafe { libc::dl_iterate_phdr(Some(of_program), std::ptr::null_mut()) };
}

/// The first object is the program; not 0 ends the walk.
unsafe extern "C" fn of_program(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
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
            // SAFETY: the range lies in a mapping of the program's file that nothing writes, so
            // what is read or run there later is what was there before.
            unsafe { libc::madvise(begin as *mut c_void, end - begin, libc::MADV_DONTNEED) };
        }
    }
    1
}
