//! `berth machine export`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::passphrase;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// Pack a machine's record, certificates and keys into a file for another operator
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  berth machine export demo
  berth machine export demo -o /media/stick/demo.berth --passphrase-file ~/secret

Whoever has the file and its passphrase can use the machine as you can: reach its engine and log in
to its host. The file has the format of `age -p`. Disks of virtual machines and your authority's key
stay here.")]
pub(crate) struct Args {
    /// File to write; `-` for standard output [default: NAME.berth in this folder]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

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
    let bundle = fleet
        .export(&args.name, &passphrase, &MachineSteps::told())
        .await
        .map_err(|error| error.failure())?;
    if to_stdout {
        ui::print_bytes(&bundle)?;
        return Ok(0);
    }
    write(&output, &bundle, args.force)?;
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
