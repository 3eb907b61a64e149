//! Images that stages begin with or take files from.

use berth_agent_images::{Platform, Progress, ProgressSink, Reference};

use super::{Level, Session};
use crate::build_error::BuildErrorKind;
use crate::event::BuildEvent;

/// Standard error, where what is no output of the build belongs.
const PROGRESS_STREAM: u8 = 2;

// === impl Session ===

impl Session<'_> {
    /// The platform that a `--platform` means; without one, that of the build if it was given.
    pub(super) fn platform_of(&self, written: &str) -> Result<Option<Platform>, BuildErrorKind> {
        let platform = self.globals.expand(written)?;
        if platform.is_empty() {
            return Ok(self.platform.clone());
        }
        Ok(Some(platform.parse()?))
    }

    /// Returns an image of this machine, pulling it first where it is missing, is for another
    /// platform, or is to be asked for every time.
    pub(super) async fn base_image(
        &self,
        name: &str,
        platform: Option<&Platform>,
    ) -> Result<Level, BuildErrorKind> {
        let images = &self.builder.images;
        if !self.options.pull
            && let Ok(id) = images.resolve(name)
        {
            let level = self.level(&id)?;
            if platform.is_none_or(|platform| platform.suitability(&offered(&level)).is_some()) {
                return Ok(level);
            }
        }
        let reference = Reference::parse_definite(name).map_err(|source| BuildErrorKind::Name {
            name: name.to_owned(),
            source,
        })?;
        let events = self.events.clone();
        let progress = ProgressSink::new(move |progress| {
            if let Progress::Status(text) = progress {
                let data = format!("{text}\n").into_bytes();
                // Progress is for whoever can keep up.
                drop(events.0.try_send(BuildEvent::Output {
                    stream: PROGRESS_STREAM,
                    data,
                }));
            }
        });
        let credentials = self.options.registry_auths.get(reference.domain());
        let credentials = credentials.cloned().unwrap_or_default();
        let pulled = images
            .pull(&reference, &credentials, platform, &progress)
            .await;
        let pulled = pulled.map_err(|source| BuildErrorKind::Pull {
            name: reference.familiar(),
            source: Box::new(source),
        })?;
        self.level(&pulled.image_id)
    }
}

fn offered(level: &Level) -> Platform {
    Platform {
        os: level.config.os.clone(),
        architecture: level.config.architecture.clone(),
        variant: level.config.variant.clone().unwrap_or_default(),
    }
}
