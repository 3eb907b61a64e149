//! `berth machine adopt`.

use std::path::PathBuf;

use berth_controller_fleet::AdoptRequest;

use super::sudo::SudoArgs;
use super::trouble::Trouble as _;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::ui;
use crate::ui::progress::MachineSteps;

/// The port of SSH where nobody said otherwise.
const SSH_PORT: u16 = 22;

/// Take over a host whose berthd runs already, without touching its containers
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  berth machine adopt root@192.0.2.7
  berth machine adopt --name build --ssh-key ~/.ssh/id_ed25519 admin@build.example.org:2222
  berth machine adopt --exclusive root@[2001:db8::7]

The agent gets your authority beside those that it trusts: whoever uses the machine already goes on
doing so, and nothing that runs there is stopped. With --exclusive it gets a certificate of yours and
forgets the other authorities, which ends the connections of other operators.")]
pub(crate) struct Args {
    /// Name of the machine here [default: the host's own name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Private key to log in with; a copy is kept with the machine [default: your keys and agent]
    #[arg(long, value_name = "PATH")]
    ssh_key: Option<PathBuf>,

    /// Host's public key, as in a line of known_hosts; anything else is refused then
    #[arg(long, value_name = "KEY")]
    host_key: Option<String>,

    /// Port by which berthd is reached, when it is not the one that it listens on
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    engine_port: Option<u16>,

    /// Shut out everybody else who uses the machine
    #[arg(long)]
    exclusive: bool,

    #[command(flatten)]
    sudo: SudoArgs,

    /// Host to log in to by SSH; the user is root and the port 22 unless named
    #[arg(value_name = "[USER@]HOST[:PORT]")]
    host: String,
}

/// Takes the host over.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let Some((user, host, port)) = taken_apart(&args.host) else {
        return Err(
            Failure::new(format!("{:?} is not the address of a host", args.host))
                .hint("write [USER@]HOST[:PORT], and brackets around an address of IP version 6")
                .exit(64),
        );
    };
    let fleet = args.sudo.apply(global.fleet()?);
    let request = AdoptRequest {
        name: args.name,
        host: host.to_owned(),
        user: user.to_owned(),
        port,
        key: args.ssh_key,
        engine_port: args.engine_port,
        host_key: args.host_key,
        exclusive: args.exclusive,
    };
    let adopted = fleet.adopt(&request, &MachineSteps::told()).await;
    let adopted = adopted.map_err(|error| error.failure())?;
    let name = &adopted.name;
    if request.host_key.is_none() {
        ui::note(&format!("The host's key is {}.", adopted.host_key));
    }
    let others = match adopted.shared_with {
        0 => "nobody else".to_owned(),
        1 => "1 other authority".to_owned(),
        count => format!("{count} other authorities"),
    };
    ui::line(&format!(
        "Machine {name:?} is yours (berthd {}); it also trusts {others}. Use it: \
         eval \"$(berth machine env {name})\"",
        adopted.version
    ))?;
    Ok(0)
}

/// Returns user, host and port of `[user@]host[:port]`.
fn taken_apart(text: &str) -> Option<(&str, &str, u16)> {
    let (user, rest) = text.rsplit_once('@').unwrap_or(("root", text));
    let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
        let (host, rest) = inner.split_once(']')?;
        match rest.strip_prefix(':') {
            Some(port) => (host, port.parse().ok()?),
            None if rest.is_empty() => (host, SSH_PORT),
            None => return None,
        }
    } else {
        match rest.matches(':').count() {
            0 => (rest, SSH_PORT),
            1 => {
                let (host, port) = rest.split_once(':')?;
                (host, port.parse().ok()?)
            }
            // An address of IP version 6 without brackets has no port.
            _ => (rest, SSH_PORT),
        }
    };
    let plain = |word: &str| {
        !word.is_empty() && !word.starts_with('-') && !word.contains(char::is_whitespace)
    };
    (plain(user) && plain(host) && port != 0).then_some((user, host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_apart() {
        assert_eq!(taken_apart("h"), Some(("root", "h", 22)));
        assert_eq!(taken_apart("me@h:2222"), Some(("me", "h", 2222)));
        assert_eq!(taken_apart("me@[fd00::1]:24"), Some(("me", "fd00::1", 24)));
        assert_eq!(taken_apart("fd00::1"), Some(("root", "fd00::1", 22)));
        for bad in [
            "",
            "@h",
            "me@",
            "h:",
            "h:0",
            "h:70000",
            "[fd00::1",
            "[fd00::1]x",
            "-o@h",
            "a b",
        ] {
            assert_eq!(taken_apart(bad), None, "{bad:?}");
        }
    }
}
