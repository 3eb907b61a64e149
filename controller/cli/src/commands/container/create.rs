//! `berth create`.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::Path;

use berth_proto::v1::{CreateRequest, CreateResponse};
use nix::sys::signal::Signal;

use super::options::ContainerOptions;
use super::request;
use crate::commands::image::transfer::{self, PullPolicy};
use crate::engine::{Engine, Global};
use crate::failure::{ENGINE_ERROR, Failure, Outcome};
use crate::spec::image;
use crate::ui::layers::Place;
use crate::{interrupt, ui};

/// Create a container without starting it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, mut_args(crate::switch::with_value))]
#[command(override_usage = "berth create [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Args {
    #[command(flatten)]
    options: ContainerOptions,

    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// Image, then the command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<String>,
}

/// Creates a container and prints its id.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let [image, command @ ..] = args.words.as_slice() else {
        return Err(Failure::new("create needs an image"));
    };
    // Bad flags end with 125; what the engine refuses, with 1, as nothing was to be run.
    let attached = args.options.process.attached();
    let request = request::new(&args.options, image, command, attached)
        .map_err(|failure| failure.or_exit(ENGINE_ERROR))?;
    let engine = global.engine().await?;
    let id = create(&engine, &args.options, request).await?;
    ui::line(&id)?;
    Ok(0)
}

/// Creates a container, pulling its image when it must, and writes the id where it was asked for.
pub(super) async fn create(
    engine: &Engine,
    options: &ContainerOptions,
    request: CreateRequest,
) -> Result<String, Failure> {
    let id_file = options.cidfile.as_deref().map(IdFile::new).transpose()?;
    let created = pull_and_create(engine, options, request);
    let created = if id_file.is_some() {
        // The file is taken back also when somebody loses patience with the pull.
        let interrupted = |ending: Signal| Failure::silent(exit_of(ending));
        interrupt::unless_interrupted(created)
            .await?
            .map_err(interrupted)??
    } else {
        created.await?
    };
    for warning in &created.warnings {
        ui::warn(warning);
    }
    if let Some(id_file) = id_file {
        id_file.write(&created.id)?;
    }
    Ok(created.id)
}

/// The exit code of a command that a signal ends.
fn exit_of(ending: Signal) -> u8 {
    u8::try_from(128 + ending as i32).unwrap_or(1)
}

async fn pull_and_create(
    engine: &Engine,
    options: &ContainerOptions,
    request: CreateRequest,
) -> Result<CreateResponse, Failure> {
    let config = request.config.as_ref();
    let name = config
        .map(|config| config.image.clone())
        .unwrap_or_default();
    let platform = options.platform.as_deref().unwrap_or_default();
    let pull = options
        .pull()
        .map_err(|failure| failure.or_exit(ENGINE_ERROR))?;
    let place = if options.quiet {
        Place::Nowhere
    } else {
        Place::Errors
    };
    if pull == PullPolicy::Always {
        transfer::pull(engine, &name, platform, place).await?;
    }
    let mut containers = engine.containers();
    let created = containers
        .create(request.clone())
        .await
        .map_err(Failure::from);
    match created {
        Err(error) if error.reason() == "image-not-found" && pull == PullPolicy::Missing => {
            if !options.quiet {
                ui::note(&format!(
                    "Unable to find image '{}' locally",
                    image::with_tag(&name)
                ));
            }
            transfer::pull(engine, &name, platform, place).await?;
            Ok(containers.create(request).await?.into_inner())
        }
        created => Ok(created?.into_inner()),
    }
}

/// The file that the id goes to. It is made before the container, so that nothing is made in vain,
/// and taken back when there is no container.
#[derive(Debug)]
struct IdFile<'a> {
    path: &'a Path,
    file: File,
    written: bool,
}

// === impl IdFile ===

impl<'a> IdFile<'a> {
    /// Makes the file, which must not be there yet: another container's would be lost.
    fn new(path: &'a Path) -> Result<Self, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(|error| {
            let shown = path.display();
            let failure = if error.kind() == ErrorKind::AlreadyExists {
                Failure::new(format!(
                    "container ID file found, make sure the other container isn't running or \
                     delete {shown}"
                ))
            } else {
                Failure::during(
                    &format!("failed to create the container ID file {shown}"),
                    &error,
                )
            };
            failure.exit(ENGINE_ERROR)
        })?;
        Ok(Self {
            path,
            file,
            written: false,
        })
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        self.file.write_all(id.as_bytes()).map_err(|error| {
            Failure::during(&format!("writing {}", self.path.display()), &error)
        })?;
        self.written = true;
        Ok(())
    }
}

impl Drop for IdFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            // Whoever made it unreadable in the meantime may keep it.
            let _ = fs::remove_file(self.path);
        }
    }
}
