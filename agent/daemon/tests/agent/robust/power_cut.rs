//! A power cut, simulated where it matters: the data root is on a disk of its own, the disk's bytes are
//! copied while everything is in use, and an agent starts on the copy as after a boot: no process, no
//! run directory, no network, and of the files only what had reached the disk.
//!
//! `BERTH_POWER_CUTS` makes it many cuts, `BERTH_POWER_SEED` repeats those of a failure.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use berth_proto::v1::{ContainerConfig, HostConfig};
use berth_tests_support::{Fault, FaultyRegistry, Image, Progress, Random, busybox_layer};

use crate::client::{IMAGE, command};
use crate::host::{Host, PATIENCE};
use crate::robust::journal::{Fact, Journal, Notes};
use crate::robust::mix::{COUNTER, Mix};
use crate::robust::verify;

const DISK_BYTES: u64 = 192 << 20;
/// Steps of the agent within which the power goes.
const STEPS: u64 = 600;
/// The container that was there long before.
const OLD: &str = "old";

/// Mounts the disk in a file over the host's data root.
fn mount(host: &Host, disk: &Path) {
    let data = host.path("data");
    fs::create_dir_all(&data).expect("folder");
    let mounted = host
        .enter("mount")
        .args(["-t", "ext4", "-o", "loop"])
        .args([disk, &data])
        .status();
    assert!(mounted.expect("mount").success());
}

/// Copies what is on the disk at this moment, without any help of the filesystem on it. Writes that come
/// meanwhile are held back by nobody, so the copy is taken from its end to its beginning and the journal,
/// which lies in the middle, has what the filesystem knew in between: worse than a real cut.
fn snapshot(disk: &Path, copy: &Path) {
    const CHUNK: usize = 1 << 20;
    let from = File::open(disk).expect("disk");
    let to = File::create(copy).expect("copy");
    to.set_len(DISK_BYTES).expect("size");
    let mut buffer = vec![0; CHUNK];
    let mut at = DISK_BYTES;
    while at > 0 {
        at -= CHUNK as u64;
        from.read_exact_at(&mut buffer, at).expect("read");
        if buffer.iter().any(|byte| *byte != 0) {
            to.write_all_at(&buffer, at).expect("write");
        }
    }
}
