//! `COPY`, `ADD` and `WORKDIR`.

use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_snapshots::Mounted;
use berth_agent_sys::root_dir::RootDir;
use tokio::task::spawn_blocking;

use super::change::Change;
use super::{Level, Located, Session, Stage};
use crate::build_error::BuildErrorKind;
use crate::cache_key::CacheKey;
use crate::copy::{
    CopyError, Owner, Placement, digest, find, make_directories, parse_mode, place, resolve_owner,
};
use crate::dockerfile::Transfer;
use crate::expand::Expander;
use crate::settings::Words;
use crate::stages::{Origin, origin_of_copy};

/// Where the sources lie.
enum Tree {
    Context(Arc<RootDir>),
    /// With what its layers are kept by.
    Image(Mounted, Option<Box<Level>>),
}

/// A transfer with its words expanded.
struct Expanded {
    sources: Vec<String>,
    contents: Vec<(String, Vec<u8>)>,
    destination: PathBuf,
    into_directory: bool,
    chown: String,
    mode: Option<u32>,
    said: String,
}

// === impl Tree ===

impl Tree {
    fn root(&self) -> &RootDir {
        match self {
            Self::Context(root) => root,
            Self::Image(mounted, _level) => mounted.root(),
        }
    }
}

// === impl Session ===

