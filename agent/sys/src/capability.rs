//! Capabilities of the calling thread, as numbers and as sets of bits.
#![expect(
    unsafe_code,
    reason = "the C library has no functions for these system calls"
)]

use std::io;

use nix::libc;

use crate::call::check;

const VERSION_3: u32 = 0x2008_0522;

/// The three sets of a thread; bit N stands for capability N.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CapabilitySets {
    /// What permission checks ask for.
    pub effective: u64,
    /// What the thread may make effective.
    pub permitted: u64,
    /// What survives the execution of a file that asks for it.
    pub inheritable: u64,
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Returns the sets of the calling thread.
///
/// # Errors
/// Fails only on kernels before 2.6.26.
pub fn sets() -> io::Result<CapabilitySets> {
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let mut halves = [Half::default(); 2];
    // SAFETY: capget wants a header and, for version 3, room for two halves; both are initialised, laid out as in C and
    // outlive the call.
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    check(result)?;
    let join = |low: u32, high: u32| u64::from(low) | (u64::from(high) << 32);
    let [low, high] = halves;
    Ok(CapabilitySets {
        effective: join(low.effective, high.effective),
        permitted: join(low.permitted, high.permitted),
        inheritable: join(low.inheritable, high.inheritable),
    })
}

/// Sets the sets of the calling thread.
///
/// # Errors
/// Fails when a set asks for more than the thread may have.
pub fn set(sets: CapabilitySets) -> io::Result<()> {
    let low = |bits: u64| (bits & 0xffff_ffff) as u32;
    let high = |bits: u64| (bits >> 32) as u32;
    let half = |part: fn(u64) -> u32| Half {
        effective: part(sets.effective),
        permitted: part(sets.permitted),
        inheritable: part(sets.inheritable),
    };
    let mut header = Header {
        version: VERSION_3,
        pid: 0,
    };
    let halves = [half(low), half(high)];
    // SAFETY: capset wants a header and, for version 3, two halves; both are initialised, laid out as in C and outlive
    // the call.
    let result = unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) };
    check(result).map(drop)
}

/// Returns the bounding set of the calling thread; it holds no capability that the kernel does not know.
pub fn bounding() -> u64 {
    (0..64_u32)
        // SAFETY: PR_CAPBSET_READ takes a number and touches no memory.
        .filter(|capability| unsafe { libc::prctl(libc::PR_CAPBSET_READ, *capability, 0, 0, 0) } == 1)
        .fold(0, |bits, capability| bits | (1 << capability))
}

/// Removes a capability from the bounding set of the calling thread.
///
/// # Errors
/// Fails without `CAP_SETPCAP`, or when the kernel does not know the capability.
pub fn drop_bounding(capability: u32) -> io::Result<()> {
    // SAFETY: PR_CAPBSET_DROP takes a number and touches no memory.
    let result = unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) };
    check(result.into()).map(drop)
}

/// Empties the ambient set of the calling thread.
///
/// # Errors
/// Fails on kernels before 4.3.
pub fn clear_ambient() -> io::Result<()> {
    // SAFETY: PR_CAP_AMBIENT_CLEAR_ALL takes numbers and touches no memory.
    let result = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_CLEAR_ALL,
            0,
            0,
            0,
        )
    };
    check(result.into()).map(drop)
}

/// Adds a capability, which must be permitted and inheritable, to the ambient set of the calling thread.
///
/// # Errors
/// Fails when it is not permitted and inheritable.
pub fn raise_ambient(capability: u32) -> io::Result<()> {
    // SAFETY: PR_CAP_AMBIENT_RAISE takes numbers and touches no memory.
    let result = unsafe {
        libc::prctl(
            libc::PR_CAP_AMBIENT,
            libc::PR_CAP_AMBIENT_RAISE,
            libc::c_ulong::from(capability),
            0,
            0,
        )
    };
    check(result.into()).map(drop)
}
