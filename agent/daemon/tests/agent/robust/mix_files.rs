//! More that clients of the mix do: files in and out, images of containers, other limits, logs.

use std::io::Read as _;

use berth_proto::v1::file_service_client::FileServiceClient;
use berth_proto::v1::{self, ContainerConfig, HostConfig, put_request};
use tonic::Status;
use tonic::transport::Channel;

use crate::client::{command, everything, text};
use crate::robust::journal::Fact;
use crate::robust::mix::{COUNTER, Worker};

/// What is put into containers: more than one message holds.
const PUT_BYTES: usize = 200_000;
/// Limits that containers get in turn, in bytes.
const LIMITS: [i64; 3] = [64 << 20, 96 << 20, 128 << 20];

impl Worker {
    /// `cp` into a container and out of it, while it does not run and while it does.
    pub(crate) async fn copy(&self) -> Result<(), Status> {
        let name = self.name("copy");
        self.create(&name, command(&["sh", "-c", COUNTER])).await?;
        for is_running in [false, true] {
            if is_running {
                self.start(&name).await?;
            }
            let content = format!("{name} {is_running}").repeat(PUT_BYTES / 20);
            self.put(&name, "file", &content).await?;
            let back = self.get(&name, "/tmp/file").await?;
            self.check(back == content, || {
                format!("{name}: {} bytes came back", back.len())
            });
        }
        self.remove(&name).await
    }

    /// `commit` of a container that runs, whose processes it holds meanwhile.
    pub(crate) async fn commit(&self) -> Result<(), Status> {
        let name = self.name("commit");
        let reference = format!("{}:latest", self.name("committed"));
        let script = format!("echo {name} > /made; {COUNTER}");
        self.create(&name, command(&["sh", "-c", &script])).await?;
        self.start(&name).await?;
        self.journal.note_image(&reference, Fact::Open);
        let request = v1::CommitRequest {
            container: name.clone(),
            reference: reference.clone(),
            pause: true,
            ..Default::default()
        };
        self.files().commit(request).await?;
        self.journal.note_image(&reference, Fact::Yes);
        let ran = self.exec(&name, &["echo", "awake"]).await?;
        self.check(ran.stdout == "awake\n", || {
            format!("{name} after its commit: {ran:?}")
        });
        self.remove(&name).await?;
        self.remove_image(&reference).await
    }

    /// `export` of a container that never ran, and `import` of what came.
    pub(crate) async fn export(&self) -> Result<(), Status> {
        let name = self.name("export");
        let reference = format!("{}:latest", self.name("imported"));
        self.create(&name, command(&["true"])).await?;
        let request = v1::ExportRequest {
            container: name.clone(),
        };
        let mut answers = self.files().export(request).await?.into_inner();
        let mut tar = Vec::new();
        while let Some(answer) = answers.message().await? {
            tar.extend(answer.chunk);
        }
        self.remove(&name).await?;
        self.journal.note_image(&reference, Fact::Open);
        let options = v1::ImportOptions {
            reference: reference.clone(),
            ..Default::default()
        };
        let mut requests = vec![v1::import_request::Message::Options(options)];
        let chunks = tar.chunks(64 * 1024).map(<[u8]>::to_vec);
        requests.extend(chunks.map(v1::import_request::Message::Chunk));
        let requests = requests.into_iter().map(|message| v1::ImportRequest {
            message: Some(message),
        });
        let stream = tokio_stream::iter(requests.collect::<Vec<_>>());
        self.client.images.clone().import(stream).await?;
        self.journal.note_image(&reference, Fact::Yes);
        self.remove_image(&reference).await
    }

    /// `update` of limits and of the restart policy.
    pub(crate) async fn update(&self) -> Result<(), Status> {
        let name = self.name("update");
        let config = ContainerConfig {
            host: Some(HostConfig {
                memory_bytes: LIMITS[0],
                ..Default::default()
            }),
            ..command(&["sh", "-c", COUNTER])
        };
        self.create(&name, config).await?;
        self.journal.note(&name, |promise| {
            promise.limits = vec![LIMITS[0]];
        });
        self.start(&name).await?;
        for limit in LIMITS.into_iter().rev() {
            // Until the answer it is one or the other.
            self.journal
                .note(&name, |promise| promise.limits.push(limit));
            let request = v1::UpdateRequest {
                container: name.clone(),
                memory_bytes: limit,
                restart_policy: Some(v1::RestartPolicy {
                    name: "on-failure".to_owned(),
                    maximum_retry_count: 2,
                }),
                ..Default::default()
            };
            self.client.containers.clone().update(request).await?;
            self.journal
                .note(&name, |promise| promise.limits = vec![limit]);
        }
        self.remove(&name).await
    }

    /// `logs` of what has ended: all of it, and its end.
    pub(crate) async fn logs(&self) -> Result<(), Status> {
        let name = self.name("logs");
        self.create(&name, command(&["seq", "1", "2000"])).await?;
        let wait = v1::WaitRequest {
            container: name.clone(),
            condition: v1::wait_request::Condition::NextExit.into(),
        };
        let mut ends = self
            .client
            .containers
            .clone()
            .wait(wait)
            .await?
            .into_inner();
        // That the wait is registered.
        ends.message().await?;
        self.journal
            .note(&name, |promise| promise.runs = Fact::Open);
        self.client.start(&name).await?;
        ends.message().await?;
        self.journal.note(&name, |promise| promise.runs = Fact::No);
        for (tail_lines, n_lines) in [(None, 2000), (Some(7), 7)] {
            let request = v1::LogsRequest {
                tail_lines,
                ..everything(&name)
            };
            let lines = self.client.logs(request).await?;
            let all = text(lines.iter().map(|line| line.data.as_slice()));
            self.check(
                all.lines().count() == n_lines && all.ends_with("\n2000\n"),
                || format!("{name}: {} lines with {tail_lines:?}", all.lines().count()),
            );
        }
        self.remove(&name).await
    }

    fn files(&self) -> FileServiceClient<Channel> {
        FileServiceClient::new(self.client.channel.clone())
            .max_decoding_message_size(berth_proto::MAX_MESSAGE_BYTES)
    }

    async fn put(&self, container: &str, name: &str, content: &str) -> Result<(), Status> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(u64::try_from(content.len()).unwrap_or_default());
        tar.append_data(&mut header, name, content.as_bytes())?;
        let options = v1::PutOptions {
            container: container.to_owned(),
            path: "/tmp".to_owned(),
            ..Default::default()
        };
        let mut requests = vec![put_request::Message::Options(options)];
        let tar = tar.into_inner()?;
        requests.extend(
            tar.chunks(64 * 1024)
                .map(|chunk| put_request::Message::Chunk(chunk.to_vec())),
        );
        let requests = requests.into_iter().map(|message| v1::PutRequest {
            message: Some(message),
        });
        let stream = tokio_stream::iter(requests.collect::<Vec<_>>());
        self.files().put(stream).await.map(drop)
    }

    async fn get(&self, container: &str, path: &str) -> Result<String, Status> {
        let request = v1::GetRequest {
            container: container.to_owned(),
            path: path.to_owned(),
            ..Default::default()
        };
        let mut answers = self.files().get(request).await?.into_inner();
        let mut bytes = Vec::new();
        while let Some(answer) = answers.message().await? {
            if let Some(v1::get_response::Message::Chunk(chunk)) = answer.message {
                bytes.extend(chunk);
            }
        }
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut content = String::new();
        for entry in archive.entries()? {
            entry?.read_to_string(&mut content)?;
        }
        Ok(content)
    }
}
