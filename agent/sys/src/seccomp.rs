//! Installing a seccomp filter.
#![expect(
    unsafe_code,
    reason = "the C library has no function for this system call"
)]

use std::io;

use nix::libc;

use crate::call::check;

/// Installs a filter of classic BPF instructions (eight bytes each) on the calling thread, for good.
///
/// # Errors
/// Fails without `CAP_SYS_ADMIN` unless no-new-privileges is set, and when the program is not a valid filter.
pub fn install_filter(program: &[u8]) -> io::Result<()> {
    let (instructions, rest) = program.as_chunks::<8>();
    let length = u16::try_from(instructions.len()).unwrap_or(0);
    if length == 0 || !rest.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // The kernel wants the alignment of its instruction type.
    let filter: Vec<libc::sock_filter> = instructions
        .iter()
        .map(|[c0, c1, jt, jf, k0, k1, k2, k3]| libc::sock_filter {
            code: u16::from_ne_bytes([*c0, *c1]),
            jt: *jt,
            jf: *jf,
            k: u32::from_ne_bytes([*k0, *k1, *k2, *k3]),
        })
        .collect();
    let program = libc::sock_fprog {
        len: length,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: SECCOMP_SET_MODE_FILTER wants a struct sock_fprog whose pointer and length describe instructions that
    // live as long as the call; the kernel copies and checks them and writes nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            0,
            &raw const program,
        )
    };
    check(result).map(drop)
}
