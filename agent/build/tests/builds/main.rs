//! Whole builds on a machine with real layers and images. They need root, for overlayfs and chroot.

mod faults;
mod images;
mod machine;

use berth_agent_build::BuildOptions;

pub(crate) fn options() -> BuildOptions {
    BuildOptions::default()
}

pub(crate) fn with_args(args: &[(&str, &str)]) -> BuildOptions {
    let build_args = args
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    BuildOptions {
        build_args: build_args.collect(),
        ..options()
    }
}
