//! `berth man`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::Command;

use crate::app;
use crate::failure::{Failure, Outcome};

/// Write manual pages into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder; made if it does not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes a page for each command.
pub(super) fn run(args: &Args) -> Outcome {
    let shown = args.folder.display();
    fs::create_dir_all(&args.folder)
        .map_err(|error| Failure::during(&format!("making {shown}"), &error))?;
    pages(&app::whole(), "berth", &args.folder)
        .map_err(|error| Failure::during(&format!("writing pages into {shown}"), &error))?;
    Ok(0)
}

fn pages(command: &Command, name: &str, folder: &Path) -> std::io::Result<()> {
    let page_of = command
        .clone()
        .name(name.to_owned())
        .display_name(name.to_owned());
    let mut page = Vec::new();
    clap_mangen::Man::new(page_of).render(&mut page)?;
    fs::write(folder.join(format!("{name}.1")), page)?;
    for part in command.get_subcommands() {
        if part.is_hide_set() || part.get_name() == "help" {
            continue;
        }
        pages(part, &format!("{name}-{}", part.get_name()), folder)?;
    }
    Ok(())
}
