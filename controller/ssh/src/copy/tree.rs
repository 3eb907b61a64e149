//! Which file goes where.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::RngCore as _;

use super::side::Side;
use super::stream::{Failed, pump};
use super::{CopyError, CopyOptions, CopyProgress, End, SideError};
use crate::config::matches;
use crate::sftp::{Attributes, Kind, Open};

/// Deeper trees are taken for links that lead in a circle.
const MAX_DEPTH: usize = 200;
/// Longest name of a file on all systems.
const MAX_NAME: usize = 255;

/// One copy with all that is in it.
struct Copying<'a> {
    from: Side<'a>,
    to: Side<'a>,
    options: CopyOptions,
    progress: &'a dyn CopyProgress,
    n_problems: AtomicUsize,
}

fn path_error<'a>(
    what: &'static str,
    side: Side<'a>,
    path: &'a [u8],
) -> impl FnOnce(SideError) -> CopyError + 'a {
    move |source| CopyError::Path {
        what,
        place: side.place(path),
        source,
    }
}

pub(super) async fn copy(
    from: &End<'_>,
    to: &End<'_>,
    options: CopyOptions,
    progress: &dyn CopyProgress,
) -> Result<(), CopyError> {
    let copying = Copying {
        from: from.side,
        to: to.side,
        options,
        progress,
        n_problems: AtomicUsize::new(0),
    };
    let sources = copying.sources(&from.path).await?;
    let wanted = target(&to.path);
    let there = to.side.look(&wanted).await;
    let there = there.map_err(path_error("look at", to.side, &wanted))?;
    let into = there.is_some_and(|found| found.kind() == Kind::Directory);
    let slash = to.path.ends_with(b"/");
    if !into && (sources.len() > 1 || (slash && there.is_some())) {
        return Err(CopyError::NotDirectory(to.to_string()));
    }
    for (path, found) in sources {
        let goal = if into {
            match copying.last_name(&path).await? {
                // The root of a file system has no name: what is in it goes into the target.
                name if name.is_empty() => wanted.clone(),
                name => join(&wanted, &name),
            }
        } else if slash && found.kind() != Kind::Directory {
            return Err(CopyError::NotDirectory(to.to_string()));
        } else {
            wanted.clone()
        };
        copying.one(&path, &found, &goal, 0).await;
    }
    match copying.n_problems.into_inner() {
        0 => Ok(()),
        n_problems => Err(CopyError::Some { n_problems }),
    }
}

