//! One build: its stages in order, and each of their instructions.

mod base;
mod change;
mod command;
mod files;
mod step;

use std::sync::Arc;

use berth_agent_images::{
    ContainerDefaults, HistoryEntry, ImageConfiguration, ImageId, KeptLayers, Platform,
};
use berth_agent_snapshots::LayerId;

use crate::build_error::BuildErrorKind;
use crate::builder::Builder;
use crate::context::Context;
use crate::dockerfile::{Dockerfile, Instruction, Source, Statement, parse_trigger};
use crate::event::{BuildEvent, Events, StepEvent, StepStatus};
use crate::options::BuildOptions;
use crate::scope::{Globals, Scope};
use crate::settings;
use crate::stages::{Origin, Stages};

/// What is in the environment of an image that has no base.
const SCRATCH_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

type Located = (Option<Source>, BuildErrorKind);

/// One build.
pub(crate) struct Session<'a> {
    builder: &'a Builder,
    options: &'a BuildOptions,
    context: &'a Context,
    dockerfile: &'a Dockerfile,
    stages: Stages,
    globals: Globals,
    events: Events,
    platform: Option<Platform>,
    built: Vec<Option<Level>>,
    number: u32,
    total: u32,
}

/// Where a stage has got to.
#[derive(Debug, Clone)]
struct Level {
    /// Nothing for `scratch`.
    image: Option<ImageId>,
    config: ImageConfiguration,
    layers: Vec<LayerId>,
    /// Somebody may remove the image in the middle of the build, but not what is being read.
    _kept: Option<Arc<KeptLayers>>,
}

/// A stage that is being built.
struct Stage {
    index: usize,
    level: Level,
    scope: Scope,
    /// The stage has a `CMD` of its own, which an `ENTRYPOINT` does not take away.
    has_cmd: bool,
}

// === impl Session ===

impl<'a> Session<'a> {
    pub(crate) fn new(
        builder: &'a Builder,
        options: &'a BuildOptions,
        context: &'a Context,
        dockerfile: &'a Dockerfile,
        (stages, globals): (Stages, Globals),
        events: Events,
    ) -> Self {
        let n_statements: usize = stages
            .needed
            .iter()
            .map(|index| 1 + dockerfile.stages[*index].statements.len())
            .sum();
        Self {
            builder,
            options,
            context,
            dockerfile,
            built: vec![None; stages.target + 1],
            stages,
            globals,
            events,
            platform: None,
            number: 0,
            total: u32::try_from(n_statements).unwrap_or(u32::MAX),
        }
    }

    /// Demands a platform of all base images that do not name one themselves.
    pub(crate) fn for_platform(mut self, platform: Option<Platform>) -> Self {
        self.platform = platform;
        self
    }

    /// Builds everything that is needed and returns the image of the target.
    pub(crate) async fn run(&mut self) -> Result<ImageId, Located> {
        self.check()?;
        for index in self.stages.needed.clone() {
            self.stage(index).await?;
        }
        let level = self.built[self.stages.target].clone();
        let level = level.unwrap_or_else(|| self.scratch());
        let image = self.finish(level).await.map_err(|kind| (None, kind))?;
        let unconsumed = self.globals.unconsumed();
        if !unconsumed.is_empty() {
            let warning = format!(
                "[Warning] One or more build-args [{}] were not consumed",
                unconsumed.join(" ")
            );
            let sent = self.events.send(BuildEvent::Warning(warning)).await;
            sent.map_err(|error| (None, error.into()))?;
        }
        Ok(image)
    }

    /// Refuses what this builder cannot do, before it does anything.
    fn check(&self) -> Result<(), Located> {
        for index in &self.stages.needed {
            for statement in &self.dockerfile.stages[*index].statements {
                let checked = match &statement.instruction {
                    Instruction::Run(run) => command::check(run),
                    Instruction::Add(add) => files::check("ADD", add),
                    _ => Ok(()),
                };
                checked.map_err(|kind| (Some(statement.source.clone()), kind))?;
            }
        }
        Ok(())
    }

    /// Builds a stage unless that has been done.
    async fn stage(&mut self, index: usize) -> Result<Level, Located> {
        if let Some(level) = &self.built[index] {
            return Ok(level.clone());
        }
        let dockerfile = self.dockerfile;
        let written = &dockerfile.stages[index];
        let (level, triggers) = self
            .from(index)
            .await
            .map_err(|(at, kind)| (at.or_else(|| Some(written.source.clone())), kind))?;
        let mut stage = Stage {
            index,
            level,
            scope: Scope::default(),
            has_cmd: false,
        };
        for text in triggers {
            let source = Source {
                text: text.clone(),
                ..written.source.clone()
            };
            let trigger = parse_trigger(&text)
                .map_err(|error| (Some(source.clone()), error.problem.into()))?;
            let keyword = text
                .split_whitespace()
                .next()
                .unwrap_or_default()
                .to_owned();
            self.total = self.total.saturating_add(1);
            let statement = Statement {
                instruction: trigger,
                keyword,
                source,
            };
            self.statement(&mut stage, &statement).await?;
        }
        for statement in &written.statements {
            self.statement(&mut stage, statement).await?;
        }
        self.built[index] = Some(stage.level.clone());
        Ok(stage.level)
    }

