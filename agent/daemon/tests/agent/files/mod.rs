//! Files of containers: in, out, differences, images made of them; and those who attack on the way.

mod attacks;
mod copying;
mod full_disk;
mod hanging;
mod images;
mod interrupted;
mod stalled;

use std::collections::BTreeMap;
use std::io::Read as _;

use berth_proto::v1::file_service_client::FileServiceClient;
use berth_proto::v1::{
    ContainerConfig, GetRequest, HostConfig, PathStat, PutOptions, PutRequest, get_response,
    put_request,
};
use tar::{Builder, EntryType, Header};
use tonic::Status;
use tonic::transport::Channel;

use crate::client::{Client, command};

/// A container's files, as a client works on them.
struct Files {
    service: FileServiceClient<Channel>,
}

impl Files {
    fn of(client: &Client) -> Self {
        Self {
            service: FileServiceClient::new(client.channel.clone())
                .max_decoding_message_size(berth_proto::MAX_MESSAGE_BYTES),
        }
    }

    async fn put(&self, container: &str, path: &str, archive: &[u8]) -> Result<(), Status> {
        self.put_with(options(container, path), archive).await
    }

    async fn put_with(&self, options: PutOptions, archive: &[u8]) -> Result<(), Status> {
        let mut requests = vec![message(put_request::Message::Options(options))];
        for chunk in archive.chunks(64 * 1024) {
            requests.push(message(put_request::Message::Chunk(chunk.to_vec())));
        }
        let requests = tokio_stream::iter(requests);
        self.service.clone().put(requests).await.map(drop)
    }

    async fn get(&self, container: &str, path: &str) -> Result<(PathStat, Vec<u8>), Status> {
        let request = GetRequest {
            container: container.to_owned(),
            path: path.to_owned(),
            ..Default::default()
        };
        self.get_with(request).await
    }

    async fn get_with(&self, request: GetRequest) -> Result<(PathStat, Vec<u8>), Status> {
        let mut answers = self.service.clone().get(request).await?.into_inner();
        let (mut stat, mut bytes) = (PathStat::default(), Vec::new());
        while let Some(answer) = answers.message().await? {
            match answer.message {
                Some(get_response::Message::Stat(found)) => stat = found,
                Some(get_response::Message::Chunk(chunk)) => bytes.extend(chunk),
                None => {}
            }
        }
        Ok((stat, bytes))
    }
}

fn options(container: &str, path: &str) -> PutOptions {
    PutOptions {
        container: container.to_owned(),
        path: path.to_owned(),
        no_overwrite_dir_non_dir: true,
        copy_owner: false,
    }
}

fn message(message: put_request::Message) -> PutRequest {
    PutRequest {
        message: Some(message),
    }
}

/// An archive with members of any kind and any name, however wrong.
fn archive(members: &[(EntryType, &str, &str)]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (kind, name, rest) in members {
        let mut header = Header::new_gnu();
        // Past the checks of the crate, as an attacker would.
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(if *kind == EntryType::Symlink {
            0o777
        } else {
            0o755
        });
        header.set_uid(1000);
        header.set_gid(1001);
        header.set_mtime(1_700_000_000);
        let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
        if is_link {
            let field = &mut header.as_mut_bytes()[157..257];
            field[..rest.len()].copy_from_slice(rest.as_bytes());
        }
        let data = if is_link { "" } else { rest };
        header.set_size(data.len() as u64);
        header.set_cksum();
        builder.append(&header, data.as_bytes()).expect("member");
    }
    builder.into_inner().expect("archive")
}

/// What an archive has: the kind's letter and owner of each member, and what is in it.
fn members(bytes: &[u8]) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut archive = tar::Archive::new(bytes);
    for entry in archive.entries().expect("an archive") {
        let mut entry = entry.expect("a member");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header();
        let kind = char::from(header.entry_type().as_byte());
        let owner = format!(
            "{}:{}",
            header.uid().expect("uid"),
            header.gid().expect("gid")
        );
        let mode = header.mode().expect("mode");
        let link = entry.link_name_bytes().map(|link| link.into_owned());
        let mut text = link.unwrap_or_default();
        entry.read_to_end(&mut text).expect("data");
        let text = String::from_utf8_lossy(&text).into_owned();
        found.insert(path, format!("{kind} {mode:o} {owner} {text}"));
    }
    found
}

fn sleeper() -> ContainerConfig {
    command(&["sleep", "1000"])
}

fn with_host(host: HostConfig) -> ContainerConfig {
    ContainerConfig {
        host: Some(host),
        ..sleeper()
    }
}
