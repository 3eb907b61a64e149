//! `RUN`.

use std::ffi::OsStr;
use std::io::Write as _;
use std::sync::Arc;

use berth_agent_engine::StepRequest;
use berth_agent_images::KeptLayers;
use berth_agent_snapshots::{LayerId, Snapshotter};
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::change::layer_of;
use super::{Session, Stage};
use crate::build_error::BuildErrorKind;
use crate::builder::Builder;
use crate::cache_key::CacheKey;
use crate::copy::CopyError;
use crate::dockerfile::{CommandLine, Run, SyntaxProblem, parse_heredoc};
use crate::event::BuildEvent;
use crate::settings;

/// How many pieces of output may wait for the client.
const OUTPUT_PIECES: usize = 64;

/// A command and what it needs besides the image.
struct Command {
    argv: Vec<String>,
    /// A file that must be there for the command: a here-document with an interpreter of its own.
    script: Option<Script>,
}

/// A file at a place that only this command sees.
struct Script {
    name: String,
    content: String,
}

// === impl Session ===

impl Session<'_> {
    /// Runs a command; says whether that was done before.
    pub(super) async fn command(
        &mut self,
        stage: &mut Stage,
        run: &Run,
    ) -> Result<bool, BuildErrorKind> {
        check(run)?;
        let network = self.network(run)?;
        let command = command(run, stage)?;
        let defaults = stage.defaults();
        let arguments = stage.scope.command_arguments(&defaults.env);
        let mut key = CacheKey::new(&stage.parent(), "run")
            .with_all(&command.argv)
            .with_all(&arguments)
            .with(&network);
        if let Some(script) = &command.script {
            key = key.with(&script.content);
        }
        let key = key.finish();
        if self.reuse(stage, &key)? {
            return Ok(true);
        }
        let defaults = stage.defaults();
        let proxies = stage.scope.proxies(&defaults.env, &self.globals);
        let script = match &command.script {
            Some(script) => Some(ScriptLayer::make(self.builder, script).await?),
            None => None,
        };
        let mut argv = command.argv.clone();
        let mut layers = stage.level.layers.clone();
        if let Some(script) = &script {
            argv.splice(..1, [script.path.clone()]);
            // Below everything: the root directory looks like that of the topmost layer.
            layers.insert(0, script.layer.clone());
        }
        let request = StepRequest {
            parent_layers: layers,
            argv,
            env: [defaults.env.as_slice(), &arguments, &proxies].concat(),
            working_dir: defaults.working_dir.clone(),
            user: defaults.user.clone(),
            network_mode: network,
        };
        let ran = self.run_with_output(request).await?;
        if ran.code != 0 {
            return Err(BuildErrorKind::Command {
                command: command.argv.join(" "),
                code: ran.code,
                oom_killed: ran.oom_killed,
            });
        }
        let said = said(&arguments, &command.argv);
        let config = stage.level.config.clone();
        self.commit(stage, &key, said, config, layer_of(&ran.upper))
            .await?;
        drop(ran);
        Ok(false)
    }

    fn network(&self, run: &Run) -> Result<String, BuildErrorKind> {
        match run.network.as_str() {
            "" | "default" => Ok(self.options.network_mode.clone()),
            "none" | "host" => Ok(run.network.clone()),
            other => Err(SyntaxProblem::NetworkMode(other.to_owned()).into()),
        }
    }

    async fn run_with_output(
        &self,
        request: StepRequest,
    ) -> Result<crate::runner::Ran, BuildErrorKind> {
        let (sender, mut receiver) = mpsc::channel(OUTPUT_PIECES);
        let running = async {
            self.builder
                .runner
                .run(request, sender)
                .await
                .map_err(BuildErrorKind::from)
        };
        let forwarding = async {
            while let Some(piece) = receiver.recv().await {
                let event = BuildEvent::Output {
                    stream: piece.stream as u8,
                    data: piece.data,
                };
                self.events.send(event).await?;
            }
            Ok::<(), BuildErrorKind>(())
        };
        // When the client has gone, the command ends with the future that runs it.
        let (ran, ()) = tokio::try_join!(running, forwarding)?;
        Ok(ran)
    }
}

