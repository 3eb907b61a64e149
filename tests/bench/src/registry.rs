//! Debian's docker-registry, once for each contestant, over the same files.

use std::path::Path;

use anyhow::Result;

/// Port of either registry, on the loopback of its contestant.
pub(crate) const PORT: u16 = 5000;

/// Writes a configuration that serves `folder/registry` and returns its path.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_config(folder: &Path) -> Result<String> {
    let storage = folder.join("registry");
    std::fs::create_dir_all(&storage)?;
    let path = folder.join("registry.yml");
    std::fs::write(
        &path,
        format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: \"127.0.0.1:{PORT}\"}}\n",
            storage.display()
        ),
    )?;
    Ok(path.display().to_string())
}
