//! `-v`.

use std::path::{Component, Path};

/// What a `-v` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Volume {
    /// A volume of its own at this path.
    Anonymous(String),
    /// A volume or a path of the machine: `SOURCE:TARGET[:OPTIONS]`.
    Bind(String),
}

/// Tells the two apart. A source that starts with a dot is made absolute; as with Docker, the
/// machine must have the same path.
pub(crate) fn parse(text: &str) -> Result<Volume, String> {
    if text.is_empty() {
        return Err("invalid empty volume spec".to_owned());
    }
    let Some((source, rest)) = text.split_once(':') else {
        return Ok(Volume::Anonymous(text.to_owned()));
    };
    if source.starts_with('.')
        && let Ok(path) = std::path::absolute(source)
    {
        return Ok(Volume::Bind(format!("{}:{rest}", tidy(&path))));
    }
    Ok(Volume::Bind(text.to_owned()))
}

/// Makes a source of `--mount` absolute if it starts with a dot.
pub(super) fn absolute(source: &str) -> String {
    let dotted = source == "." || source.starts_with("./");
    match std::path::absolute(source) {
        Ok(path) if dotted => tidy(&path),
        _ => source.to_owned(),
    }
}

fn tidy(path: &Path) -> String {
    let mut parts: Vec<&std::ffi::OsStr> = Vec::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(parts.pop()),
            Component::Normal(part) => parts.push(part),
            _ => {}
        }
    }
    let parts: Vec<_> = parts.iter().map(|part| part.to_string_lossy()).collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_start_with_a_dot_become_absolute() {
        let here = std::env::current_dir().unwrap();
        let bind = |text| match parse(text).unwrap() {
            Volume::Bind(bind) => bind,
            Volume::Anonymous(target) => panic!("{target} has a source"),
        };
        assert_eq!(bind("./a:/b:ro"), format!("{}/a:/b:ro", here.display()));
        let above = here.parent().unwrap().display();
        assert_eq!(bind("..:/b"), format!("{above}:/b"));
        assert_eq!(bind("data:/b"), "data:/b");
        assert_eq!(absolute("./a"), format!("{}/a", here.display()));
        assert_eq!(absolute("rel"), "rel");
    }

    #[test]
    fn a_lone_path_is_a_volume_of_its_own() {
        assert_eq!(
            parse("/only").unwrap(),
            Volume::Anonymous("/only".to_owned())
        );
        parse("").unwrap_err();
    }
}
