//! `berth login`.

use std::io::Read as _;

use crate::failure::{Failure, Outcome};
use crate::registry_auth;
use crate::spec::image;
use crate::ui;

/// Store a name and a password for a registry
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(
    after_help = "The name and password are kept where Docker keeps them: in a credential helper if one
is set up, else in ~/.docker/config.json. They are tried by the next pull or push."
)]
pub(crate) struct Args {
    /// Name
    #[arg(long, short, value_name = "NAME")]
    username: Option<String>,

    /// Password or token
    #[arg(long, short, value_name = "SECRET")]
    password: Option<String>,

    /// Read the password from standard input
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,

    /// Registry; Docker Hub if not given
    #[arg(value_name = "SERVER", default_value = image::DOCKER_HUB, hide_default_value = true)]
    server: String,
}

/// Keeps credentials.
pub(super) fn run(args: Args) -> Outcome {
    let user = match args.username {
        Some(user) => user,
        None if args.password_stdin => {
            return Err(Failure::new(
                "Must provide --username with --password-stdin",
            ));
        }
        None => ui::ask("Username: ")?,
    };
    let secret = match args.password {
        Some(secret) => {
            ui::warn("a password on the command line can be seen by others: use --password-stdin");
            secret
        }
        None if args.password_stdin => {
            let mut secret = String::new();
            std::io::stdin().lock().read_to_string(&mut secret)?;
            secret.trim_end_matches(['\r', '\n']).to_owned()
        }
        None if ui::input_is_terminal() => ui::ask_secret("Password: ")?,
        None => {
            return Err(Failure::new("cannot ask for a password without a terminal")
                .hint("--password-stdin reads it from standard input"));
        }
    };
    if user.is_empty() || secret.is_empty() {
        return Err(Failure::new("a name and a password are needed"));
    }
    let server = args
        .server
        .trim_start_matches("https://")
        .trim_end_matches('/');
    let place = registry_auth::store(server, &user, &secret)?;
    ui::line(&format!("Credentials for {server} are kept in {place}"))?;
    Ok(0)
}
