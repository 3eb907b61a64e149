//! `--mount`.

use berth_proto::v1::Mount;

use super::{csv, number, volume};
use crate::ui;
use crate::units::size;

/// Which families of options were used; each goes with one type only.
#[derive(Debug, Default)]
struct Used {
    bind: bool,
    volume: bool,
    tmpfs: bool,
    image: bool,
}

/// Reads `type=…,source=…,target=…` and the options of each type.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let mut mount = Mount {
        r#type: "volume".to_owned(),
        ..Mount::default()
    };
    let mut used = Used::default();
    for field in csv::fields(text)? {
        match field.split_once('=') {
            Some((name, value)) => {
                let name = name.to_lowercase();
                set(&mut mount, &mut used, &name, value, &field)?;
            }
            None => set_switch(&mut mount, &mut used, &field)?,
        }
    }
    check(&mount, &used)?;
    Ok(mount)
}

/// Takes a field without a value.
fn set_switch(mount: &mut Mount, used: &mut Used, field: &str) -> Result<(), String> {
    match field.to_lowercase().as_str() {
        "readonly" | "ro" => mount.read_only = true,
        "volume-nocopy" => {
            used.volume = true;
            mount.volume_no_copy = true;
        }
        "bind-nonrecursive" => {
            used.bind = true;
            mount.bind_non_recursive = true;
        }
        _ => {
            return Err(format!("invalid field '{field}' must be a key=value pair"));
        }
    }
    Ok(())
}

fn set(
    mount: &mut Mount,
    used: &mut Used,
    name: &str,
    value: &str,
    field: &str,
) -> Result<(), String> {
    match name.split_once('-') {
        Some(("bind", _)) => used.bind = true,
        Some(("volume", _)) => used.volume = true,
        Some(("tmpfs", _)) => used.tmpfs = true,
        Some(("image", _)) => used.image = true,
        _ => {}
    }
    let invalid = || format!("invalid value for {name}: {value}");
    let flag = || number::boolean(value).map_err(|_error| invalid());
    match name {
        "type" => mount.r#type = value.to_lowercase(),
        "source" | "src" => mount.source = volume::absolute(value),
        "target" | "dst" | "destination" => value.clone_into(&mut mount.target),
        "readonly" | "ro" => mount.read_only = flag()?,
        "consistency" => mount.consistency = value.to_lowercase(),
        "bind-propagation" => mount.bind_propagation = value.to_lowercase(),
        "bind-nonrecursive" => {
            mount.bind_non_recursive = flag()?;
            ui::warn("bind-nonrecursive is deprecated, use bind-recursive=disabled instead");
        }
        "bind-recursive" => recursion(mount, value)?,
        "bind-create-src" => mount.bind_create_mountpoint = flag()?,
        "volume-subpath" => value.clone_into(&mut mount.volume_subpath),
        "volume-nocopy" => mount.volume_no_copy = flag()?,
        "volume-label" => insert(&mut mount.volume_labels, value),
        "volume-driver" => value.clone_into(&mut mount.volume_driver),
        "volume-opt" => insert(&mut mount.volume_driver_options, value),
        "tmpfs-size" => mount.tmpfs_size_bytes = size::parse(value).map_err(|_error| invalid())?,
        "tmpfs-mode" => {
            let mode = u32::from_str_radix(value, 8).map_err(|_error| invalid())?;
            mount.tmpfs_mode = Some(mode);
        }
        "image-subpath" => {}
        _ => return Err(format!("unexpected key '{name}' in '{field}'")),
    }
    Ok(())
}

/// What becomes of the mounts below a bind.
fn recursion(mount: &mut Mount, value: &str) -> Result<(), String> {
    match value {
        "enabled" => {}
        "disabled" => mount.bind_non_recursive = true,
        "writable" => mount.bind_read_only_non_recursive = true,
        "readonly" => mount.bind_read_only_force_recursive = true,
        _ => {
            return Err(format!(
                "invalid value for bind-recursive: {value} (must be \"enabled\", \"disabled\", \
                 \"writable\", or \"readonly\")"
            ));
        }
    }
    Ok(())
}

fn insert(map: &mut std::collections::HashMap<String, String>, text: &str) {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if !name.is_empty() {
        map.insert(name.to_owned(), value.to_owned());
    }
}

fn check(mount: &Mount, used: &Used) -> Result<(), String> {
    let kind = mount.r#type.as_str();
    if kind.is_empty() {
        return Err("type is required".to_owned());
    }
    if mount.target.is_empty() {
        return Err("target is required".to_owned());
    }
    for (family, used) in [
        ("volume", used.volume),
        ("image", used.image),
        ("bind", used.bind),
        ("tmpfs", used.tmpfs),
    ] {
        if used && kind != family {
            return Err(format!(
                "cannot mix '{family}-*' options with mount type '{kind}'"
            ));
        }
    }
    let needs = |option: &str, other: &str| {
        Err(format!(
            "option 'bind-recursive={option}' requires '{other}' to be specified in conjunction"
        ))
    };
    if mount.bind_read_only_non_recursive && !mount.read_only {
        return needs("writable", "readonly");
    }
    if mount.bind_read_only_force_recursive {
        if !mount.read_only {
            return needs("readonly", "readonly");
        }
        if mount.bind_propagation != "rprivate" {
            return needs("readonly", "bind-propagation=rprivate");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_each_type_are_taken() {
        let bind = parse("type=bind,src=/a,dst=/b,ro,bind-propagation=RSlave").unwrap();
        assert_eq!((bind.source.as_str(), bind.target.as_str()), ("/a", "/b"));
        assert!(bind.read_only && bind.bind_propagation == "rslave");
        let volume =
            parse("source=data,target=/d,volume-label=a=1,\"volume-opt=o=uid=1,gid=2\"").unwrap();
        assert_eq!(volume.r#type, "volume");
        assert_eq!(volume.volume_labels["a"], "1");
        assert_eq!(volume.volume_driver_options["o"], "uid=1,gid=2");
        let tmpfs = parse("TYPE=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        assert_eq!(
            (tmpfs.tmpfs_size_bytes, tmpfs.tmpfs_mode),
            (1 << 20, Some(0o1770))
        );
    }

    #[test]
    fn other_texts_are_refused_in_dockers_words() {
        for (text, expected) in [
            ("type=bind", "target is required"),
            ("x", "invalid field 'x' must be a key=value pair"),
            ("", "EOF"),
            (
                "type=tmpfs,tmpfs-size=x,target=/a",
                "invalid value for tmpfs-size: x",
            ),
            (
                "type=tmpfs,dst=/b,tmpfs-mode=9",
                "invalid value for tmpfs-mode: 9",
            ),
            ("readonly=maybe,dst=/x", "invalid value for readonly: maybe"),
            ("target=/a,foo=b", "unexpected key 'foo' in 'foo=b'"),
            (
                "type=bind,src=/a,dst=/b,volume-nocopy",
                "cannot mix 'volume-*' options with mount type 'bind'",
            ),
            (
                "dst=/x,image-subpath=s",
                "cannot mix 'image-*' options with mount type 'volume'",
            ),
            (
                "type=bind,src=/a,dst=/b,bind-recursive=readonly",
                "option 'bind-recursive=readonly' requires 'readonly' to be specified in \
                 conjunction",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), expected, "{text:?}");
        }
    }
}
