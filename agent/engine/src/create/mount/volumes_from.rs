//! `--volumes-from`: `container[:options]`.

use super::MountSyntaxError;
use super::bind::Mode;

/// One `--volumes-from`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VolumesFrom {
    pub(crate) container: String,
    /// The options as written; `rw` when there are none.
    pub(crate) mode: String,
    pub(crate) read_only: bool,
}

impl VolumesFrom {
    /// Reads one text.
    pub(crate) fn parse(text: &str) -> Result<Self, MountSyntaxError> {
        if text.is_empty() {
            return Err(MountSyntaxError::EmptyVolumesFrom);
        }
        let (container, mode) = match text.split_once(':') {
            Some((container, "")) => (container, "rw"),
            Some(parts) => parts,
            None => (text, "rw"),
        };
        // How mounts pass between the machine and the container is the first container's matter.
        match Mode::parse(mode) {
            Some(parsed) if parsed.propagation.is_none() && !parsed.no_copy => Ok(Self {
                container: container.to_owned(),
                mode: mode.to_owned(),
                read_only: parsed.read_only,
            }),
            _ => Err(MountSyntaxError::Mode(mode.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_read_as_docker_reads_them() {
        for vector in crate::vectors::vectors("volumes_from.json") {
            let input = vector["input"].as_str().expect("text");
            match VolumesFrom::parse(input) {
                Ok(from) => {
                    assert_eq!(vector["id"], from.container, "{input:?}");
                    assert_eq!(vector["mode"], from.mode, "{input:?}");
                }
                Err(error) => assert_eq!(vector["error"], error.to_string(), "{input:?}"),
            }
        }
    }
}
