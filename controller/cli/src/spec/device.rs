//! `--device`.

/// Reads `PATH[:PATH][:rwm]`; returns it with both paths where there are rights.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let bad_format = || Err(format!("bad format for path: {text}"));
    let (source, inside, access) = match parts.as_slice() {
        ["", ..] => return bad_format(),
        [path] => (*path, *path, None),
        [path, access] if is_access(access) => (*path, *path, Some(*access)),
        [path, inside] => (*path, *inside, None),
        [path, inside, access] if is_access(access) => (*path, *inside, Some(*access)),
        [_, _, access] => return Err(format!("bad mode specified: {access}")),
        _ => return bad_format(),
    };
    if !inside.starts_with('/') {
        return Err(format!("{inside} is not an absolute path"));
    }
    Ok(match access {
        Some(access) => format!("{source}:{inside}:{access}"),
        None if source == inside => source.to_owned(),
        None => format!("{source}:{inside}"),
    })
}

/// Rights are `r`, `w` and `m` (mknod), each at most once.
fn is_access(text: &str) -> bool {
    let once = |letter| text.matches(letter).count() <= 1;
    !text.is_empty() && text.chars().all(|c| "rwm".contains(c) && once(c))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_device_has_paths_and_rights() {
        assert_eq!(parse("/dev/fuse").unwrap(), "/dev/fuse");
        assert_eq!(parse("/dev/a:/dev/b").unwrap(), "/dev/a:/dev/b");
        assert_eq!(parse("/dev/a:r").unwrap(), "/dev/a:/dev/a:r");
        assert_eq!(parse("/dev/a:/dev/b:rw").unwrap(), "/dev/a:/dev/b:rw");
    }

    #[test]
    fn other_texts_are_refused_in_dockers_words() {
        let said = |text| parse(text).unwrap_err();
        assert_eq!(said("/dev/foo:/x:q"), "bad mode specified: q");
        assert_eq!(said("a:b:c:d"), "bad format for path: a:b:c:d");
        assert_eq!(said(":/x"), "bad format for path: :/x");
        assert_eq!(said("/dev/a:rel"), "rel is not an absolute path");
        assert_eq!(said("/dev/a:rr"), "rr is not an absolute path");
    }
}
