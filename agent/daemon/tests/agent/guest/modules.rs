//! The guest's kernel and its modules, in an order in which they can be loaded.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a boot needs before there is a disk.
pub(super) const FOR_DISK: [&str; 2] = ["virtio_pci", "virtio_blk"];
/// What the agent needs.
pub(super) const FOR_AGENT: [&str; 13] = [
    "virtio_net",
    "overlay",
    "bridge",
    "veth",
    "nf_tables",
    "nft_chain_nat",
    "nft_ct",
    "nft_nat",
    "nft_masq",
    "nft_redir",
    "nft_reject_inet",
    "nft_fib_inet",
    "nft_fib_ipv4",
];

/// A kernel with modules.
pub(super) struct Kernel {
    pub(super) image: PathBuf,
    /// Files by name.
    modules: BTreeMap<String, PathBuf>,
}

impl Kernel {
    /// Finds the newest kernel for clouds below `BERTH_GUEST_KERNEL`, or of this machine.
    pub(super) fn find() -> Self {
        let root = std::env::var_os("BERTH_GUEST_KERNEL");
        let root = root.map_or_else(|| PathBuf::from("/"), PathBuf::from);
        let boot = root.join("boot");
        let names = fs::read_dir(&boot).into_iter().flatten().flatten();
        let mut versions: Vec<String> = names
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned))
            .filter(|version| version.contains("cloud"))
            .collect();
        versions.sort();
        let version = versions.pop().unwrap_or_else(|| {
            panic!(
                "no vmlinuz-*-cloud-* in {}: BERTH_GUEST_KERNEL",
                boot.display()
            )
        });
        let mut modules = BTreeMap::new();
        for folder in ["lib/modules", "usr/lib/modules"] {
            collect(
                &root.join(folder).join(&version).join("kernel"),
                &mut modules,
            );
        }
        Self {
            image: boot.join(format!("vmlinuz-{version}")),
            modules,
        }
    }

    /// Returns the files of modules and of all that they need, each after what it needs. What the kernel has built in
    /// has no file.
    pub(super) fn in_order(&self, names: &[&str]) -> Vec<&Path> {
        let mut order = Vec::new();
        for name in names {
            self.add(name, &mut order);
        }
        order
    }

    fn add<'a>(&'a self, name: &str, order: &mut Vec<&'a Path>) {
        let Some(path) = self.modules.get(name).map(PathBuf::as_path) else {
            return;
        };
        if order.contains(&path) {
            return;
        }
        for needed in needs(&fs::read(path).expect("module")) {
            self.add(&needed, order);
        }
        order.push(path);
    }
}

fn collect(folder: &Path, modules: &mut BTreeMap<String, PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, modules);
        } else if path.extension().is_some_and(|extension| extension == "ko") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            modules.insert(name.replace('-', "_"), path);
        }
    }
}

/// Returns what a module says it depends on: a text in the file that begins with `depends=`.
fn needs(module: &[u8]) -> Vec<String> {
    let texts = module.split(|byte| *byte == 0);
    let depends = texts
        .filter_map(|text| text.strip_prefix(b"depends="))
        .next()
        .unwrap_or_default();
    let depends = String::from_utf8_lossy(depends).into_owned();
    let names = depends.split(',').filter(|name| !name.is_empty());
    names.map(|name| name.replace('-', "_")).collect()
}
