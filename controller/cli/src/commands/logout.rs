//! `berth logout`.

use crate::failure::Outcome;
use crate::registry_auth;
use crate::spec::image;
use crate::ui;

/// Forget the name and password for a registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Registry; Docker Hub if not given
    #[arg(value_name = "SERVER", default_value = image::DOCKER_HUB, hide_default_value = true)]
    server: String,
}

/// Forgets credentials.
pub(super) fn run(args: Args) -> Outcome {
    let server = args
        .server
        .trim_start_matches("https://")
        .trim_end_matches('/');
    registry_auth::erase(server)?;
    ui::line(&format!("Removing login credentials for {server}"))?;
    Ok(0)
}
