//! Clients that do everything at once until somebody cuts them off, and note what they were promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use berth_proto::v1::attach_request::Message as Ask;
use berth_proto::v1::attach_response::Message as Answer;
use berth_proto::v1::wait_request::Condition;
use berth_proto::v1::{self, ContainerConfig, HostConfig};
use tokio::task::JoinSet;
use tonic::Status;

use crate::client::{Client, command, everything, sh};
use crate::robust::journal::{Fact, Journal};

/// Writes 1, 2, 3… until it is told to stop.
pub(crate) const COUNTER: &str =
    "trap 'exit 7' TERM; n=0; while :; do n=$((n+1)); echo $n; sleep 0.02; done";

/// Clients at work.
pub(crate) struct Mix {
    worker: Worker,
    tasks: JoinSet<()>,
}

/// One client.
#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) journal: Arc<Journal>,
    /// Errors are nothing special from now on, and nothing new is begun.
    cut: Arc<AtomicBool>,
    /// Makes names that no other round has had.
    next: Arc<AtomicU64>,
    /// Where an image can be pulled from; empty: nowhere.
    registry: Arc<str>,
    /// A container that counts and that nobody touches.
    anchor: Arc<str>,
}

impl Mix {
    /// Begins the work.
    pub(crate) fn start(
        client: &Client,
        journal: &Arc<Journal>,
        next: &Arc<AtomicU64>,
        registry: &str,
        anchor: &str,
    ) -> Self {
        let worker = Worker {
            client: client.clone(),
            journal: Arc::clone(journal),
            cut: Arc::default(),
            next: Arc::clone(next),
            registry: registry.into(),
            anchor: anchor.into(),
        };
        let mut tasks = JoinSet::new();
        macro_rules! work {
            ($($step:ident),+) => { $( tasks.spawn(worker.clone().repeat(stringify!($step), async |w: &Worker| w.$step().await)); )+ };
        }
        work!(
            run, run, life, publish, build, follow, copy, commit, export, update, logs, networks
        );
        if !registry.is_empty() {
            work!(pull);
        }
        Self { worker, tasks }
    }

    /// What comes from now on was not promised by an agent that lives.
    pub(crate) fn cut(&self) {
        self.worker.cut.store(true, Ordering::SeqCst);
    }

    /// Leaves clients alone whose agent will never answer.
    pub(crate) async fn abandon(mut self) {
        self.tasks.shutdown().await;
    }

    /// Waits until every client has noticed.
    pub(crate) async fn join(mut self) {
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                self.worker.journal.fault(format!("a client: {error}"));
            }
        }
    }
}

