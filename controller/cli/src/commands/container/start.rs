//! `berth start`.

use berth_proto::v1::{AttachOptions, StartRequest};

use super::about::About;
use super::{each, run};
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::session::{self, End, Local};
use crate::{settings, ui};

/// Start stopped containers
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Show the output and pass signals on
    #[arg(long, short)]
    attach: bool,

    /// Pass standard input on
    #[arg(long, short)]
    interactive: bool,

    /// Keys that detach, instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Starts containers and prints their names, or stays attached to one.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    if !args.attach && !args.interactive {
        return each::print(&args.containers, |name| async {
            start(&engine, &name).await?;
            Ok(Some(name))
        })
        .await;
    }
    let [container] = args.containers.as_slice() else {
        return Err(Failure::new(
            "you cannot start and attach multiple containers at once",
        ));
    };
    attached(&engine, container, &args).await
}

async fn start(engine: &Engine, name: &str) -> Result<(), Failure> {
    let request = StartRequest {
        container: name.to_owned(),
    };
    let response = engine.containers().start(request).await?;
    for warning in response.into_inner().warnings {
        ui::warn(&warning);
    }
    Ok(())
}

async fn attached(engine: &Engine, container: &str, args: &Args) -> Outcome {
    let about = About::of(engine, container).await?;
    let stdin = args.interactive && about.open_stdin;
    if stdin && about.tty && !ui::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY")
            .hint("leave -i out when the input is a pipe or a file"));
    }
    let options = AttachOptions {
        container: about.id.clone(),
        stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: settings::detach_keys(args.detach_keys.as_deref()),
    };
    let removed = run::removal(engine, &about.id, about.auto_remove).await?;
    let (outgoing, incoming) = run::open(engine, options).await?;
    let local = Local {
        stdin,
        tty: about.tty,
        signals_to: Some((engine.containers(), about.id.clone())),
    };
    let begin = async {
        start(engine, &about.id)
            .await
            .map_err(|failure| failure.exit(1))
    };
    match session::hold(incoming, outgoing, local, begin).await? {
        End::Exited(code) => {
            if let Some(removed) = removed {
                run::until_removed(removed).await?;
            }
            Ok(code)
        }
        End::Interrupted(code) => Ok(code),
        End::Detached => Ok(0),
    }
}
