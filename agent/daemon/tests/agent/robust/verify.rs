//! Holds a machine against what its clients were promised.

use berth_proto::v1::{self, ContainerState, ContainerSummary, PruneNetworksRequest};

use tonic::Code;

use crate::client::{Client, IMAGE, command};
use crate::host::until;
use crate::robust::journal::{Fact, Notes, Promise};

/// Returns everything that is not as promised, a sentence each.
pub(crate) async fn faults(client: &Client, notes: &Notes) -> Vec<String> {
    let mut faults = notes.faults.clone();
    let listed = match client.list(&[]).await {
        Ok(listed) => listed,
        Err(error) => return vec![format!("the list failed: {error}")],
    };
    for container in &listed {
        let is_known = |name: &String| notes.containers.values().any(|p| p.names.contains(name));
        if !container.names.iter().any(is_known) {
            faults.push(format!("nobody asked for {:?}", container.names));
        }
    }
    for (name, promise) in &notes.containers {
        if let Err(fault) = check(client, promise, &listed).await {
            faults.push(format!("{name}: {fault} ({promise:?})"));
        }
    }
    faults.extend(image_faults(client, notes).await);
    faults
}

async fn check(
    client: &Client,
    promise: &Promise,
    listed: &[ContainerSummary],
) -> Result<(), String> {
    let found: Vec<_> = listed
        .iter()
        .filter(|c| c.names.iter().any(|name| promise.names.contains(name)))
        .collect();
    let found = match (found.as_slice(), promise.exists) {
        ([], Fact::Yes) => return Err("it is lost".to_owned()),
        ([], _) => return Ok(()),
        ([_], Fact::No) => return Err("it is back".to_owned()),
        ([found], _) => *found,
        (many, _) => return Err(format!("there are {} of it", many.len())),
    };
    if !promise.id.is_empty() && promise.id != found.id {
        return Err(format!("it is another one, {}", found.id));
    }
    let object = match client.inspect(&found.id).await {
        // It was on its way out when it was listed.
        Err(error) if promise.exists == Fact::Open && error.code() == Code::NotFound => {
            return Ok(());
        }
        result => result,
    };
    let object = object.map_err(|error| format!("it cannot be inspected: {}", error.message()))?;
    if object["Id"] != found.id.as_str() {
        return Err(format!("inspect shows {}", object["Id"]));
    }
    let limit = object["HostConfig"]["Memory"].as_i64().unwrap_or_default();
    if !promise.limits.is_empty() && !promise.limits.contains(&limit) {
        return Err(format!("its limit is {limit}"));
    }
    let is_frozen = found.state() == ContainerState::Paused && promise.pauses;
    if is_frozen {
        let thawed = client.unpause(&found.id).await;
        thawed.map_err(|error| format!("it is frozen for good: {}", error.message()))?;
    }
    let runs = is_frozen || found.state() == ContainerState::Running;
    match (promise.runs, runs) {
        (Fact::Yes, false) if !promise.is_doomed => {
            return Err(format!("it should run, but {}", found.status));
        }
        (Fact::No, true) => return Err("it should not run".to_owned()),
        _ => {}
    }
    if runs && promise.exists == Fact::Yes && !promise.is_doomed {
        works(client, &found.id).await?;
    }
    if promise.counts {
        counted(client, &found.id).await?;
    }
    if found.state() == ContainerState::Created {
        startable(client, found).await?;
    }
    Ok(())
}

/// A command inside gives what it should. One that was told to end may do so meanwhile.
async fn works(client: &Client, id: &str) -> Result<(), String> {
    let options = v1::ExecOptions {
        container: id.to_owned(),
        command: vec!["echo".to_owned(), "here".to_owned()],
        ..Default::default()
    };
    match client.exec(options, b"").await {
        Ok(ran) if ran.stdout == "here\n" && ran.code == 0 => Ok(()),
        result => match client.inspect(id).await {
            Ok(object) if object["State"]["Running"] == true => {
                Err(format!("exec gave {result:?}"))
            }
            _ => Ok(()),
        },
    }
}