impl Worker {
    async fn repeat(self, what: &'static str, step: impl AsyncFn(&Self) -> Result<(), Status>) {
        while !self.is_cut() {
            if let Err(status) = step(&self).await {
                if !self.is_cut() {
                    self.journal.fault(format!(
                        "{what}: {} ({:?})",
                        status.message(),
                        status.code()
                    ));
                }
                return;
            }
            self.journal.answered(what);
        }
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::SeqCst)
    }

    pub(crate) fn name(&self, kind: &str) -> String {
        format!("{kind}-{}", self.next.fetch_add(1, Ordering::SeqCst))
    }

    /// Notes that something is not as it must be, unless the agent is being killed.
    pub(crate) fn check(&self, holds: bool, what: impl FnOnce() -> String) {
        if !holds && !self.is_cut() {
            self.journal.fault(what());
        }
    }

    pub(crate) async fn create(
        &self,
        name: &str,
        config: ContainerConfig,
    ) -> Result<String, Status> {
        let counts = config.command.last().is_some_and(|last| last == COUNTER);
        self.journal.creating(name, counts);
        let id = self.client.create(name, config).await?;
        self.journal.note(name, |promise| {
            promise.id.clone_from(&id);
            promise.exists = Fact::Yes;
        });
        Ok(id)
    }

    pub(crate) async fn start(&self, name: &str) -> Result<(), Status> {
        self.journal.note(name, |promise| promise.runs = Fact::Open);
        self.client.start(name).await?;
        self.journal.note(name, |promise| promise.runs = Fact::Yes);
        Ok(())
    }

    pub(crate) async fn remove(&self, name: &str) -> Result<(), Status> {
        self.journal.note(name, |promise| {
            promise.exists = Fact::Open;
            promise.runs = Fact::Open;
        });
        self.client.remove(name, true, true).await?;
        self.journal.note(name, |promise| promise.exists = Fact::No);
        Ok(())
    }

    pub(crate) async fn exec(
        &self,
        name: &str,
        words: &[&str],
    ) -> Result<crate::client::Ran, Status> {
        let options = v1::ExecOptions {
            container: name.to_owned(),
            command: words.iter().map(|word| (*word).to_owned()).collect(),
            ..Default::default()
        };
        self.client.exec(options, b"").await
    }

    /// `run --rm -v /data`, attached.
    async fn run(&self) -> Result<(), Status> {
        let name = self.name("run");
        let mut config = sh("echo hello; exit 3");
        config
            .host
            .get_or_insert_default()
            .binds
            .push("/data".to_owned());
        self.create(&name, config).await?;
        self.journal.note(&name, |promise| {
            promise.exists = Fact::Open;
            promise.runs = Fact::Open;
        });
        let (output, code) = attached(&self.client, &name).await?;
        self.check(output == "hello\n" && code == 3, || {
            format!("{name} gave {output:?} and {code}")
        });
        self.journal
            .note(&name, |promise| promise.exists = Fact::No);
        Ok(())
    }

    /// A container's life with everything in it.
    async fn life(&self) -> Result<(), Status> {
        let name = self.name("life");
        self.create(&name, command(&["sh", "-c", COUNTER])).await?;
        self.start(&name).await?;
        let ran = self.exec(&name, &["echo", "inside"]).await?;
        self.check(ran.stdout == "inside\n", || {
            format!("exec in {name} gave {ran:?}")
        });
        self.pause_and_rename(&name).await?;
        self.journal
            .note(&name, |promise| promise.runs = Fact::Open);
        self.client.stop(&name, 10).await?;
        self.journal.note(&name, |promise| promise.runs = Fact::No);
        self.start(&name).await?;
        let ended = self.client.wait(&name, Condition::NextExit).await?;
        self.journal
            .note(&name, |promise| promise.runs = Fact::Open);
        self.client.kill(&name, "KILL").await?;
        drop(ended);
        self.remove(&name).await
    }

    /// Another name and back again, other limits, and a pause.
    async fn pause_and_rename(&self, name: &str) -> Result<(), Status> {
        let containers = || self.client.containers.clone();
        self.journal.note(name, |promise| promise.pauses = true);
        let container = name.to_owned();
        containers().pause(v1::PauseRequest { container }).await?;
        let container = name.to_owned();
        containers()
            .unpause(v1::UnpauseRequest { container })
            .await?;
        self.journal.note(name, |promise| promise.pauses = false);
        let other = format!("{name}-renamed");
        self.journal
            .note(name, |promise| promise.names.push(other.clone()));
        for (from, to) in [(name, other.as_str()), (other.as_str(), name)] {
            let request = v1::RenameRequest {
                container: from.to_owned(),
                new_name: to.to_owned(),
            };
            containers().rename(request).await?;
            // The next one may come through before its answer does.
            self.journal.note(name, |promise| {
                promise.names = vec![to.to_owned(), name.to_owned()];
            });
        }
        self.journal
            .note(name, |promise| promise.names = vec![name.to_owned()]);
        Ok(())
    }

    /// A published port, a named and an anonymous volume, and removal by force.
    async fn publish(&self) -> Result<(), Status> {
        let name = self.name("publish");
        let config = ContainerConfig {
            host: Some(HostConfig {
                binds: vec!["kept:/kept".to_owned(), "/data".to_owned()],
                port_bindings: vec![v1::PortBinding {
                    container_port: 80,
                    protocol: "tcp".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            ..command(&["sh", "-c", COUNTER])
        };
        self.create(&name, config).await?;
        self.start(&name).await?;
        let ran = self.exec(&name, &["touch", "/kept/file"]).await?;
        self.check(ran.code == 0, || {
            format!("touch in {name} ended with {}", ran.code)
        });
        self.remove(&name).await
    }

    /// An image comes and goes.
    async fn pull(&self) -> Result<(), Status> {
        let reference = self.registry.to_string();
        self.journal.note_image(&reference, Fact::Open);
        let request = v1::PullRequest {
            reference: reference.clone(),
            ..Default::default()
        };
        let mut answers = self.client.images.clone().pull(request).await?.into_inner();
        while answers.message().await?.is_some() {}
        self.journal.note_image(&reference, Fact::Yes);
        self.remove_image(&reference).await
    }

    /// A build with a command of its own.
    async fn build(&self) -> Result<(), Status> {
        let name = self.name("built");
        let reference = format!("{name}:latest");
        self.journal.note_image(&reference, Fact::Open);
        let options = v1::BuildOptions {
            tags: vec![reference.clone()],
            dockerfile_text: Some(
                format!("FROM busybox:test\nRUN echo {name} > /made\n").into_bytes(),
            ),
            ..Default::default()
        };
        let empty = tar::Builder::new(Vec::new()).into_inner()?;
        let requests = [
            v1::build_request::Message::Options(options),
            v1::build_request::Message::Context(empty),
        ]
        .map(|message| v1::BuildRequest {
            message: Some(message),
        });
        let mut builds =
            v1::build_service_client::BuildServiceClient::new(self.client.channel.clone());
        let mut answers = builds
            .build(tokio_stream::iter(requests))
            .await?
            .into_inner();
        while answers.message().await?.is_some() {}
        self.journal.note_image(&reference, Fact::Yes);
        self.remove_image(&reference).await
    }

    pub(crate) async fn remove_image(&self, reference: &str) -> Result<(), Status> {
        self.journal.note_image(reference, Fact::Open);
        let request = v1::RemoveImageRequest {
            name: reference.to_owned(),
            ..Default::default()
        };
        self.client.images.clone().remove(request).await?;
        self.journal.note_image(reference, Fact::No);
        Ok(())
    }

    /// Follows a log from its beginning, and misses nothing.
    async fn follow(&self) -> Result<(), Status> {
        let request = v1::LogsRequest {
            follow: true,
            ..everything(&self.anchor)
        };
        let mut lines = self
            .client
            .containers
            .clone()
            .logs(request)
            .await?
            .into_inner();
        let mut former = 0_u64;
        while let Some(line) = lines.message().await? {
            for text in String::from_utf8_lossy(&line.data).lines() {
                let number = text.parse().unwrap_or(0);
                // A boot has it begin anew.
                self.check(number == former + 1 || number == 1, || {
                    format!("the followed log has {text:?} after {former}")
                });
                former = number;
            }
            if self.is_cut() {
                break;
            }
        }
        Ok(())
    }
}

/// Attaches to a container that was created, starts it, waits until it has ended and is gone; returns
/// its output and exit code.
async fn attached(client: &Client, container: &str) -> Result<(String, i32), Status> {
    let options = v1::AttachOptions {
        container: container.to_owned(),
        stdout: true,
        stderr: true,
        ..Default::default()
    };
    let requests = [v1::AttachRequest {
        message: Some(Ask::Options(options)),
    }];
    let mut answers = client
        .containers
        .clone()
        .attach(tokio_stream::iter(requests))
        .await?
        .into_inner();
    let wait = v1::WaitRequest {
        container: container.to_owned(),
        condition: Condition::Removed.into(),
    };
    let mut ends = client.containers.clone().wait(wait).await?.into_inner();
    // That the wait is registered.
    ends.message().await?;
    client.start(container).await?;
    let (mut output, mut code) = (String::new(), -1);
    while let Some(answer) = answers.message().await? {
        match answer.message {
            Some(Answer::Output(piece)) => output.push_str(&String::from_utf8_lossy(&piece.data)),
            Some(Answer::Exited(exited)) => code = exited.code,
            _ => {}
        }
    }
    ends.message().await?;
    Ok((output, code))
}
