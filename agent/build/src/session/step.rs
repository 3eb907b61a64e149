//! What all steps share: looking for an earlier result, making a new one, writing it down.

use std::sync::Arc;

use berth_agent_images::{CommitRequest, ImageConfiguration, ImageId, LayerSource};
use berth_agent_state::{Record, StateError};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Level, Session, Stage, history};
use crate::build_error::BuildErrorKind;
use crate::cache_key::CacheKey;
use crate::dockerfile::Instruction;
use crate::settings::{Words, apply};

/// The image that a step gave.
#[derive(Debug, Serialize, Deserialize)]
struct DoneStep {
    image: ImageId,
}

impl Record for DoneStep {
    const TABLE: &'static str = "build-steps";
    const VERSION: u32 = 1;
}

// === impl Session ===

impl Session<'_> {
    /// Does an instruction that changes the configuration only; says whether it was done before.
    pub(super) async fn setting(
        &mut self,
        stage: &mut Stage,
        instruction: &Instruction,
    ) -> Result<bool, BuildErrorKind> {
        let variables = stage.scope.variables(&stage.defaults().env);
        let words = Words {
            expander: self.globals.expander(),
            variables: &variables,
        };
        let mut config = stage.level.config.clone();
        let said = apply(instruction, &words, &mut config.config, &mut config.author)?;
        match instruction {
            Instruction::Cmd(_) => stage.has_cmd = true,
            // The base's command was for the base's entry point.
            Instruction::Entrypoint(_) if !stage.has_cmd => config.config.cmd = None,
            _ => {}
        }
        self.settle(stage, said.unwrap_or_default(), config).await
    }

    /// Makes an image with another configuration but the same files.
    pub(super) async fn settle(
        &mut self,
        stage: &mut Stage,
        said: String,
        config: ImageConfiguration,
    ) -> Result<bool, BuildErrorKind> {
        let defaults = serde_json::to_string(&config.config).unwrap_or_default();
        let key = CacheKey::new(&stage.parent(), "setting")
            .with(&said)
            .with(&defaults)
            .with(config.author.as_deref().unwrap_or_default())
            .finish();
        if self.reuse(stage, &key)? {
            return Ok(true);
        }
        self.commit(stage, &key, said, config, LayerSource::Nothing)
            .await?;
        Ok(false)
    }

    /// Takes the result of an earlier step with this key, if there is one.
    pub(super) fn reuse(&self, stage: &mut Stage, key: &str) -> Result<bool, BuildErrorKind> {
        if self.options.no_cache {
            return Ok(false);
        }
        let done = self.builder.state.read(|r| r.get::<DoneStep>(key))?;
        let Some(done) = done else {
            return Ok(false);
        };
        // The image may have been removed since.
        let Ok(level) = self.level(&done.image) else {
            self.builder
                .state
                .write_behind(|w| w.remove::<DoneStep>(key).map(drop))?;
            return Ok(false);
        };
        stage.level = level;
        Ok(true)
    }

    /// Makes the image of a step and writes down that it was done.
    pub(super) async fn commit(
        &self,
        stage: &mut Stage,
        key: &str,
        said: String,
        mut config: ImageConfiguration,
        layer: LayerSource,
    ) -> Result<(), BuildErrorKind> {
        config.created = OffsetDateTime::now_utc().format(&Rfc3339).ok();
        let request = CommitRequest {
            parent: stage.level.image.clone(),
            layer,
            history: history(&config, said),
            config,
            reference: None,
        };
        let image = self.builder.images.commit(request).await?;
        stage.level = self.level(&image)?;
        // On the disk at once: it is there to outlive the agent.
        let done = DoneStep { image };
        let written: Result<(), StateError> = self.builder.state.write(|w| w.put(key, &done));
        Ok(written?)
    }

    /// The state of a stage that stands at an image.
    pub(super) fn level(&self, id: &ImageId) -> Result<Level, BuildErrorKind> {
        let (image, kept) = self.builder.images.get_and_keep(id)?;
        Ok(Level {
            image: Some(image.id),
            config: image.config,
            layers: image.layers,
            _kept: Some(Arc::new(kept)),
        })
    }
}
