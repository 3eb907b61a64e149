//! `--mount`: every property has its name.

use std::path::{Component, Path};

use super::{
    DEFAULT_PROPAGATION, InvalidMount, MountFault, MountPoint, PointSource, checked_target, clean,
    is_propagation,
};
use crate::options::MountOptions;

/// Checks a mount of the long form.
pub(crate) fn parse(options: &MountOptions) -> Result<MountPoint, InvalidMount> {
    point(options).map_err(|fault| InvalidMount {
        kind: options.kind.clone(),
        fault,
    })
}

fn point(options: &MountOptions) -> Result<MountPoint, MountFault> {
    let point = MountPoint {
        target: checked_target(&options.target)?,
        read_only: options.read_only,
        ..MountPoint::default()
    };
    match options.kind.as_str() {
        "bind" => bind(options, point),
        "volume" => volume(options, point),
        "tmpfs" => tmpfs(options, point),
        _ => Err(MountFault::Kind),
    }
}

fn bind(options: &MountOptions, point: MountPoint) -> Result<MountPoint, MountFault> {
    if options.source.is_empty() {
        return Err(MountFault::Missing("Source"));
    }
    let propagation = options.bind_propagation.as_str();
    if !propagation.is_empty() && !is_propagation(propagation) {
        return Err(MountFault::Propagation(propagation.to_owned()));
    }
    if has_volume_options(options) {
        return Err(MountFault::Extra("VolumeOptions"));
    }
    if !options.source.starts_with('/') || options.source.contains('\0') {
        return Err(MountFault::NotAbsolute(options.source.clone()));
    }
    if options.bind_read_only_non_recursive && options.bind_read_only_force_recursive {
        return Err(MountFault::ReadOnlyBelow);
    }
    Ok(MountPoint {
        source: PointSource::HostPath(clean(&options.source)),
        propagation: if propagation.is_empty() {
            DEFAULT_PROPAGATION.to_owned()
        } else {
            propagation.to_owned()
        },
        must_exist: !options.bind_create_mountpoint,
        non_recursive: options.bind_non_recursive,
        writable_below: options.bind_read_only_non_recursive,
        ..point
    })
}

fn volume(options: &MountOptions, point: MountPoint) -> Result<MountPoint, MountFault> {
    if has_bind_options(options) {
        return Err(MountFault::Extra("BindOptions"));
    }
    let is_anonymous = options.source.is_empty();
    if !options.volume_subpath.is_empty() {
        if is_anonymous {
            return Err(MountFault::AnonymousSubpath);
        }
        if !is_local(&options.volume_subpath) {
            return Err(MountFault::Subpath);
        }
    }
    if options.read_only && is_anonymous {
        return Err(MountFault::AnonymousReadOnly);
    }
    Ok(MountPoint {
        source: if is_anonymous {
            PointSource::Anonymous
        } else {
            PointSource::Volume(options.source.clone())
        },
        copy_up: !options.volume_no_copy,
        subpath: options.volume_subpath.clone(),
        labels: options.volume_labels.clone(),
        driver: options.volume_driver.clone(),
        driver_options: options.volume_driver_options.clone(),
        ..point
    })
}

fn tmpfs(options: &MountOptions, point: MountPoint) -> Result<MountPoint, MountFault> {
    if has_bind_options(options) {
        return Err(MountFault::Extra("BindOptions"));
    }
    if !options.source.is_empty() {
        return Err(MountFault::Extra("Source"));
    }
    if options.tmpfs_size_bytes < 0 {
        return Err(MountFault::TmpfsSize(options.tmpfs_size_bytes));
    }
    let mode = options.tmpfs_mode.unwrap_or(0o1777);
    if mode > 0o7777 {
        return Err(MountFault::TmpfsMode(mode));
    }
    let mut words: Vec<String> = ["noexec", "nosuid", "nodev"].map(str::to_owned).to_vec();
    if options.read_only {
        words.push("ro".to_owned());
    }
    words.push(format!("mode={mode:o}"));
    if options.tmpfs_size_bytes > 0 {
        words.push(format!("size={}", options.tmpfs_size_bytes));
    }
    Ok(MountPoint {
        source: PointSource::Tmpfs(words),
        ..point
    })
}

fn has_bind_options(options: &MountOptions) -> bool {
    !options.bind_propagation.is_empty()
        || options.bind_non_recursive
        || options.bind_create_mountpoint
        || options.bind_read_only_non_recursive
        || options.bind_read_only_force_recursive
}

fn has_volume_options(options: &MountOptions) -> bool {
    options.volume_no_copy
        || !options.volume_labels.is_empty()
        || !options.volume_driver.is_empty()
        || !options.volume_driver_options.is_empty()
        || !options.volume_subpath.is_empty()
}

/// Whether a path stays below where it begins.
fn is_local(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in Path::new(path).components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    !path.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(kind: &str, source: &str) -> MountOptions {
        MountOptions {
            kind: kind.to_owned(),
            source: source.to_owned(),
            target: "/t".to_owned(),
            ..MountOptions::default()
        }
    }

    fn refused(options: &MountOptions) -> String {
        parse(options).expect_err("wrong").to_string()
    }

    #[test]
    fn each_kind_takes_its_own_properties_only() {
        let point = parse(&options("bind", "/a/../b")).expect("bind");
        assert_eq!(point.source, PointSource::HostPath("/b".to_owned()));
        assert!(point.must_exist && !point.copy_up);
        assert_eq!(
            refused(&options("bind", "")),
            "invalid mount config for type \"bind\": field Source must not be empty"
        );
        assert_eq!(
            refused(&options("bind", "rel")),
            "invalid mount config for type \"bind\": invalid mount path: 'rel' mount path must be absolute"
        );
        assert_eq!(
            refused(&options("tmpfs", "/x")),
            "invalid mount config for type \"tmpfs\": field Source must not be specified"
        );
        assert_eq!(
            refused(&options("npipe", "/x")),
            "invalid mount config for type \"npipe\": mount type unknown"
        );
        let mut volume = options("volume", "v");
        volume.bind_propagation = "rshared".to_owned();
        assert_eq!(
            refused(&volume),
            "invalid mount config for type \"volume\": field BindOptions must not be specified"
        );
    }

    #[test]
    fn a_path_in_a_volume_stays_there() {
        let mut volume = options("volume", "v");
        for good in ["a", "a/b", "a/../b", "./a"] {
            volume.volume_subpath = good.to_owned();
            parse(&volume).expect(good);
        }
        for bad in ["..", "a/../..", "/a", "../v2"] {
            volume.volume_subpath = bad.to_owned();
            assert!(refused(&volume).ends_with("within the volume"), "{bad}");
        }
        volume.source.clear();
        volume.volume_subpath = "a".to_owned();
        assert!(refused(&volume).ends_with("anonymous volumes"));
    }

    #[test]
    fn a_tmpfs_gets_its_size_and_its_mode() {
        let mut asked = options("tmpfs", "");
        asked.tmpfs_size_bytes = 4096;
        asked.tmpfs_mode = Some(0o700);
        let words = ["noexec", "nosuid", "nodev", "mode=700", "size=4096"];
        let words = words.map(str::to_owned).to_vec();
        assert_eq!(
            parse(&asked).expect("tmpfs").source,
            PointSource::Tmpfs(words)
        );
    }
}
