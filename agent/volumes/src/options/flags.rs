//! Mount options as text (`ro,noexec,size=1m`) into the kernel's flags and what is left.

use nix::mount::MsFlags;

/// Each word with its flag and whether it takes the flag away.
const FLAGS: &[(&str, MsFlags, bool)] = &[
    ("defaults", MsFlags::empty(), false),
    ("ro", MsFlags::MS_RDONLY, false),
    ("rw", MsFlags::MS_RDONLY, true),
    ("nosuid", MsFlags::MS_NOSUID, false),
    ("suid", MsFlags::MS_NOSUID, true),
    ("nodev", MsFlags::MS_NODEV, false),
    ("dev", MsFlags::MS_NODEV, true),
    ("noexec", MsFlags::MS_NOEXEC, false),
    ("exec", MsFlags::MS_NOEXEC, true),
    ("sync", MsFlags::MS_SYNCHRONOUS, false),
    ("async", MsFlags::MS_SYNCHRONOUS, true),
    ("dirsync", MsFlags::MS_DIRSYNC, false),
    ("mand", MsFlags::MS_MANDLOCK, false),
    ("nomand", MsFlags::MS_MANDLOCK, true),
    ("noatime", MsFlags::MS_NOATIME, false),
    ("atime", MsFlags::MS_NOATIME, true),
    ("nodiratime", MsFlags::MS_NODIRATIME, false),
    ("diratime", MsFlags::MS_NODIRATIME, true),
    ("relatime", MsFlags::MS_RELATIME, false),
    ("norelatime", MsFlags::MS_RELATIME, true),
    ("strictatime", MsFlags::MS_STRICTATIME, false),
    ("nostrictatime", MsFlags::MS_STRICTATIME, true),
    ("bind", MsFlags::MS_BIND, false),
    ("rbind", MsFlags::MS_BIND.union(MsFlags::MS_REC), false),
];

/// How further mounts are shared, which the kernel takes in a call of its own.
const PROPAGATION: &[(&str, MsFlags)] = &[
    ("private", MsFlags::MS_PRIVATE),
    ("rprivate", MsFlags::MS_PRIVATE.union(MsFlags::MS_REC)),
    ("shared", MsFlags::MS_SHARED),
    ("rshared", MsFlags::MS_SHARED.union(MsFlags::MS_REC)),
    ("slave", MsFlags::MS_SLAVE),
    ("rslave", MsFlags::MS_SLAVE.union(MsFlags::MS_REC)),
    ("unbindable", MsFlags::MS_UNBINDABLE),
    ("runbindable", MsFlags::MS_UNBINDABLE.union(MsFlags::MS_REC)),
];

/// Returns the flags, the propagation, and the words that are the filesystem's own.
pub(super) fn read(words: &str) -> (MsFlags, MsFlags, String) {
    let (mut flags, mut propagation) = (MsFlags::empty(), MsFlags::empty());
    let mut data = Vec::new();
    for word in words.split(',').filter(|word| !word.is_empty()) {
        let flag = FLAGS.iter().find(|(name, ..)| *name == word);
        let passing = PROPAGATION.iter().find(|(name, _)| *name == word);
        match (flag, passing) {
            (Some((_, flag, false)), _) => flags.insert(*flag),
            (Some((_, flag, true)), _) => flags.remove(*flag),
            (None, Some((_, passing))) => propagation = *passing,
            (None, None) => data.push(word),
        }
    }
    (flags, propagation, data.join(","))
}
