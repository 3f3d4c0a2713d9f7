//! Memory that only the program's start needs.
//!
//! The loader reads the program's table of relocations once. Its pages, and those that the kernel
//! maps around them, then stay in the process without being read again: an idle test build had
//! 9.1 MiB, and has 8.3. `tests/it` holds it against a limit.

use std::ffi::{c_int, c_void};

/// Tags of the dynamic section (the System V ABI, chapter 5).
const DT_NULL: usize = 0;
const DT_RELA: usize = 7;
const DT_RELASZ: usize = 8;

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
    let Some(dynamic) = headers.iter().find(|h| h.p_type == libc::PT_DYNAMIC) else {
        return 1;
    };
    let mut entry = (base + dynamic.p_vaddr as usize) as *const [usize; 2];
    let (mut table, mut size) = (0, 0);
    loop {
        // SAFETY: the section is a list of such pairs, and ends with `DT_NULL`.
        let [tag, value] = unsafe { entry.read() };
        match tag {
            DT_NULL => break,
            DT_RELA => table = value,
            DT_RELASZ => size = value,
            _ => {}
        }
        // SAFETY: this pair was not the last.
        entry = unsafe { entry.add(1) };
    }
    // Some loaders leave the offset there, some put the address in its place.
    let table = if table < base { base + table } else { table };
    // Only whole pages of what the program never writes: a page that was written would be lost.
    let never_written = headers.iter().any(|h| {
        let begin = base + h.p_vaddr as usize;
        let within = begin <= table && table + size <= begin + h.p_memsz as usize;
        h.p_type == libc::PT_LOAD && h.p_flags & libc::PF_W == 0 && within
    });
    // SAFETY: asking for the size of a page touches no memory.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.unsigned_abs() as usize;
    let begin = table.next_multiple_of(page);
    let end = (table + size) / page * page;
    if never_written && begin < end {
        // SAFETY: the range lies in a mapping of the program's file that nothing writes, so what
        // is read there later is what was there before.
        unsafe { libc::madvise(begin as *mut c_void, end - begin, libc::MADV_DONTNEED) };
    }
    1
}
