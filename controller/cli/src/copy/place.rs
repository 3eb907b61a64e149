//! Where a copy goes: into a folder, in place of a file, or under a new name.

use super::path::{base, says_folder, split};

/// One end of a copy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Side {
    /// The path with its ending.
    pub(crate) path: String,
    pub(crate) exists: bool,
    pub(crate) is_folder: bool,
}

/// Where an archive is unpacked, and what its top member is called there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) folder: String,
    /// `None`: as it is called in the archive.
    pub(crate) name: Option<String>,
}

/// A copy that makes no sense, in Docker's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("cannot copy directory")]
    FolderOverFile,
    #[error("no such directory")]
    NoSuchFolder,
}

/// Decides where the source goes.
pub(crate) fn place(source_is_folder: bool, target: &Side) -> Result<Place, PlaceError> {
    if target.exists && target.is_folder {
        return Ok(Place {
            folder: target.path.clone(),
            name: None,
        });
    }
    if target.exists && source_is_folder {
        return Err(PlaceError::FolderOverFile);
    }
    if !target.exists && !source_is_folder && says_folder(&target.path) {
        return Err(PlaceError::NoSuchFolder);
    }
    let (folder, name) = split(&target.path);
    // `new/.` is a folder called `new`, not one called `.`.
    let (folder, name) = if name == "." {
        split(&folder)
    } else {
        (folder, name)
    };
    Ok(Place {
        folder,
        name: Some(name).filter(|name| name != "/" && base(name) != "."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Path of the target, what is there, and what becomes of a file and of a folder: the folder to
    /// unpack into and the new name.
    const RULES: &[(&str, &str, &str, &str)] = &[
        ("/dir", "folder", "/dir -", "/dir -"),
        ("/dir/", "folder", "/dir/ -", "/dir/ -"),
        ("/dir/.", "folder", "/dir/. -", "/dir/. -"),
        ("/dir/file", "file", "/dir file", "cannot copy directory"),
        ("/dir/new", "nothing", "/dir new", "/dir new"),
        ("/dir/new/", "nothing", "no such directory", "/dir new"),
        ("/dir/new/.", "nothing", "no such directory", "/dir new"),
        ("/new", "nothing", "/ new", "/ new"),
        ("new", "nothing", ". new", ". new"),
        ("/", "folder", "/ -", "/ -"),
    ];

    #[test]
    fn every_rule_of_a_copy_holds() {
        for (path, there, file, folder) in RULES {
            let target = Side {
                path: (*path).to_owned(),
                exists: *there != "nothing",
                is_folder: *there == "folder",
            };
            for (is_folder, expected) in [(false, file), (true, folder)] {
                let found = match place(is_folder, &target) {
                    Ok(place) => {
                        format!("{} {}", place.folder, place.name.as_deref().unwrap_or("-"))
                    }
                    Err(error) => error.to_string(),
                };
                assert_eq!(found, **expected, "{path} ({there}), folder: {is_folder}");
            }
        }
    }
}