    /// Does the `FROM` of a stage. Returns what it starts from and what its base wants done first.
    async fn from(&mut self, index: usize) -> Result<(Level, Vec<String>), Located> {
        let written = &self.dockerfile.stages[index];
        // The stage below may have to be built, and its steps come before this one.
        let base = self.stages.bases[index].clone();
        let below = match &base {
            Origin::Stage(below) => Some(Box::pin(self.stage(*below)).await?),
            Origin::Scratch | Origin::Image(_) => None,
        };
        let kind = |kind: BuildErrorKind| (None, kind);
        let number = self.begin(&written.source).await.map_err(kind)?;
        let mut level = match (below, base) {
            (Some(level), _) => level,
            (None, Origin::Image(name)) => {
                let platform = self.platform_of(&written.platform).map_err(kind)?;
                self.base_image(&name, platform.as_ref())
                    .await
                    .map_err(kind)?
            }
            (None, Origin::Scratch | Origin::Stage(_)) => self.scratch(),
        };
        let triggers = level.config.config.on_build.take().unwrap_or_default();
        let status = StepStatus::Finished(level.image.clone());
        self.report(number, &written.source, status)
            .await
            .map_err(kind)?;
        Ok((level, triggers))
    }

    fn scratch(&self) -> Level {
        let platform = self.platform.clone().unwrap_or_else(Platform::host);
        let variant = Some(platform.variant).filter(|variant| !variant.is_empty());
        Level {
            image: None,
            config: ImageConfiguration {
                architecture: platform.architecture,
                os: platform.os,
                variant,
                config: ContainerDefaults {
                    env: vec![SCRATCH_PATH.to_owned()],
                    working_dir: "/".to_owned(),
                    ..ContainerDefaults::default()
                },
                ..ImageConfiguration::default()
            },
            layers: Vec::new(),
            _kept: None,
        }
    }

    /// Does one statement of a stage.
    async fn statement(&mut self, stage: &mut Stage, statement: &Statement) -> Result<(), Located> {
        let source = &statement.source;
        let outcome = self.statement_inner(stage, statement).await;
        outcome.map_err(|(at, kind)| (at.or_else(|| Some(source.clone())), kind))
    }

    async fn statement_inner(
        &mut self,
        stage: &mut Stage,
        statement: &Statement,
    ) -> Result<(), Located> {
        let kind = |kind: BuildErrorKind| (None, kind);
        let number = self.begin(&statement.source).await.map_err(kind)?;
        let cached = match &statement.instruction {
            Instruction::Arg(arguments) => {
                for argument in arguments {
                    let env = &stage.level.config.config.env;
                    let declared = stage.scope.declare(argument, env, &mut self.globals);
                    declared.map_err(|error| kind(error.into()))?;
                }
                false
            }
            Instruction::Run(run) => self.command(stage, run).await.map_err(kind)?,
            Instruction::Copy(copy) => self.transfer(stage, "COPY", copy).await?,
            Instruction::Add(add) => self.transfer(stage, "ADD", add).await?,
            Instruction::Workdir(path) => {
                self.working_directory(stage, path).await.map_err(kind)?
            }
            setting => self.setting(stage, setting).await.map_err(kind)?,
        };
        let image = stage.level.image.clone();
        let status = if cached {
            StepStatus::Cached(image)
        } else {
            StepStatus::Finished(image)
        };
        self.report(number, &statement.source, status)
            .await
            .map_err(kind)
    }

    /// Gives the result the labels from outside, and an image if it has none yet.
    async fn finish(&mut self, level: Level) -> Result<ImageId, BuildErrorKind> {
        let mut stage = Stage {
            index: self.stages.target,
            level,
            scope: Scope::default(),
            has_cmd: true,
        };
        if let Some(labels) = settings::labels(&self.options.labels) {
            self.setting(&mut stage, &labels).await?;
        }
        if stage.level.image.is_none() {
            let config = stage.level.config.clone();
            self.settle(&mut stage, "FROM scratch".to_owned(), config)
                .await?;
        }
        match stage.level.image {
            Some(image) => Ok(image),
            None => Err(BuildErrorKind::Unsupported(
                "a build without a result".to_owned(),
            )),
        }
    }

    async fn begin(&mut self, source: &Source) -> Result<u32, BuildErrorKind> {
        self.number += 1;
        self.total = self.total.max(self.number);
        self.report(self.number, source, StepStatus::Started)
            .await?;
        Ok(self.number)
    }

    async fn report(
        &self,
        number: u32,
        source: &Source,
        status: StepStatus,
    ) -> Result<(), BuildErrorKind> {
        let event = StepEvent {
            number,
            total: self.total,
            instruction: source.text.clone(),
            line: source.line,
            status,
        };
        Ok(self.events.send(BuildEvent::Step(event)).await?)
    }
}

// === impl Stage ===

impl Stage {
    fn defaults(&self) -> &ContainerDefaults {
        &self.level.config.config
    }

    /// What names the state that the next step is done upon.
    fn parent(&self) -> String {
        match &self.level.image {
            Some(image) => image.to_string(),
            None => {
                let config = &self.level.config;
                let variant = config.variant.as_deref().unwrap_or_default();
                format!("scratch {}/{}/{variant}", config.os, config.architecture)
            }
        }
    }
}

fn history(config: &ImageConfiguration, created_by: String) -> HistoryEntry {
    HistoryEntry {
        created: config.created.clone(),
        created_by: Some(created_by),
        author: config.author.clone(),
        ..HistoryEntry::default()
    }
}
