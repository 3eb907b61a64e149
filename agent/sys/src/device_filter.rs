//! Attaching a device filter (an eBPF program) to a cgroup of version 2, which has no files for devices.
#![expect(
    unsafe_code,
    reason = "the C library has no function for this system call"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use nix::libc;

use crate::call::{check, owned};

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
const BPF_F_ALLOW_MULTI: u32 = 2;

#[repr(C)]
#[derive(Default)]
struct LoadAttributes {
    program_type: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buffer: u64,
    kernel_version: u32,
    program_flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct AttachAttributes {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
    replaced: u32,
}

/// Loads an eBPF program (eight bytes an instruction) as a device filter and attaches it to a cgroup's directory.
///
/// It stays attached until the cgroup is removed.
///
/// # Errors
/// Fails when the kernel's verifier refuses the program, and without `CAP_BPF` or `CAP_SYS_ADMIN`.
pub fn attach(cgroup: impl AsFd, program: &[u64]) -> io::Result<()> {
    let loaded = load(program)?;
    let number = |fd: libc::c_int| u32::try_from(fd).map_err(io::Error::other);
    let attributes = AttachAttributes {
        target: number(cgroup.as_fd().as_raw_fd())?,
        program: number(loaded.as_raw_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        flags: BPF_F_ALLOW_MULTI,
        replaced: 0,
    };
    // SAFETY: BPF_PROG_ATTACH wants a pointer to the attributes laid out as in C, which outlive the call, and their
    // size; it keeps no pointer.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_ATTACH,
            &raw const attributes,
            size_of::<AttachAttributes>(),
        )
    };
    check(result).map(drop)
}

fn load(program: &[u64]) -> io::Result<OwnedFd> {
    let attributes = LoadAttributes {
        program_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        instruction_count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadAttributes::default()
    };
    // SAFETY: BPF_PROG_LOAD wants a pointer to the attributes laid out as in C, with pointers to that many
    // instructions and to a NUL-terminated licence; all outlive the call, and the kernel copies them.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            BPF_PROG_LOAD,
            &raw const attributes,
            size_of::<LoadAttributes>(),
        )
    };
    owned(result)
}
