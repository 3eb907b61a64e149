//! `berth machine issue-client`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use berth_controller_fleet::ClientRights;

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;

/// Make a client certificate for somebody else, such as a build server
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Whoever has it may do everything with all machines, or with --read-only look at everything, until
it ends or is revoked: berth machine revoke-client NAME.

Example:
  berth machine issue-client ci --days 30 --out ci-certs
  DOCKER_CERT_PATH=ci-certs DOCKER_TLS_VERIFY=1 DOCKER_HOST=$(berth machine url web1) docker ps"
)]
pub(crate) struct Args {
    /// Days that it is good
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    days: u16,

    /// Lets whoever has it look, but change nothing
    #[arg(long)]
    read_only: bool,

    /// Folder for ca.pem, cert.pem and key.pem; made, must not have them [default: NAME]
    #[arg(long, short, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Whose it is
    #[arg(value_name = "NAME")]
    name: String,
}

/// Issues a certificate and writes it into a folder.
pub(super) fn run(args: &Args, global: &Global) -> Outcome {
    if args.name.trim().is_empty() {
        return Err(Failure::new("a client certificate needs a name").exit(64));
    }
    let folder = args
        .out
        .clone()
        .unwrap_or_else(|| PathBuf::from(&args.name));
    // Before anything is issued that nobody could have.
    prepare(&folder).map_err(|error| {
        Failure::during(&format!("folder {}", folder.display()), &error)
            .hint("--out chooses another folder")
    })?;
    let fleet = global.fleet()?;
    let life = Duration::from_secs(u64::from(args.days) * 86_400);
    let rights = if args.read_only {
        ClientRights::ReadOnly
    } else {
        ClientRights::All
    };
    let issued = fleet
        .issue_client(&args.name, life, rights)
        .map_err(|error| {
            let failure = Failure::because(&error);
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        })?;
    for (file, text) in [
        ("ca.pem", &issued.ca_pem),
        ("cert.pem", &issued.certificate_pem),
        ("key.pem", &*issued.key_pem),
    ] {
        let path = folder.join(file);
        write(&path, text)
            .map_err(|error| Failure::during(&format!("writing {}", path.display()), &error))?;
    }
    ui::line(&format!(
        "Certificate {} for {:?} is in {}.",
        issued.fingerprint,
        args.name,
        folder.display()
    ))?;
    Ok(0)
}

fn prepare(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    for file in ["ca.pem", "cert.pem", "key.pem"] {
        if folder.join(file).exists() {
            let text = format!("{file} is there already");
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
