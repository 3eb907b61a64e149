//! `system df`: how many bytes images, containers and volumes take.

use std::collections::HashMap;

use berth_agent_images::{Image, LookupError};

use crate::Engine;
use crate::class::{Classified, ErrorClass};
use crate::view::list::{ContainerSummary, ListError, ListOptions};
use crate::volumes::{VolumeError, VolumeUsage};

/// What an image costs.
#[derive(Clone, Debug)]
pub struct ImageUsage {
    /// The image.
    pub image: Image,
    /// Bytes of its layers that other images have too.
    pub shared_size: u64,
    /// Containers that use it.
    pub n_users: usize,
}

/// What everything costs.
#[derive(Clone, Debug, Default)]
pub struct DiskUsage {
    /// Bytes of all layers, each counted once.
    pub layers_size: u64,
    /// Images, newest first, without the steps of builds.
    pub images: Vec<ImageUsage>,
    /// All containers, with their sizes.
    pub containers: Vec<ContainerSummary>,
    /// Volumes that are directories of this machine.
    pub volumes: Vec<VolumeUsage>,
}

/// It cannot be found out.
#[derive(Debug, thiserror::Error)]
pub enum DiskUsageError {
    /// The images cannot be read.
    #[error(transparent)]
    Images(#[from] LookupError),
    /// The containers cannot be listed.
    #[error(transparent)]
    Containers(#[from] ListError),
    /// The volumes cannot be read.
    #[error(transparent)]
    Volumes(#[from] VolumeError),
}

impl Engine {
    /// Adds up what everything takes. Blocks while files are looked at.
    ///
    /// # Errors
    /// When the records cannot be read.
    pub fn disk_usage(&self) -> Result<DiskUsage, DiskUsageError> {
        let options = ListOptions {
            all: true,
            size: true,
            ..ListOptions::default()
        };
        Ok(DiskUsage {
            layers_size: self.images.layer_sizes()?.values().sum(),
            images: self.image_usage()?,
            containers: self.list(&options)?,
            volumes: self.volume_usage()?,
        })
    }

    /// Returns what each image costs, newest first; of those that are only steps of builds nothing.
    ///
    /// # Errors
    /// When the images cannot be read.
    pub fn image_usage(&self) -> Result<Vec<ImageUsage>, LookupError> {
        let sizes = self.images.layer_sizes()?;
        let images = self.shown_images()?;
        let mut n_owners: HashMap<String, usize> = HashMap::new();
        for image in &images {
            let mut layers: Vec<&str> = image.layers.iter().map(|l| l.as_str()).collect();
            layers.sort_unstable();
            layers.dedup();
            for layer in layers {
                *n_owners.entry(layer.to_owned()).or_default() += 1;
            }
        }
        let is_shared = |layer: &str| n_owners.get(layer).is_some_and(|n| *n > 1);
        let shared = |image: &Image| {
            let layers = image
                .layers
                .iter()
                .filter(|layer| is_shared(layer.as_str()));
            layers.filter_map(|layer| sizes.get(layer.as_str())).sum()
        };
        let usage = images.into_iter().map(|image| ImageUsage {
            shared_size: shared(&image),
            n_users: self.n_users_of_image(&image),
            image,
        });
        Ok(usage.collect())
    }
}

impl Classified for DiskUsageError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Images(error) => error.class(),
            Self::Containers(error) => error.class(),
            Self::Volumes(error) => error.class(),
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Images(error) => error.reason(),
            Self::Containers(error) => error.reason(),
            Self::Volumes(error) => error.reason(),
        }
    }
}
