//! `--chown=user[:group]`, looked up in the image.

use std::io::{self, Read as _};
use std::path::Path;

use berth_agent_sys::root_dir::RootDir;

use super::CopyError;

/// Larger user databases than this are no text that somebody wrote.
const DATABASE_LIMIT: u64 = 16 << 20;

/// Who owns a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Resolves the text of a `--chown` in the tree of an image.
///
/// A number without a group stands for both; a name without a group brings its own group.
pub(crate) fn resolve_owner(root: &RootDir, spec: &str) -> Result<Owner, CopyError> {
    let wrong = |problem: String| CopyError::Owner {
        spec: spec.to_owned(),
        problem,
    };
    let (user, group) = match spec.split_once(':') {
        Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
        None => (spec, None),
    };
    let (uid, own_gid) = match number(user) {
        Some(uid) => (uid, uid),
        None => {
            let passwd = database(root, "/etc/passwd")?;
            entry(&passwd, user)
                .and_then(|fields| Some((number(fields.get(2)?)?, number(fields.get(3)?)?)))
                .ok_or_else(|| wrong(format!("no user {user} in the image")))?
        }
    };
    let gid = match group {
        None => own_gid,
        Some(group) => match number(group) {
            Some(gid) => gid,
            None => {
                let groups = database(root, "/etc/group")?;
                entry(&groups, group)
                    .and_then(|fields| number(fields.get(2)?))
                    .ok_or_else(|| wrong(format!("no group {group} in the image")))?
            }
        },
    };
    Ok(Owner { uid, gid })
}

fn number(text: &str) -> Option<u32> {
    // The highest number means "leave it" to the kernel.
    text.parse()
        .ok()
        .filter(|id| *id != u32::MAX && !text.starts_with('+'))
}

fn entry<'a>(database: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let mut lines = database
        .lines()
        .map(|line| line.split(':').collect::<Vec<&str>>());
    lines.find(|fields| fields.first() == Some(&name))
}

/// Reads a database; one that is not there is empty.
fn database(root: &RootDir, path: &str) -> Result<String, CopyError> {
    let mut bytes = Vec::new();
    let path = Path::new(path);
    let read = root
        .metadata(path)
        .and_then(|_| root.open_file(path))
        .and_then(|file| file.take(DATABASE_LIMIT).read_to_end(&mut bytes));
    match read {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CopyError::io("read", path)(error))
        }
        _ => Ok(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
