//! Giving memory back to the system.
#![expect(unsafe_code, reason = "the C library's allocator is told by a C call")]

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
