//! `berth machine export`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_controller_fleet::ExportOptions;

use super::passphrase;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Pack what another operator needs to use a machine into a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  berth machine export demo
  berth machine export demo -o /media/stick/demo.berth --passphrase-file ~/secret

Whoever has the file and its passphrase can reach the machine's engine and log in to its host. In the
file are:
  a client certificate made for this file, called like the file. It opens all machines of your
  authority until it ends, or until berth machine revoke-client takes it back
  the private key of SSH for the host
  what the driver keeps in its record, also secrets that were not given by reference
It is told which of these travel. Your own client certificate, the machine's key, your authority's key
and disks of virtual machines stay here. The file has the format of `age -p`.")]
pub(crate) struct Args {
    /// File to write; `-` for standard output [default: NAME.berth in this folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Days that the client certificate in the file is good
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,

    /// File whose first line is the passphrase; asked for otherwise
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,

    /// Replace a file that is there
    #[arg(long, short)]
    force: bool,

    /// Machine
    #[arg(value_name = "NAME")]
    name: String,
}

/// Writes the bundle.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let fleet = global.fleet()?;
    // What cannot work is said before anybody has to think of a passphrase.
    fleet.inspect(&args.name).map_err(|error| error.failure())?;
    let output = args
        .output
        .unwrap_or_else(|| PathBuf::from(format!("{}.berth", args.name)));
    let to_stdout = output.as_os_str() == "-";
    if !to_stdout && !args.force && output.exists() {
        return Err(exists(&output));
    }
    let passphrase = passphrase::new(args.passphrase_file.as_deref())?;
    let file = output.file_name().filter(|_name| !to_stdout);
    let options = ExportOptions {
        client: file.map(|name| name.to_string_lossy().into_owned()),
        life: Duration::from_secs(u64::from(args.days) * 86_400),
    };
    let exported = fleet
        .export(&args.name, &passphrase, &options, &MachineSteps::told())
        .await
        .map_err(|error| error.failure())?;
    if to_stdout {
        ui::print_bytes(&exported.bundle)?;
        return Ok(0);
    }
    write(&output, &exported.bundle, args.force)?;
    ui::line(&format!(
        "Machine {:?} is in {}. On the other computer: berth machine import {}",
        args.name,
        output.display(),
        output.file_name().unwrap_or_default().display(),
    ))?;
    Ok(0)
}

/// Writes the file whole or not at all, for its owner only.
fn write(path: &Path, content: &[u8], replace: bool) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let failed = |error: std::io::Error| {
        Failure::during(&format!("cannot write {}", path.display()), &error)
    };
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let kept = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    match kept {
        Ok(_file) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failed(error.error)),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::new(format!("{} exists already", path.display()))
        .hint("--force replaces it, -o names another file")
}
