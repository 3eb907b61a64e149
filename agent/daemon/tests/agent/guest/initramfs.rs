//! What the guest boots from: a busybox, the modules of its disk, and a script that goes over to it.

use std::fs;

use super::modules::{FOR_DISK, Kernel};

const INIT: &str = "#!/busybox sh
/busybox mount -t devtmpfs dev /dev
for module in /modules/*; do /busybox insmod $module; done
while ! /busybox test -b /dev/vda; do /busybox sleep 0.05; done
/busybox mount -t ext4 /dev/vda /disk
/busybox umount /dev
exec /busybox switch_root /disk /init
";

/// Returns an archive in the format that kernels unpack, `newc` of cpio (kernel's
/// Documentation/driver-api/early-userspace/buffer-format.rst).
pub(super) fn make(kernel: &Kernel) -> Vec<u8> {
    let mut archive = Vec::new();
    for folder in ["dev", "disk", "modules"] {
        add(&mut archive, folder, 0o040_755, &[]);
    }
    let busybox = fs::read("/bin/busybox").expect("a static busybox on this machine");
    add(&mut archive, "busybox", 0o100_755, &busybox);
    add(&mut archive, "init", 0o100_755, INIT.as_bytes());
    for (number, path) in kernel.in_order(&FOR_DISK).into_iter().enumerate() {
        let module = fs::read(path).expect("module");
        add(
            &mut archive,
            &format!("modules/{number:02}"),
            0o100_644,
            &module,
        );
    }
    add(&mut archive, "TRAILER!!!", 0, &[]);
    archive
}

fn add(archive: &mut Vec<u8>, name: &str, mode: u32, content: &[u8]) {
    let size = u32::try_from(content.len()).expect("size");
    let name_size = u32::try_from(name.len() + 1).expect("size");
    let inode = u32::try_from(archive.len()).expect("size");
    // Inode, mode, user, group, links, time, size, device twice, file's device twice, length of the name, checksum.
    let fields = [inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
    archive.extend_from_slice(b"070701");
    for field in fields {
        archive.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    archive.extend_from_slice(name.as_bytes());
    archive.push(0);
    pad(archive);
    archive.extend_from_slice(content);
    pad(archive);
}

fn pad(archive: &mut Vec<u8>) {
    archive.resize(archive.len().next_multiple_of(4), 0);
}
