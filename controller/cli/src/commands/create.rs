//! `berth create`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use berth_proto::v1::CreateRequest;

use super::container_config::{self, Attached};
use super::container_options::ContainerOptions;
use super::transfer::{self, PullPolicy};
use crate::engine::{Engine, Global};
use crate::failure::{ENGINE_ERROR, Failure, Outcome};
use crate::spec::image;
use crate::ui;
use crate::ui::layers::Place;

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
    let attached = Attached::new(&args.options);
    let request = container_config::request(&args.options, image, command, Some(attached))?;
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
    let id_file = options.cidfile.as_deref().map(new_id_file).transpose()?;
    let name = request
        .config
        .as_ref()
        .map(|config| config.image.clone())
        .unwrap_or_default();
    let platform = options.platform.as_deref().unwrap_or_default();
    let place = if options.quiet {
        Place::Nowhere
    } else {
        Place::Errors
    };
    if options.pull == PullPolicy::Always {
        transfer::pull(engine, &name, platform, place).await?;
    }
    let mut containers = engine.containers();
    let created = match containers
        .create(request.clone())
        .await
        .map_err(Failure::from)
    {
        Err(error)
            if error.reason() == "image-not-found" && options.pull == PullPolicy::Missing =>
        {
            if !options.quiet {
                ui::note(&format!(
                    "Unable to find image '{}' locally",
                    image::with_tag(&name)
                ));
            }
            transfer::pull(engine, &name, platform, place).await?;
            containers.create(request).await?
        }
        result => result?,
    };
    let created = created.into_inner();
    for warning in &created.warnings {
        ui::warn(warning);
    }
    if let Some((path, mut file)) = id_file {
        file.write_all(created.id.as_bytes())
            .map_err(|error| Failure::during(&format!("writing {}", path.display()), &error))?;
    }
    Ok(created.id)
}

/// Makes the file for the id, which must not be there yet: another container's would be lost.
fn new_id_file(path: &Path) -> Result<(&Path, std::fs::File), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.map(|file| (path, file)).map_err(|error| {
        let failure = if error.kind() == std::io::ErrorKind::AlreadyExists {
            Failure::new(format!(
                "container ID file found, make sure the other container isn't running or delete {}",
                path.display()
            ))
        } else {
            Failure::during(
                &format!("failed to create the container ID file {}", path.display()),
                &error,
            )
        };
        failure.exit(ENGINE_ERROR)
    })
}
