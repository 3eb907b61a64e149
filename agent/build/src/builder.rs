//! The builder: what a build needs of the machine, and the frame around one build.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use berth_agent_engine::Engine;
use berth_agent_images::{ImageId, Images, Platform, Reference};
use berth_agent_snapshots::Snapshotter;
use berth_agent_state::State;
use tokio::io::AsyncRead;
use tokio::sync::mpsc;

use crate::build_error::{BuildError, BuildErrorKind};
use crate::context::{Context, prepare_scratch};
use crate::dockerfile::{Dockerfile, Source};
use crate::event::{BuildEvent, Events};
use crate::options::BuildOptions;
use crate::runner::Runner;
use crate::scope::Globals;
use crate::session::Session;
use crate::stages::stages;

/// What a [`Builder`] is made of.
pub struct BuilderParts {
    /// Where base images come from and results go.
    pub images: Arc<Images>,
    /// Where filesystems are mounted and changed.
    pub snapshots: Arc<dyn Snapshotter>,
    /// Where it is written down which steps have been done.
    pub state: State,
    /// What runs commands.
    pub runner: Arc<dyn Runner>,
    /// A directory of the builder's own, for contexts.
    pub scratch: PathBuf,
}

/// Builds images on one machine; several at once if need be.
pub struct Builder {
    pub(crate) images: Arc<Images>,
    pub(crate) snapshots: Arc<dyn Snapshotter>,
    pub(crate) state: State,
    pub(crate) runner: Arc<dyn Runner>,
    scratch: PathBuf,
}

// === impl Builder ===

impl Builder {
    /// Makes a builder and removes what an earlier one left in its directory.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or emptied.
    pub fn new(parts: BuilderParts) -> io::Result<Self> {
        prepare_scratch(&parts.scratch)?;
        let BuilderParts {
            images,
            snapshots,
            state,
            runner,
            scratch,
        } = parts;
        Ok(Self {
            images,
            snapshots,
            state,
            runner,
            scratch,
        })
    }

    /// Makes a builder over the engine, with its directory below the data root.
    ///
    /// # Errors
    ///
    /// As [`Builder::new`].
    pub fn over(engine: &Arc<Engine>) -> io::Result<Self> {
        Self::new(BuilderParts {
            images: Arc::clone(engine.images()),
            snapshots: Arc::clone(engine.snapshots()),
            state: engine.state().clone(),
            runner: Arc::new(Arc::clone(engine)),
            scratch: engine.config().data_root.join("build"),
        })
    }

    /// Builds an image from a context (a plain tar stream) and points the tags at it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the running command and removes the context. Steps that were done
    /// stay in the cache. It ends by itself when nobody receives its events any more.
    ///
    /// # Errors
    ///
    /// Says what is wrong and, if one statement is to blame, where that stands. The tags are
    /// untouched then.
    pub async fn build(
        &self,
        options: BuildOptions,
        context: impl AsyncRead + Send + Unpin + 'static,
        events: mpsc::Sender<BuildEvent>,
    ) -> Result<ImageId, BuildError> {
        let failed = |kind| BuildError {
            dockerfile: options.dockerfile_path().to_owned(),
            at: None,
            kind,
        };
        let tags = parse_tags(&options.tags).map_err(failed)?;
        let mut context = Context::receive(&self.scratch, context)
            .await
            .map_err(|error| failed(error.into()))?;
        let result = self.build_in(&options, &mut context, Events(events)).await;
        context.remove().await;
        let image = result.map_err(|(at, kind)| BuildError { at, ..failed(kind) })?;
        for tag in &tags {
            self.images
                .tag(&image, tag)
                .map_err(|error| failed(error.into()))?;
        }
        Ok(image)
    }

    async fn build_in(
        &self,
        options: &BuildOptions,
        context: &mut Context,
        events: Events,
    ) -> Result<ImageId, (Option<Source>, BuildErrorKind)> {
        let path = options.dockerfile_path();
        let text = match &options.dockerfile_text {
            Some(text) => text.clone(),
            None => context
                .dockerfile(path)
                .map_err(|error| (None, error.into()))?,
        };
        let dockerfile = Dockerfile::parse(&text).map_err(|error| {
            let at = error.line.map(|line| source_line(&text, line));
            (at, error.problem.into())
        })?;
        let host = Platform::host();
        let target = match options.platform.as_str() {
            "" => host.clone(),
            platform => platform
                .parse()
                .map_err(|error| (None, BuildErrorKind::Platform(error)))?,
        };
        let mut globals = Globals::new(
            dockerfile.escape,
            options.build_args.clone(),
            &target,
            &host,
        );
        for (line, argument) in &dockerfile.global_arguments {
            globals
                .declare(argument)
                .map_err(|error| (Some(source_line(&text, *line)), error.into()))?;
        }
        let stages = stages(&dockerfile, &options.target, &globals)
            .map_err(|(line, error)| (line.map(|line| source_line(&text, line)), error.into()))?;
        let hidden = context.hide_control_files(path);
        let warnings = hidden
            .into_iter()
            .chain(dockerfile.warnings.iter().cloned());
        for warning in warnings {
            let sent = events.send(BuildEvent::Warning(warning)).await;
            sent.map_err(|error| (None, error.into()))?;
        }
        let explicit_platform = (!options.platform.is_empty()).then_some(target);
        let mut session = Session::new(
            self,
            options,
            context,
            &dockerfile,
            (stages, globals),
            events,
        )
        .for_platform(explicit_platform);
        session.run().await
    }
}

impl fmt::Debug for BuilderParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BuilderParts")
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("scratch", &self.scratch)
            .finish_non_exhaustive()
    }
}

fn parse_tags(tags: &[String]) -> Result<Vec<Reference>, BuildErrorKind> {
    let parse = |name: &String| {
        Reference::parse(name)
            .map(Reference::with_default_tag)
            .map_err(|source| BuildErrorKind::Name {
                name: name.clone(),
                source,
            })
    };
    tags.iter().map(parse).collect()
}

/// The statement that begins on a line, as far as that line goes.
fn source_line(text: &str, line: u32) -> Source {
    let index = usize::try_from(line)
        .unwrap_or(usize::MAX)
        .saturating_sub(1);
    let text = text
        .lines()
        .nth(index)
        .unwrap_or_default()
        .trim()
        .to_owned();
    Source {
        line,
        end_line: line,
        text,
    }
}
