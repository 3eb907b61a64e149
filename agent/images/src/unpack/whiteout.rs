//! Hiding what lower layers have, in overlayfs's way.

use std::ffi::OsStr;
use std::io;
use std::path::Path;

use berth_agent_sys::root_dir::{Attributes, Directory, NodeKind};

use super::name::Whiteout;
use super::{Changed, UnpackError};

/// The attribute that cuts a directory off from the same one in lower layers.
pub(crate) const OPAQUE: &str = "trusted.overlay.opaque";

pub(crate) fn is_whiteout(attributes: &Attributes) -> bool {
    attributes.kind == NodeKind::CharacterDevice && attributes.device == (0, 0)
}

pub(super) fn make_opaque(parent: &Directory, name: &OsStr) -> io::Result<()> {
    parent.set_xattr(name, OsStr::new(OPAQUE), b"y")
}

/// Does what a whiteout says. It concerns lower layers only, never what this archive brought.
pub(super) fn apply(
    parent: &Directory,
    whiteout: &Whiteout<'_>,
    path: &Path,
) -> Result<Changed, UnpackError> {
    let fail = |source| UnpackError::entry(path, source);
    match whiteout {
        Whiteout::Bookkeeping => {}
        Whiteout::Opaque => parent
            .set_own_xattr(OsStr::new(OPAQUE), b"y")
            .map_err(fail)?,
        Whiteout::Nonsense => {
            return Err(UnpackError::Malformed {
                path: path.to_owned(),
                detail: "it hides nothing that could be named",
            });
        }
        Whiteout::Name(hidden) => match parent.attributes(hidden) {
            Ok(existing) if existing.kind == NodeKind::Directory => {
                make_opaque(parent, hidden).map_err(fail)?;
            }
            Ok(_hides_it_already) => {}
            Err(_missing) => parent
                .make_node(hidden, NodeKind::CharacterDevice, 0, (0, 0))
                .map_err(fail)?,
        },
    }
    Ok(Changed::Added)
}