/// Refuses what this builder cannot do.
pub(super) fn check(run: &Run) -> Result<(), BuildErrorKind> {
    match run.flags.iter().find(|flag| *flag != "network") {
        Some(flag) => Err(BuildErrorKind::Unsupported(format!("RUN --{flag}"))),
        None => Ok(()),
    }
}

/// What the history says of a command: as Docker, with the arguments in front that it saw.
fn said(arguments: &[String], argv: &[String]) -> String {
    let mut words = vec!["RUN".to_owned()];
    if !arguments.is_empty() {
        words.push(format!("|{}", arguments.len()));
        words.extend_from_slice(arguments);
    }
    words.extend_from_slice(argv);
    words.join(" ")
}

fn command(run: &Run, stage: &Stage) -> Result<Command, BuildErrorKind> {
    let plain = |argv| Command { argv, script: None };
    let text = match (&run.command, run.heredocs.as_slice()) {
        (CommandLine::Exec(words), _) if words.is_empty() => {
            return Err(SyntaxProblem::AtLeastOneArgument("RUN").into());
        }
        (CommandLine::Exec(words), _) => return Ok(plain(words.clone())),
        (CommandLine::Shell(text), []) => text.clone().unwrap_or_default(),
        (CommandLine::Shell(text), [first, ..]) => {
            let line = text.clone().unwrap_or_default();
            if parse_heredoc(&line).is_none() {
                // The shell gets the here-documents as they stand.
                let documents = run.heredocs.iter();
                documents.fold(line, |text, doc| {
                    format!("{text}\n{}{}", doc.content, doc.name)
                })
            } else if first.content.trim_start_matches('\t').starts_with("#!") {
                let content = first.text();
                let argv = vec![first.name.clone()];
                let script = Some(Script {
                    name: first.name.clone(),
                    content,
                });
                return Ok(Command { argv, script });
            } else {
                first.text()
            }
        }
    };
    Ok(plain(
        [settings::shell(stage.defaults()), vec![text]].concat(),
    ))
}

/// A layer with nothing but a script, which goes away with this value.
struct ScriptLayer {
    snapshots: Arc<dyn Snapshotter>,
    layer: LayerId,
    path: String,
    _kept: KeptLayers,
}

// === impl ScriptLayer ===

impl ScriptLayer {
    /// Makes the layer. Being below the command's own changes, it leaves no trace in the image.
    async fn make(builder: &Builder, script: &Script) -> Result<Self, BuildErrorKind> {
        let (snapshots, images) = (Arc::clone(&builder.snapshots), Arc::clone(&builder.images));
        let Script { name, content } = script;
        let (name, content) = (name.replace('/', "_"), content.clone());
        spawn_blocking(move || {
            let random = rand::random::<[u8; 32]>();
            let layer: LayerId = format!("sha256:{}", hex::encode(random))
                .parse()
                .map_err(BuildErrorKind::LayerName)?;
            let folder = format!(".heredoc-{}", hex::encode(&random[..6]));
            let staging = snapshots.begin_layer()?;
            let path = staging.path().join(&folder).join(&name);
            let written = berth_agent_sys::root_dir::RootDir::open(staging.path())
                .and_then(|root| root.create_dir_all(folder.as_ref(), 0o755))
                .and_then(|directory| {
                    directory
                        .create_file(OsStr::new(&name), 0o755)?
                        .write_all(content.as_bytes())?;
                    directory.chmod(OsStr::new(&name), 0o755)
                });
            written.map_err(|error| CopyError::io("write", &path)(error))?;
            let kept = images.keep(std::slice::from_ref(&layer));
            snapshots.commit_layer(staging, &layer)?;
            Ok(Self {
                snapshots,
                layer,
                _kept: kept,
                path: format!("/{folder}/{name}"),
            })
        })
        .await?
    }
}

impl Drop for ScriptLayer {
    fn drop(&mut self) {
        if let Err(error) = self.snapshots.remove_layer(&self.layer) {
            tracing::warn!(layer = %self.layer, %error, "a script's layer could not be removed");
        }
    }
}
