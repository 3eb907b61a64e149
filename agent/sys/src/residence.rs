//! What of the program itself stays in memory.
#![expect(
    unsafe_code,
    reason = "the kernel is told by a call about raw memory ranges"
)]

/// Takes the program's own code and constants out of this process's memory; what is needed again
/// comes back page by page, usually from the system's page cache.
///
/// Worth calling by a process that has done its big work and mostly waits from now on.
pub fn forget_program() {
    let Ok(mappings) = std::fs::read_to_string("/proc/self/smaps") else {
        return;
    };
    for (begin, length) in clean_mappings(&mappings) {
        // SAFETY: madvise wants a range of whole pages that is mapped, as the kernel has just said of
        // this one. MADV_DONTNEED makes the pages be read from their file when they are used again, and
        // none of them differs from the file: the mapping cannot be written and has no page of its own.
        // A failure leaves everything as it was.
        unsafe {
            libc::madvise(begin as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// Returns where mappings of files are that cannot be written and have no page that was changed, as
/// relocated pages are.
fn clean_mappings(smaps: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(kilobytes) = line.strip_prefix("Anonymous:") {
            let is_clean = kilobytes.trim() == "0 kB";
            found.extend(candidate.take().filter(|_| is_clean));
        } else if let Some(range) = mapping(line) {
            candidate = range;
        }
    }
    found
}

/// Reads the line that a mapping begins with; the inner value is nothing when it must stay.
fn mapping(line: &str) -> Option<Option<(usize, usize)>> {
    let mut words = line.split_ascii_whitespace();
    let (begin, end) = words.next()?.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    let (begin, end) = (number(begin)?, number(end)?);
    let is_fixed = matches!(words.next()?, "r-xp" | "r--p");
    let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
    Some((is_fixed && is_file).then(|| (begin, end - begin)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unchanged_read_only_mappings_of_files_are_forgotten() {
        let mapping = |permissions: &str, path: &str, anonymous: u32| {
            format!(
                "1000-3000 {permissions} 00000000 fe:00 12 {path}\nSize: 8 kB\nAnonymous: {anonymous} kB\nVmFlags: rd\n"
            )
        };
        let clean = |text: &str| clean_mappings(text).len();
        assert_eq!(
            clean_mappings(&mapping("r-xp", "/bin/berthd", 0)),
            [(0x1000, 0x2000)]
        );
        assert_eq!(clean(&mapping("r--p", "/bin/berthd", 0)), 1);
        assert_eq!(
            clean(&mapping("r--p", "/bin/berthd", 8)),
            0,
            "relocated pages"
        );
        assert_eq!(clean(&mapping("rw-p", "/bin/berthd", 0)), 0);
        assert_eq!(clean(&mapping("r-xp", "[vdso]", 0)), 0);
        assert_eq!(clean(&mapping("r--p", "", 0)), 0);
    }

    #[test]
    fn a_program_runs_on_afterwards() {
        forget_program();
        assert_eq!(format!("{}", std::f64::consts::PI), "3.141592653589793");
    }
}