impl Session<'_> {
    /// Copies files into the stage; says whether that was done before.
    pub(super) async fn transfer(
        &mut self,
        stage: &mut Stage,
        keyword: &'static str,
        transfer: &Transfer,
    ) -> Result<bool, Located> {
        let kind = |kind: BuildErrorKind| (None, kind);
        check(keyword, transfer).map_err(kind)?;
        let expanded = self.expand(stage, keyword, transfer).map_err(kind)?;
        let unpack = keyword == "ADD" && transfer.unpack != Some(false);
        let (tree, keep_owner) = self.tree(stage, &transfer.from).await?;
        let tree = Arc::new(tree);
        let (sources, content) = self
            .sources(&tree, &expanded.sources, keep_owner)
            .await
            .map_err(kind)?;
        let key = CacheKey::new(&stage.parent(), keyword)
            .with(&content)
            .with_all(expanded.contents.iter().map(|(name, _)| name))
            .with_all(
                &expanded
                    .contents
                    .iter()
                    .map(|(_, data)| hex::encode(data))
                    .collect::<Vec<_>>(),
            )
            .with(&expanded.destination.to_string_lossy())
            .with(&format!(
                "{:?} {unpack} {:?}",
                expanded.into_directory, expanded.mode
            ))
            .with(&expanded.chown)
            .finish();
        if self.reuse(stage, &key).map_err(kind)? {
            return Ok(true);
        }
        let placement = Placement {
            keyword,
            sources,
            contents: expanded.contents,
            destination: expanded.destination,
            into_directory: expanded.into_directory,
            owner: None,
            mode: expanded.mode,
            keep_owner,
            unpack,
        };
        let chown = expanded.chown;
        let change = Change::make(
            &self.builder.snapshots,
            &stage.level.layers,
            move |target| {
                let mut placement = placement;
                if !chown.is_empty() {
                    placement.owner = Some(resolve_owner(target, &chown)?);
                }
                Ok(place(&placement, tree.root(), target)?)
            },
        );
        let change = change.await.map_err(kind)?;
        let config = stage.level.config.clone();
        self.commit(stage, &key, expanded.said, config, change.layer())
            .await
            .map_err(kind)?;
        Ok(false)
    }

    fn expand(
        &self,
        stage: &Stage,
        keyword: &str,
        transfer: &Transfer,
    ) -> Result<Expanded, BuildErrorKind> {
        let variables = stage.scope.variables(&stage.defaults().env);
        let expander = self.globals.expander();
        let words = Words {
            expander,
            variables: &variables,
        };
        let sources = words.all(&transfer.sources)?;
        let written = words.one(&transfer.destination)?;
        let in_text = Expander {
            quotes_are_plain: true,
            ..expander
        };
        let mut contents = Vec::new();
        for document in &transfer.contents {
            let mut text = document.text();
            if document.expand {
                text = in_text.expand(&text, &variables)?.text;
            }
            contents.push((document.name.clone(), text.into_bytes()));
        }
        let names = contents.iter().map(|(name, _)| format!("<<{name}"));
        let all: Vec<String> = sources.iter().cloned().chain(names).collect();
        let said = format!("{keyword} {} {written}", all.join(" "));
        let (destination, into_directory) = destination(&stage.defaults().working_dir, &written);
        Ok(Expanded {
            sources,
            contents,
            destination,
            into_directory,
            chown: words.one(&transfer.chown)?,
            mode: parse_mode(&words.one(&transfer.chmod)?)?,
            said,
        })
    }

    /// The tree that the sources are taken from, and whether owners in it mean something.
    async fn tree(&mut self, stage: &Stage, from: &str) -> Result<(Tree, bool), Located> {
        if from.is_empty() {
            return Ok((Tree::Context(Arc::clone(self.context.root())), false));
        }
        let variables = stage.scope.variables(&stage.defaults().env);
        let name = self.globals.expander().expand(from, &variables);
        let name = name.map_err(|error| (None, error.into()))?.text;
        let origin = origin_of_copy(self.dockerfile, stage.index, &name);
        let level = match origin.map_err(|error| (None, error.into()))? {
            Origin::Scratch => None,
            Origin::Stage(index) => Some(Box::pin(self.stage(index)).await?),
            Origin::Image(name) => {
                let image = self.base_image(&name, self.platform.as_ref()).await;
                Some(image.map_err(|kind| (None, kind))?)
            }
        };
        let layers = level.as_ref().map(|level| level.layers.clone());
        let layers = layers.unwrap_or_default();
        let snapshots = Arc::clone(&self.builder.snapshots);
        let mounted = spawn_blocking(move || snapshots.mount_layers(&layers)).await;
        let mounted = mounted.map_err(|error| (None, error.into()))?;
        Ok((
            Tree::Image(
                mounted.map_err(|error| (None, error.into()))?,
                level.map(Box::new),
            ),
            true,
        ))
    }

    /// Finds the sources, and names their content.
    async fn sources(
        &self,
        tree: &Arc<Tree>,
        written: &[String],
        keep_owner: bool,
    ) -> Result<(Vec<PathBuf>, String), BuildErrorKind> {
        let shared = Arc::clone(tree);
        let words = written.to_vec();
        let found = spawn_blocking(move || {
            let mut sources = Vec::new();
            for word in &words {
                sources.extend(find(shared.root(), word)?);
            }
            let content = digest(shared.root(), &sources, keep_owner)?;
            Ok((sources, content))
        });
        found.await?.map_err(|error| match error {
            CopyError::NotFound { path, .. } if matches!(**tree, Tree::Context(_)) => {
                let ignored = self.context.ignores(&path);
                CopyError::NotFound { path, ignored }.into()
            }
            other => other.into(),
        })
    }

    /// Sets the working directory, making it where it is missing.
    pub(super) async fn working_directory(
        &mut self,
        stage: &mut Stage,
        path: &str,
    ) -> Result<bool, BuildErrorKind> {
        let variables = stage.scope.variables(&stage.defaults().env);
        let words = Words {
            expander: self.globals.expander(),
            variables: &variables,
        };
        let (path, _) = destination(&stage.defaults().working_dir, &words.one(path)?);
        let mut config = stage.level.config.clone();
        config.config.working_dir = path.to_string_lossy().into_owned();
        let said = format!("WORKDIR {}", path.display());
        let key = CacheKey::new(&stage.parent(), "WORKDIR")
            .with(&path.to_string_lossy())
            .finish();
        if self.reuse(stage, &key)? {
            return Ok(true);
        }
        let change = Change::make(
            &self.builder.snapshots,
            &stage.level.layers,
            move |target| {
                make_directories(target, &path, Owner { uid: 0, gid: 0 })?;
                Ok(())
            },
        );
        let change = change.await?;
        self.commit(stage, &key, said, config, change.layer())
            .await?;
        Ok(false)
    }
}

/// An absolute path for what an instruction says, and whether it says that it is a directory.
fn destination(working_dir: &str, written: &str) -> (PathBuf, bool) {
    let is_directory = written == "."
        || written == ".."
        || ["/", "/.", "/.."].iter().any(|end| written.ends_with(end));
    let absolute = if written.starts_with('/') {
        written.to_owned()
    } else {
        format!("/{working_dir}/{written}")
    };
    (PathBuf::from(berth_context::clean(&absolute)), is_directory)
}

/// Refuses what this builder cannot do.
pub(super) fn check(keyword: &str, transfer: &Transfer) -> Result<(), BuildErrorKind> {
    let unsupported = |what: &str| Err(BuildErrorKind::Unsupported(what.to_owned()));
    if keyword != "ADD" {
        return Ok(());
    }
    let is_remote = |source: &String| {
        ["http://", "https://", "git://", "ssh://", "git@"]
            .iter()
            .any(|start| source.starts_with(start))
    };
    if transfer.sources.iter().any(is_remote) {
        return unsupported("ADD of a remote source");
    }
    if !transfer.checksum.is_empty() || transfer.keep_git_dir.is_some() {
        return unsupported("ADD --checksum and --keep-git-dir, which are for remote sources,");
    }
    Ok(())
}
