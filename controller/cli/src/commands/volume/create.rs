//! `berth volume create`.

use berth_proto::v1::CreateVolumeRequest;

use crate::engine::Global;
use crate::failure::Outcome;
use crate::spec::map;
use crate::ui;

/// Create a volume
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth volume create data
  berth volume create -o type=tmpfs -o device=tmpfs -o o=size=64m scratch
  berth volume create -o type=nfs -o o=addr=10.0.0.9,rw -o device=:/export shared")]
pub(crate) struct Args {
    /// Driver of the volume
    #[arg(long, short, value_name = "NAME", default_value = "local")]
    driver: String,

    /// Label of the volume
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Option of the driver: type, device, o
    #[arg(long, short, value_name = "KEY=VALUE")]
    opt: Vec<String>,

    /// Name of the volume; one is made up if not given
    volume: Option<String>,
}

/// Creates a volume and prints its name.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let request = CreateVolumeRequest {
        name: args.volume.unwrap_or_default(),
        driver: args.driver,
        options: map::pairs(&args.opt).collect(),
        labels: map::pairs(&args.label).collect(),
    };
    let engine = global.engine().await?;
    let created = engine.volumes().create(request).await?.into_inner();
    ui::line(&created.volume.unwrap_or_default().name)?;
    Ok(0)
}
