//! How an image came to be, step by step.

use std::collections::HashMap;

use super::lookup::names_by_image;
use super::{Images, LookupError};
use crate::records::{ImageRecord, LayerRecord};
use crate::{HistoryEntry, ImageId, Reference};

/// One step in the making of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct HistoryStep {
    /// The image that the step ended with, where that is here.
    pub image: Option<ImageId>,
    /// What the configuration says of the step.
    pub entry: HistoryEntry,
    /// Bytes of the step's layer.
    pub size: u64,
    /// Familiar names of the image that the step ended with.
    pub tags: Vec<String>,
}

impl Images {
    /// Returns the steps in which an image was made, the last one first.
    ///
    /// # Errors
    ///
    /// Fails when there is no such image, or when its configuration makes no sense.
    pub fn history(&self, id: &ImageId) -> Result<Vec<HistoryStep>, LookupError> {
        let image = self.get(id)?;
        let mut layers = image.layers.iter();
        let mut steps = Vec::new();
        let sizes = self.layer_sizes()?;
        for entry in image.config.history {
            let mut size = 0;
            if !entry.empty_layer {
                let layer = layers
                    .next()
                    .ok_or_else(|| LookupError::History { id: id.clone() })?;
                size = sizes.get(layer.as_str()).copied().unwrap_or_default();
            }
            steps.push(HistoryStep {
                image: None,
                entry,
                size,
                tags: Vec::new(),
            });
        }
        steps.reverse();
        self.name_steps(id, &mut steps)?;
        Ok(steps)
    }

    /// Finds the images that the steps ended with: each one's parent is that of the step before.
    fn name_steps(&self, id: &ImageId, steps: &mut [HistoryStep]) -> Result<(), LookupError> {
        self.inner.state.read(|reader| {
            let names = names_by_image(reader)?;
            let mut next = Some(id.clone());
            for step in steps {
                let Some(id) = next else {
                    break;
                };
                let Some(record) = reader.get::<ImageRecord>(id.as_str())? else {
                    break;
                };
                let known = names.get(&id).into_iter().flatten();
                let tagged = known.filter(|reference| reference.digest().is_none());
                step.tags = tagged.map(Reference::familiar).collect();
                step.image = Some(id);
                next = record.parent;
            }
            Ok(())
        })
    }

    /// Returns the bytes of each layer's files, by its id.
    ///
    /// # Errors
    ///
    /// Fails when the database cannot be read.
    pub fn layer_sizes(&self) -> Result<HashMap<String, u64>, LookupError> {
        let records = self
            .inner
            .state
            .read(|reader| reader.list::<LayerRecord>())?;
        let sizes = records.into_iter().map(|(id, record)| (id, record.size));
        Ok(sizes.collect())
    }
}
