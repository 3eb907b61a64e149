//! `berth run`.

use berth_proto::v1::{
    AttachOptions, AttachRequest, AttachResponse, CreateRequest, RemoveRequest, StartRequest,
    WaitRequest, attach_request, wait_request, wait_response,
};
use tonic::Streaming;

use super::options::{Attached, ContainerOptions};
use super::{create, request};
use crate::engine::{Engine, Global};
use crate::failure::{ENGINE_ERROR, Failure, Outcome};
use crate::session::{self, End, Local, Sender};
use crate::{settings, ui};

/// Run a command in a new container
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, mut_args(crate::switch::with_value))]
#[command(override_usage = "berth run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
#[command(after_help = "Examples:
  berth run --rm -it busybox sh                  a shell that leaves nothing behind
  berth run -d --name web -p 8080:80 nginx       a server in the background
  berth run --rm -v data:/data -w /data box ls   a volume, and a folder to start in

The exit code is the command's; 125 when berth or the engine failed, 126 when the
command cannot be run, 127 when it is not there.
ctrl-p ctrl-q leaves a container with a terminal running.")]
pub(crate) struct Args {
    /// Leave the container in the background and print its id
    #[arg(long, short)]
    detach: bool,

    /// Keys that detach, instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Pass signals on to the container [default: true]
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    #[arg(
        default_value = "true",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_name = "BOOL", value_parser = crate::switch::go_bool)]
    sig_proxy: bool,

    #[command(flatten)]
    options: ContainerOptions,

    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,

    /// Image, then the command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    words: Vec<String>,
}

/// Runs a container; the outcome is its own exit code.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine_error = |failure: Failure| failure.or_exit(ENGINE_ERROR);
    let [image, command @ ..] = args.words.as_slice() else {
        return Err(Failure::new("run needs an image"));
    };
    let attached = if args.detach {
        Attached::default()
    } else {
        args.options.process.attached()
    };
    let request = request::new(&args.options, image, command, attached).map_err(engine_error)?;
    check_streams(&args, attached)?;
    let engine = global.engine().await.map_err(engine_error)?;
    let outcome = if attached.any() {
        in_foreground(&engine, &args, request, attached).await
    } else {
        in_background(&engine, &args.options, request).await
    };
    outcome.map_err(engine_error)
}

fn check_streams(args: &Args, attached: Attached) -> Result<(), Failure> {
    if args.detach && !args.options.process.attach.is_empty() {
        return Err(Failure::new(
            "conflicting options: cannot specify both --attach and --detach",
        ));
    }
    if args.options.process.tty && attached.stdin && !ui::input_is_terminal() {
        return Err(Failure::new("the input device is not a TTY")
            .hint("leave -t out when the input is a pipe or a file"));
    }
    Ok(())
}

async fn in_background(
    engine: &Engine,
    options: &ContainerOptions,
    request: CreateRequest,
) -> Outcome {
    let id = create::create(engine, options, request).await?;
    start(engine, options, &id).await?;
    ui::line(&id)?;
    Ok(0)
}

async fn in_foreground(
    engine: &Engine,
    args: &Args,
    request: CreateRequest,
    streams: Attached,
) -> Outcome {
    let keys = settings::detach_keys(args.detach_keys.as_deref());
    let id = create::create(engine, &args.options, request).await?;
    if !streams.shows_output() {
        // Only the input is attached: whoever writes into it wants to know what it goes to.
        ui::line(&id)?;
    }
    let removed = removal(engine, &id, args.options.rm);
    let attach = attach(engine, &id, streams, keys);
    let (removed, attach) = tokio::join!(removed, attach);
    let (removed, (outgoing, incoming)) = (removed?, attach?);
    let local = Local {
        stdin: streams.stdin,
        tty: args.options.process.tty,
        signals_to: args.sig_proxy.then(|| (engine.containers(), id.clone())),
    };
    let end = session::hold(incoming, outgoing, local, start(engine, &args.options, &id)).await?;
    match end {
        End::Exited(code) => {
            if let Some(removed) = removed {
                until_removed(removed).await?;
            }
            Ok(code)
        }
        End::Detached => Ok(0),
        End::Interrupted(code) => Ok(code),
    }
}

/// Starts the container; one that was to be removed at its end does not outlive a failed start.
async fn start(engine: &Engine, options: &ContainerOptions, id: &str) -> Result<(), Failure> {
    let request = StartRequest {
        container: id.to_owned(),
    };
    match engine.containers().start(request).await {
        Ok(response) => {
            for warning in response.into_inner().warnings {
                ui::warn(&warning);
            }
            Ok(())
        }
        Err(status) => {
            if options.rm {
                let request = RemoveRequest {
                    container: id.to_owned(),
                    force: true,
                    volumes: true,
                    link: false,
                };
                // The agent may have removed it by itself.
                let _ = engine.containers().remove(request).await;
            }
            Err(status.into())
        }
    }
}

/// Attaches to a container that is not started yet, so that nothing of its output is missed.
async fn attach(
    engine: &Engine,
    id: &str,
    streams: Attached,
    detach_keys: String,
) -> Result<(Sender<AttachRequest>, Streaming<AttachResponse>), Failure> {
    let options = AttachOptions {
        container: id.to_owned(),
        stdin: streams.stdin,
        stdout: streams.stdout,
        stderr: streams.stderr,
        logs: false,
        detach_keys,
    };
    open(engine, options).await
}

/// Opens an attach stream and waits until it is in place.
pub(super) async fn open(
    engine: &Engine,
    options: AttachOptions,
) -> Result<(Sender<AttachRequest>, Streaming<AttachResponse>), Failure> {
    let (outgoing, requests) = session::queue();
    let first = AttachRequest {
        message: Some(attach_request::Message::Options(options)),
    };
    // The queue is empty and its other end is in our hands.
    let _ = outgoing.try_send(first);
    let mut incoming = engine.containers().attach(requests).await?.into_inner();
    incoming.message().await?;
    Ok((outgoing, incoming))
}

/// A place in line.
pub(super) type Removal = Streaming<berth_proto::v1::WaitResponse>;

/// Gets in line for the removal of a container, if it is to be removed.
pub(super) async fn removal(
    engine: &Engine,
    id: &str,
    wanted: bool,
) -> Result<Option<Removal>, Failure> {
    if !wanted {
        return Ok(None);
    }
    let request = WaitRequest {
        container: id.to_owned(),
        condition: wait_request::Condition::Removed.into(),
    };
    let mut waiting = engine.containers().wait(request).await?.into_inner();
    waiting.message().await?;
    Ok(Some(waiting))
}

/// Waits until the container is gone.
pub(super) async fn until_removed(mut waiting: Removal) -> Result<(), Failure> {
    while let Some(response) = waiting.message().await? {
        if let Some(wait_response::Message::Exited(_)) = response.message {
            break;
        }
    }
    Ok(())
}
