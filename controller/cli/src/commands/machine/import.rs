//! `berth machine import`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use berth_controller_fleet::ImportOptions;

use super::passphrase;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// More than any bundle has.
const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Make a machine of a file that `berth machine export` has written
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  berth machine import demo.berth
  berth machine import --name theirs --passphrase-file ~/secret /media/stick/demo.berth

The machine can be used at once, with the client certificate that was made for this file and the key
of SSH in it, until the certificate ends or whoever exported the machine revokes it. One that runs on
their computer is reached like any host, but cannot be started or stopped from here.")]
pub(crate) struct Args {
    /// Name of the machine here [default: the one that it had]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// File whose first line is the passphrase; asked for otherwise
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Look up the driver's secrets where the file says; only for files from people you trust
    #[arg(long)]
    keep_secret_references: bool,

    /// File to read; `-` for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Makes the machine.
pub(super) fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    let sealed = read(&args.file).map_err(|error| {
        Failure::during(&format!("cannot read {}", args.file.display()), &error)
    })?;
    let passphrase = passphrase::known(args.passphrase_file.as_deref())?;
    let options = ImportOptions {
        name: args.name,
        keep_secret_references: args.keep_secret_references,
    };
    let imported = fleet
        .import(&sealed, &passphrase, &options, &MachineSteps::told())
        .map_err(|error| error.failure())?;
    let name = &imported.name;
    if let Some(driver) = &imported.replaced_driver {
        ui::note(&format!(
            "Its driver {driver} cannot be used from here: it is reached like any host, but not \
             started or stopped."
        ));
    }
    ui::line(&format!(
        "Machine {name:?} is imported. Use it: eval \"$(berth machine env {name})\""
    ))?;
    Ok(0)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if path.as_os_str() == "-" {
        io::stdin().take(MAX_BYTES).read_to_end(&mut content)?;
    } else {
        File::open(path)?
            .take(MAX_BYTES)
            .read_to_end(&mut content)?;
    }
    Ok(content)
}