impl Copying<'_> {
    /// Returns the paths that are meant, with what they are.
    async fn sources(&self, path: &[u8]) -> Result<Vec<(Vec<u8>, Attributes)>, CopyError> {
        let wanted = target(path);
        let look = async |path: &[u8]| {
            let found = self.from.look(path).await;
            found.map_err(path_error("read", self.from, path))
        };
        if let Some(found) = look(&wanted).await? {
            return Ok(vec![(wanted, found)]);
        }
        let mut sources = Vec::new();
        // The shell has resolved what is here.
        if self.from.files().is_some() && has_pattern(&wanted) {
            for path in self.resolve(&wanted).await? {
                if let Some(found) = look(&path).await? {
                    sources.push((path, found));
                }
            }
        }
        if sources.is_empty() {
            let absent = SideError::Local(nix::errno::Errno::ENOENT.into());
            return Err(path_error("read", self.from, path)(absent));
        }
        Ok(sources)
    }

    /// Returns the paths on the host that a pattern names.
    async fn resolve(&self, pattern: &[u8]) -> Result<Vec<Vec<u8>>, CopyError> {
        let absolute = pattern.starts_with(b"/");
        let mut found = vec![if absolute { b"/".to_vec() } else { Vec::new() }];
        for step in pattern
            .split(|&byte| byte == b'/')
            .filter(|step| !step.is_empty())
        {
            let mut next = Vec::new();
            for folder in &found {
                if !has_pattern(step) {
                    next.push(join(folder, step));
                    continue;
                }
                let here = if folder.is_empty() {
                    b".".as_slice()
                } else {
                    folder
                };
                // A step that is no directory has nothing in it.
                for name in self.from.list(here).await.unwrap_or_default() {
                    let hidden = name.starts_with(b".") && !step.starts_with(b".");
                    let text = String::from_utf8_lossy(&name);
                    if !hidden && matches(&String::from_utf8_lossy(step), &text) {
                        next.push(join(folder, &name));
                    }
                }
            }
            found = next;
        }
        Ok(found)
    }

    /// Returns the name that a copy of `path` gets; for `.` and `..` that of the directory meant.
    async fn last_name(&self, path: &[u8]) -> Result<Vec<u8>, CopyError> {
        let name = base_name(path);
        if !matches!(name, b"" | b"." | b"..") {
            return Ok(name.to_vec());
        }
        let real = self.from.real_path(path).await;
        let real = real.map_err(path_error("find", self.from, path))?;
        Ok(match base_name(&real) {
            // A host may not choose where things go.
            b"." | b".." => Vec::new(),
            name => name.to_vec(),
        })
    }

    /// Copies a file or directory; what goes wrong is told and counted.
    async fn one(&self, from: &[u8], found: &Attributes, to: &[u8], depth: usize) {
        let copied = match found.kind() {
            Kind::File => self.file(from, found, to).await,
            Kind::Directory if !self.options.recursive => {
                Err(CopyError::IsDirectory(self.from.place(from)))
            }
            Kind::Directory if depth > MAX_DEPTH => Err(CopyError::TooDeep(self.from.place(from))),
            // Boxed, because directories have directories.
            Kind::Directory => Box::pin(self.directory(from, found, to, depth)).await,
            Kind::Other => Err(CopyError::Special(self.from.place(from))),
        };
        if let Err(error) = copied {
            self.n_problems.fetch_add(1, Ordering::Relaxed);
            self.progress.problem(&error);
        }
    }

    async fn directory(
        &self,
        from: &[u8],
        found: &Attributes,
        to: &[u8],
        depth: usize,
    ) -> Result<(), CopyError> {
        let names = self.from.list(from).await;
        let names = names.map_err(path_error("read", self.from, from))?;
        let looked = self.to.look(to).await;
        let there = looked.map_err(path_error("look at", self.to, to))?;
        let mode = found.mode.unwrap_or(0o755);
        match there.map(|there| there.kind()) {
            Some(Kind::Directory) => {}
            Some(_) => return Err(CopyError::NotDirectory(self.to.place(to))),
            None => {
                let made = self.to.mkdir(to, mode).await;
                made.map_err(path_error("make directory", self.to, to))?;
            }
        }
        if depth == 0 && self.from.is_same(&self.to) {
            self.refuse_inside(from, to).await?;
        }
        for name in names {
            let (from, to) = (join(from, &name), join(to, &name));
            match self.from.look(&from).await {
                Ok(Some(found)) => self.one(&from, &found, &to, depth + 1).await,
                looked => {
                    let absent = SideError::Local(nix::errno::Errno::ENOENT.into());
                    let source = looked.err().unwrap_or(absent);
                    self.n_problems.fetch_add(1, Ordering::Relaxed);
                    self.progress
                        .problem(&path_error("read", self.from, &from)(source));
                }
            }
        }
        if self.options.preserve {
            let kept = self.to.set(to, kept(found)).await;
            kept.map_err(path_error("set permissions and times of", self.to, to))?;
        }
        Ok(())
    }

    /// Refuses to copy a directory into itself, which would not end.
    async fn refuse_inside(&self, from: &[u8], to: &[u8]) -> Result<(), CopyError> {
        let real = async |side: Side<'_>, path: &[u8]| side.real_path(path).await.ok();
        if let (Some(from_real), Some(to_real)) =
            (real(self.from, from).await, real(self.to, to).await)
        {
            let rest = to_real.strip_prefix(from_real.as_slice());
            if rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/")) {
                return Err(CopyError::Same(self.to.place(to)));
            }
        }
        Ok(())
    }

    async fn file(&self, from: &[u8], found: &Attributes, to: &[u8]) -> Result<(), CopyError> {
        let looked = self.to.look(to).await;
        let there = looked.map_err(path_error("look at", self.to, to))?;
        if there.is_some_and(|there| there.kind() == Kind::Directory) {
            return Err(CopyError::IsDirectory(self.to.place(to)));
        }
        if there.is_some() && self.from.is_same(&self.to) {
            let same = async {
                Some(self.from.real_path(from).await.ok()? == self.to.real_path(to).await.ok()?)
            };
            if same.await == Some(true) {
                return Err(CopyError::Same(self.to.place(to)));
            }
        }
        self.progress
            .file(&self.to.place(to), found.size.unwrap_or(0));
        self.beside_or_in_place(from, found, to, there).await?;
        self.progress.done();
        Ok(())
    }

    /// Writes under a hidden name and renames; in place where that cannot be.
    async fn beside_or_in_place(
        &self,
        from: &[u8],
        found: &Attributes,
        to: &[u8],
        there: Option<Attributes>,
    ) -> Result<(), CopyError> {
        let plain = there.is_none_or(|there| there.kind() == Kind::File);
        // What has the name may be a link: the file behind it is what is replaced.
        let real = match there {
            Some(_) if plain => self
                .to
                .real_path(to)
                .await
                .unwrap_or_else(|_same| to.to_vec()),
            _ => to.to_vec(),
        };
        let mode = there.or(Some(*found)).and_then(|known| known.mode);
        let hidden = hidden(&real);
        let opened = match plain {
            true => self
                .to
                .open(&hidden, Open::New, mode.unwrap_or(0o644))
                .await
                .ok(),
            false => None,
        };
        let Some(opened) = opened else {
            return self.in_place(from, found, to).await;
        };
        let source = self.from.open(from, Open::Read, 0).await;
        let written = match source.map_err(path_error("read", self.from, from)) {
            Ok(source) => {
                let pumped = self.pump((from, &source), (to, &opened), found).await;
                // A file that was only read has nothing to say any more.
                let _ = self.from.close(source).await;
                pumped
            }
            Err(error) => Err(error),
        };
        let closed = self.to.close(opened).await;
        let finished = match written {
            Ok(()) => match closed.map_err(path_error("write", self.to, to)) {
                Ok(()) => self.put(&hidden, &real, found, there).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if !matches!(finished, Ok(true)) {
            // Best effort: its name says that it is not whole.
            let _ = self.to.remove(&hidden).await;
        }
        match finished? {
            true => Ok(()),
            // Such as a file that is a mount point.
            false => self.in_place(from, found, to).await,
        }
    }

    /// Gives a file that is whole its name; says whether that could be done.
    async fn put(
        &self,
        hidden: &[u8],
        to: &[u8],
        found: &Attributes,
        there: Option<Attributes>,
    ) -> Result<bool, CopyError> {
        if let Some(there) = there {
            // As if it had been written in place; who may not give it away keeps it.
            let owner = Attributes {
                owner: there.owner,
                ..Attributes::default()
            };
            let _ = self.to.set(hidden, owner).await;
            let mode = Attributes::of_mode(there.mode.unwrap_or(0o644) & 0o7777);
            let set = self.to.set(hidden, mode).await;
            set.map_err(path_error("set permissions of", self.to, to))?;
        }
        if self.options.preserve {
            let kept = self.to.set(hidden, kept(found)).await;
            kept.map_err(path_error("set permissions and times of", self.to, to))?;
        }
        match self.to.replace(hidden, to).await {
            Ok(()) => Ok(true),
            Err(_taken) if there.is_some() => Ok(false),
            Err(source) => Err(path_error("write", self.to, to)(source)),
        }
    }

    async fn in_place(&self, from: &[u8], found: &Attributes, to: &[u8]) -> Result<(), CopyError> {
        let source = self.from.open(from, Open::Read, 0).await;
        let source = source.map_err(path_error("read", self.from, from))?;
        let opened = self
            .to
            .open(to, Open::Overwrite, found.mode.unwrap_or(0o644))
            .await;
        let opened = opened.map_err(path_error("write", self.to, to))?;
        let pumped = self.pump((from, &source), (to, &opened), found).await;
        let closed = self.to.close(opened).await;
        let _ = self.from.close(source).await;
        if let Err(error) = pumped {
            self.progress.problem(&error);
            return Err(CopyError::Incomplete(self.to.place(to)));
        }
        closed.map_err(path_error("write", self.to, to))?;
        if self.options.preserve {
            let kept = self.to.set(to, kept(found)).await;
            kept.map_err(path_error("set permissions and times of", self.to, to))?;
        }
        Ok(())
    }

    async fn pump(
        &self,
        from: (&[u8], &super::side::Opened),
        to: (&[u8], &super::side::Opened),
        found: &Attributes,
    ) -> Result<(), CopyError> {
        let size = found.size.unwrap_or(0);
        let pumped = pump((&self.from, from.1), (&self.to, to.1), size, self.progress).await;
        match pumped {
            Ok(_n_bytes) => Ok(()),
            Err(Failed::Reading(source)) => Err(path_error("read", self.from, from.0)(source)),
            Err(Failed::Writing(source)) => Err(path_error("write", self.to, to.0)(source)),
        }
    }
}

/// What is kept of a file: rights and times, never the right to act as its owner.
fn kept(found: &Attributes) -> Attributes {
    Attributes {
        mode: found.mode.map(|mode| mode & 0o777),
        times: found.times,
        ..Attributes::default()
    }
}

/// Returns the hidden name beside a path under which it is written.
fn hidden(path: &[u8]) -> Vec<u8> {
    let name = base_name(path);
    let folder = &path[..path.len() - name.len()];
    let tail = format!(".berth-{:08x}", rand::rng().next_u32());
    let name = &name[..name.len().min(MAX_NAME - tail.len() - 1)];
    [folder, b".", name, tail.as_bytes()].concat()
}

/// A path without slashes at its end; the user's home for none.
fn target(path: &[u8]) -> Vec<u8> {
    let mut path = path.to_vec();
    while path.len() > 1 && path.ends_with(b"/") {
        path.pop();
    }
    if path.is_empty() {
        path.push(b'.');
    }
    path
}

fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match folder {
        b"" => name.to_vec(),
        b"/" => [b"/", name].concat(),
        folder => [folder, b"/", name].concat(),
    }
}

fn has_pattern(path: &[u8]) -> bool {
    path.iter().any(|byte| matches!(byte, b'*' | b'?'))
}
