//! How many heaps the C library's allocator keeps.
#![expect(unsafe_code, reason = "the C library's allocator is told by a C call")]

/// Limits the allocator to `n_arenas` heaps for all threads together.
///
/// By default it gives threads heaps of their own, which a program with few busy threads pays for in
/// memory that is free but not given back. Call it before threads are started. Does nothing with C
/// libraries that have no such setting.
pub fn limit(n_arenas: u8) {
    #[cfg(target_env = "gnu")]
    {
        // SAFETY: mallopt takes any two numbers, returns 0 for those that it does not like, and may be
        // called at any time from any thread.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, libc::c_int::from(n_arenas));
        }
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = n_arenas;
}
