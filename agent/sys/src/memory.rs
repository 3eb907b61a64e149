//! Giving memory back to the system.
#![expect(
    unsafe_code,
    reason = "the C library's allocator and the kernel are told by C calls"
)]

/// Returns freed memory to the system, so that a burst of work does not stay in the process's size.
///
/// Worth calling after big work such as a pull; it costs a few milliseconds at most. Does nothing
/// with C libraries that have no such call.
pub fn release_free_memory() {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: malloc_trim takes any number and may be called at any time from any thread.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Takes the program's own machine code out of this process's memory; what is needed again comes back page by page.
///
/// Worth calling by a process that has done its big work and only waits from now on.
pub fn forget_program_code() {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return;
    };
    for (begin, length) in maps.lines().filter_map(code_range) {
        // SAFETY: madvise wants a range of whole pages that is mapped, as the kernel has just said of this one. What
        // MADV_DONTNEED drops is read from the file again when it is used, and since code is never written in
        // memory, that is the same bytes. A failure leaves everything as it was.
        unsafe {
            libc::madvise(
                begin as *mut libc::c_void,
                length,
                libc::MADV_DONTNEED,
            );
        }
    }
}

/// Returns where a mapping begins and how long it is, if it is machine code from a file.
fn code_range(line: &str) -> Option<(usize, usize)> {
    let mut words = line.split_ascii_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let is_code = words.next()? == "r-xp";
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (begin, end) = (number(begin)?, number(end)?);
    (is_code && is_file).then_some((begin, end - begin))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_from_files_is_forgotten() {
        let code = "55d0c0a00000-55d0c0b00000 r-xp 00020000 fe:00 1234   /usr/local/bin/berthd";
        assert_eq!(code_range(code), Some((0x55d0_c0a0_0000, 0x10_0000)));
        for other in [
            "55d0c0a00000-55d0c0b00000 r--p 00020000 fe:00 1234   /usr/local/bin/berthd",
            "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0      [vdso]",
            "7ffd00000000-7ffd00002000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(code_range(other), None, "{other}");
        }
    }

    #[test]
    fn a_program_runs_on_without_its_code() {
        forget_program_code();
        assert_eq!("still here".len(), 10);
    }
}