/// The log is 1, 2, 3… of each of the container's runs, without a gap.
async fn counted(client: &Client, id: &str) -> Result<(), String> {
    let request = crate::client::everything(id);
    let lines = client.logs(request).await;
    let lines = lines.map_err(|error| format!("its log: {}", error.message()))?;
    let text = crate::client::text(lines.iter().map(|line| line.data.as_slice()));
    let mut former = 0_u64;
    // The last line may be half-written.
    let (whole, _rest) = text.rsplit_once('\n').unwrap_or_default();
    for line in whole.lines() {
        let number: u64 = line
            .parse()
            .map_err(|_error| format!("its log has {line:?}"))?;
        if number != former + 1 && number != 1 {
            return Err(format!("its log has {number} after {former}"));
        }
        former = number;
    }
    Ok(())
}

/// One that was made, but not started, is whole: it starts.
async fn startable(client: &Client, found: &ContainerSummary) -> Result<(), String> {
    let started = client.start(&found.id).await;
    started.map_err(|error| format!("it was created, but does not start: {}", error.message()))
}

async fn images(client: &Client) -> Result<Vec<v1::Image>, tonic::Status> {
    let mut images = client.images.clone();
    let answer = images.list(v1::ListImagesRequest::default()).await?;
    Ok(answer.into_inner().images)
}

async fn image_faults(client: &Client, notes: &Notes) -> Vec<String> {
    let listed = match images(client).await {
        Ok(listed) => listed,
        Err(error) => return vec![format!("images are not listed: {error}")],
    };
    let tags: Vec<&String> = listed.iter().flat_map(|image| &image.repo_tags).collect();
    let mut faults = Vec::new();
    for (name, exists) in &notes.images {
        let wanted = if name.contains("/") && !name.ends_with(":latest") {
            format!("{name}:latest")
        } else {
            name.clone()
        };
        let n_found = tags.iter().filter(|tag| ***tag == wanted).count();
        match (exists, n_found) {
            (Fact::Yes, 1) | (Fact::No, 0) | (Fact::Open, 0 | 1) => {}
            _ => faults.push(format!(
                "image {wanted} is there {n_found} times: {exists:?}"
            )),
        }
    }
    for tag in tags {
        if tag != IMAGE
            && !notes
                .images
                .keys()
                .any(|name| tag.starts_with(name.as_str()))
        {
            faults.push(format!("nobody asked for image {tag}"));
        }
        let config = v1::ContainerConfig {
            image: tag.clone(),
            host: Some(v1::HostConfig {
                auto_remove: true,
                ..Default::default()
            }),
            ..command(&["true"])
        };
        match client.run(config).await {
            Ok(ran) if ran.code == 0 => {}
            result => faults.push(format!("image {tag} does not run: {result:?}")),
        }
    }
    faults
}

/// Removes everything but what is kept, by name, and every image but that of the tests. What was pulled and is in no
/// image goes with it.
pub(crate) async fn clear(client: &Client, kept: &[&str]) {
    for container in client.list(&[]).await.expect("list") {
        if container
            .names
            .iter()
            .any(|name| kept.contains(&name.as_str()))
        {
            continue;
        }
        // One that goes by itself may be quicker.
        until("the removal", async || {
            client.remove(&container.id, true, true).await.is_ok()
                || client.inspect(&container.id).await.is_err()
        })
        .await;
    }
    let mut networks = client.networks();
    let pruned = networks.prune(PruneNetworksRequest::default());
    pruned.await.expect("prune of networks");
    // The removal of an image is when layers without one go.
    client
        .import_as(
            "emptied:test",
            &tar::Builder::new(Vec::new()).into_inner().expect("tar"),
        )
        .await;
    for image in images(client).await.expect("images") {
        if image.repo_tags.iter().any(|tag| tag == IMAGE) {
            continue;
        }
        let request = v1::RemoveImageRequest {
            name: image.id,
            force: true,
            no_prune: false,
        };
        let removed = client.images.clone().remove(request).await;
        removed.expect("removal of an image");
    }
}
