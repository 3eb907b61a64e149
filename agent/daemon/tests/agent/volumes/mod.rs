//! Volumes: the commands, what containers see of them, and those that are mounted.

mod commands;
mod in_containers;
mod mounted;

use std::collections::HashMap;

use berth_proto::v1::{
    ContainerConfig, CreateVolumeRequest, HostConfig, ListVolumesRequest, Mount,
    PruneVolumesRequest, RemoveVolumeRequest, Volume,
};
use tonic::Status;

use crate::client::Client;

impl Client {
    /// Makes a volume with labels and options.
    async fn volume(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        options: &[(&str, &str)],
    ) -> Result<Volume, Status> {
        let request = CreateVolumeRequest {
            name: name.to_owned(),
            labels: map(labels),
            options: map(options),
            ..Default::default()
        };
        let answer = self.volumes.clone().create(request).await?;
        Ok(answer.into_inner().volume.expect("a volume"))
    }

    /// Returns the names of the volumes that pass filters.
    async fn volume_names(&self, filters: &[&str]) -> Result<Vec<String>, Status> {
        let request = ListVolumesRequest {
            filters: texts(filters),
        };
        let answer = self.volumes.clone().list(request).await?.into_inner();
        Ok(answer.volumes.into_iter().map(|v| v.name).collect())
    }

    async fn remove_volume(&self, name: &str, force: bool) -> Result<(), Status> {
        let request = RemoveVolumeRequest {
            name: name.to_owned(),
            force,
        };
        self.volumes.clone().remove(request).await.map(drop)
    }

    /// Removes what nobody uses; returns the names and the bytes.
    async fn prune_volumes(&self, filters: &[&str]) -> Result<(Vec<String>, u64), Status> {
        let request = PruneVolumesRequest {
            filters: texts(filters),
        };
        let answer = self.volumes.clone().prune(request).await?.into_inner();
        Ok((answer.removed, answer.space_reclaimed_bytes))
    }
}

fn map(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let pair = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(pair).collect()
}

fn texts(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn with_binds(config: ContainerConfig, binds: &[&str]) -> ContainerConfig {
    let host = config.host.clone().unwrap_or_default();
    ContainerConfig {
        host: Some(HostConfig {
            binds: texts(binds),
            ..host
        }),
        ..config
    }
}

fn with_mounts(config: ContainerConfig, mounts: Vec<Mount>) -> ContainerConfig {
    let host = config.host.clone().unwrap_or_default();
    ContainerConfig {
        host: Some(HostConfig { mounts, ..host }),
        ..config
    }
}
