//! Where plugins are.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use berth_provisioners_api::{Driver, Fallback};
use nix::unistd::{AccessFlags, access};

use crate::PluginDriver;
use crate::options::PluginOptions;

/// What the name of every plugin begins with.
pub(crate) const PREFIX: &str = "docker-machine-driver-";

/// A driver's executable.
#[derive(Clone, Debug)]
pub(crate) struct Plugin {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) options: PluginOptions,
}

/// Returns what finds drivers in `PATH`, as `docker-machine-driver-NAME`.
#[must_use]
pub fn fallback(options: PluginOptions) -> Fallback {
    let known = Mutex::new(HashMap::<String, Arc<PluginDriver>>::new());
    Arc::new(move |name| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(driver) = known.get(name) {
            return Some(Arc::clone(driver) as Arc<dyn Driver>);
        }
        let path = find(name, options.path().as_deref()?)?;
        let plugin = Plugin {
            name: name.to_owned(),
            path,
            options: options.clone(),
        };
        let driver = Arc::new(PluginDriver::of(plugin));
        known.insert(name.to_owned(), Arc::clone(&driver));
        Some(driver as Arc<dyn Driver>)
    })
}

fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || !name.chars().all(plain) {
        return None;
    }
    let file = format!("{PREFIX}{name}");
    let mut files = std::env::split_paths(path)
        // An empty folder in PATH is the current one, from which nothing should start by surprise.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(&file));
    files.find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn plugins_are_executables_in_folders_of_path() {
        let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [first, second] = folders.each_ref().map(|folder| folder.path());
        let path = std::env::join_paths([first, second]).unwrap();
        let found = |name: &str| find(name, &path);
        assert_eq!(found("x"), None);
        fs::write(first.join("docker-machine-driver-x"), "").unwrap();
        assert_eq!(found("x"), None, "not executable");
        let file = second.join("docker-machine-driver-x");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found("x"), Some(file));
        assert_eq!(found(""), None);
        assert_eq!(found("../x"), None);
    }
}
