//! Images on the machine: lists, history, archives, and removing what nobody needs.

mod archives;
mod hostile;
mod interrupted;
mod lists;
mod others;

use berth_proto::v1::file_service_client::FileServiceClient;
use berth_proto::v1::{
    CommitRequest, HistoryRequest, HistoryStep, Image, ListImagesRequest, LoadRequest, LoadedImage,
    PruneImagesRequest, RemoveImageRequest, SaveRequest, TagRequest, removed_image,
};
use tonic::Status;

use crate::client::Client;

impl Client {
    async fn image_list(&self, filters: &[&str], reference: &str) -> Result<Vec<Image>, Status> {
        let request = ListImagesRequest {
            filters: filters.iter().map(|f| (*f).to_owned()).collect(),
            reference: reference.to_owned(),
            ..Default::default()
        };
        let answer = self.images.clone().list(request).await?;
        Ok(answer.into_inner().images)
    }

    /// Returns the names of the images that pass filters, sorted.
    async fn image_names(&self, filters: &[&str], reference: &str) -> Vec<String> {
        let images = self.image_list(filters, reference).await.expect("images");
        let mut names: Vec<String> = images.into_iter().flat_map(|i| i.repo_tags).collect();
        names.sort();
        names
    }

    async fn tag(&self, source: &str, target: &str) {
        let request = TagRequest {
            source: source.to_owned(),
            target: target.to_owned(),
        };
        self.images.clone().tag(request).await.expect("tagged");
    }

    /// Removes an image; returns what the program would print.
    async fn rmi(&self, name: &str, force: bool) -> Result<Vec<String>, Status> {
        let request = RemoveImageRequest {
            name: name.to_owned(),
            force,
            no_prune: false,
        };
        let answer = self.images.clone().remove(request).await?;
        Ok(lines(answer.into_inner().removed))
    }

    async fn history(&self, name: &str) -> Result<Vec<HistoryStep>, Status> {
        let request = HistoryRequest {
            name: name.to_owned(),
        };
        Ok(self
            .images
            .clone()
            .history(request)
            .await?
            .into_inner()
            .steps)
    }

    async fn prune_images(&self, filters: &[&str]) -> Result<(Vec<String>, u64), Status> {
        let request = PruneImagesRequest {
            filters: filters.iter().map(|f| (*f).to_owned()).collect(),
        };
        let answer = self.images.clone().prune(request).await?.into_inner();
        Ok((lines(answer.removed), answer.space_reclaimed_bytes))
    }

    async fn save(&self, names: &[&str]) -> Result<Vec<u8>, Status> {
        let request = SaveRequest {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        let mut answers = self.images.clone().save(request).await?.into_inner();
        let mut archive = Vec::new();
        while let Some(answer) = answers.message().await? {
            archive.extend(answer.chunk);
        }
        Ok(archive)
    }

    async fn load(&self, archive: &[u8]) -> Result<Vec<LoadedImage>, Status> {
        let chunks = archive.chunks(64 * 1024);
        let requests: Vec<LoadRequest> = chunks
            .map(|chunk| LoadRequest {
                chunk: chunk.to_vec(),
            })
            .collect();
        let answer = self
            .images
            .clone()
            .load(tokio_stream::iter(requests))
            .await?;
        Ok(answer.into_inner().images)
    }

    /// Makes an image out of a container that ran a script.
    async fn grow(&self, base: &str, script: &str, reference: &str) -> String {
        let mut config = crate::client::command(&["sh", "-c", script]);
        config.image = base.to_owned();
        let id = self.create("", config).await.expect("created");
        let exited = self
            .wait(&id, berth_proto::v1::wait_request::Condition::NextExit)
            .await
            .expect("a wait");
        self.start(&id).await.expect("started");
        assert_eq!(exited.await.code, 0);
        let request = CommitRequest {
            container: id.clone(),
            reference: reference.to_owned(),
            ..Default::default()
        };
        let mut files = FileServiceClient::new(self.channel.clone());
        let image = files.commit(request).await.expect("committed").into_inner();
        self.remove(&id, true, true).await.expect("removed");
        image.image_id
    }
}

fn lines(removed: Vec<berth_proto::v1::RemovedImage>) -> Vec<String> {
    let lines = removed.into_iter().filter_map(|line| match line.what? {
        removed_image::What::Untagged(name) => Some(format!("Untagged: {name}")),
        removed_image::What::Deleted(id) => Some(format!("Deleted: {id}")),
    });
    lines.collect()
}
