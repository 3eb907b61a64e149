//! `-v`: `source:target[:options]`, or a target alone.

use super::{
    DEFAULT_PROPAGATION, InvalidMount, MountFault, MountPoint, MountSyntaxError, PointSource,
    checked_target, clean, is_propagation,
};

/// Reads one text. `volume_driver` is for volumes that it makes.
pub(crate) fn parse(text: &str, volume_driver: &str) -> Result<MountPoint, MountSyntaxError> {
    let malformed = || MountSyntaxError::Malformed(text.to_owned());
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        ["", ..] => return Err(malformed()),
        [target] => ("", target, ""),
        // A place and options are not enough.
        [_, second] if Mode::parse(second).is_some() => return Err(malformed()),
        [source, target] => (source, target, ""),
        [source, target, mode] => (source, target, mode),
        _ => return Err(malformed()),
    };
    let parsed = Mode::parse(mode).ok_or_else(|| MountSyntaxError::Mode(mode.to_owned()))?;
    let is_path = source.starts_with('/');
    let wrong = |fault| MountSyntaxError::Short {
        text: text.to_owned(),
        reason: InvalidMount {
            kind: if is_path { "bind" } else { "volume" }.to_owned(),
            fault,
        },
    };
    let target = checked_target(target).map_err(wrong)?;
    if source.contains('\0') {
        return Err(malformed());
    }
    let mut point = MountPoint {
        target,
        read_only: parsed.read_only,
        mode: mode.to_owned(),
        ..MountPoint::default()
    };
    if is_path {
        if parsed.no_copy {
            return Err(wrong(MountFault::Extra("VolumeOptions")));
        }
        point.source = PointSource::HostPath(clean(source));
        point.propagation = parsed.propagation.unwrap_or(DEFAULT_PROPAGATION).to_owned();
    } else {
        if parsed.propagation.is_some() {
            return Err(wrong(MountFault::Extra("BindOptions")));
        }
        point.copy_up = !parsed.no_copy;
        volume_driver.clone_into(&mut point.driver);
        if !source.is_empty() {
            point.source = PointSource::Volume(source.to_owned());
        }
    }
    Ok(point)
}

/// Options of the short form.
#[derive(Debug, Default)]
pub(super) struct Mode<'a> {
    pub(super) read_only: bool,
    pub(super) no_copy: bool,
    pub(super) propagation: Option<&'a str>,
}

impl<'a> Mode<'a> {
    /// Reads the options; nothing when one does not exist, or when there are two of one sort.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let mut mode = Self::default();
        let mut sorts: Vec<&str> = Vec::new();
        for word in text.split(',').filter(|_| !text.is_empty()) {
            let sort = match word {
                "ro" | "rw" => "access",
                // For SELinux, which has no part in it here.
                "z" | "Z" => "label",
                "nocopy" => "copy",
                // For other systems.
                "consistent" | "cached" | "delegated" => "consistency",
                word if is_propagation(word) => "propagation",
                _ => return None,
            };
            if sorts.contains(&sort) {
                return None;
            }
            sorts.push(sort);
            match sort {
                "access" => mode.read_only = word == "ro",
                "copy" => mode.no_copy = true,
                "propagation" => mode.propagation = Some(word),
                _ => {}
            }
        }
        Some(mode)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn as_vector(input: &Value, point: &MountPoint) -> Value {
        let (kind, source, name) = match &point.source {
            PointSource::HostPath(path) => ("bind", path.as_str(), ""),
            PointSource::Volume(name) => ("volume", "", name.as_str()),
            PointSource::Anonymous | PointSource::Tmpfs(_) => ("volume", "", ""),
        };
        let spec_source = if name.is_empty() { source } else { name };
        json!({
            "input": input, "type": kind, "source": source, "name": name,
            "spec_source": spec_source, "target": point.target, "mode": point.mode,
            "rw": !point.read_only, "propagation": point.propagation,
            "copy_data": point.copy_up, "driver": if kind == "volume" { "local" } else { "" },
        })
    }

    #[test]
    fn binds_are_read_as_docker_reads_them() {
        for vector in crate::vectors::vectors("binds.json") {
            let input = vector["input"].as_str().expect("text");
            match parse(input, "") {
                Ok(point) => assert_eq!(as_vector(&vector["input"], &point), vector),
                Err(error) => assert_eq!(vector["error"], error.to_string(), "{input:?}"),
            }
        }
    }

    #[test]
    fn games_with_colons_and_slashes_end_nowhere_else() {
        let host = parse("/a/../../b:/c/../d:ro", "").expect("host path");
        assert_eq!(host.source, PointSource::HostPath("/b".to_owned()));
        assert_eq!(host.target, "/d");
        for text in [
            "/a:/b:ro:",
            ":::",
            "/a:/b:ro,ro",
            "/a:/b:ro,rw",
            "/a:/b:,",
            "/a\0:/b",
        ] {
            parse(text, "").expect_err(text);
        }
        parse("/a:/..", "").expect_err("the root");
    }
}
