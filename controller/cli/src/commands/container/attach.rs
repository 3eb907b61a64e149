//! `berth attach`.

use berth_proto::v1::{AttachOptions, InspectRequest};
use serde_json::Value;

use super::run;
use crate::engine::{Engine, Global};
use crate::failure::{Failure, Outcome};
use crate::session::{self, End, Local};

/// Attach to a running container
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Keys that detach, instead of ctrl-p,ctrl-q
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<String>,

    /// Do not pass standard input on
    #[arg(long)]
    no_stdin: bool,

    /// Pass signals on to the container [default: true]
    #[arg(long, num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set)]
    #[arg(
        default_value_t = true,
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_name = "BOOL", hide_possible_values = true)]
    sig_proxy: bool,

    /// Name or id
    #[arg(value_name = "CONTAINER")]
    container: String,
}

/// Attaches until the container ends or is left; the outcome is its exit code.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let about = About::of(&engine, &args.container).await?;
    if !about.running {
        return Err(
            Failure::new("You cannot attach to a stopped container, start it first")
                .hint(format!("berth start -ai {}", args.container)),
        );
    }
    let stdin = !args.no_stdin && about.open_stdin;
    let options = AttachOptions {
        container: about.id.clone(),
        stdin,
        stdout: true,
        stderr: true,
        logs: false,
        detach_keys: args.detach_keys.unwrap_or_default(),
    };
    let (outgoing, incoming) = run::open(&engine, options).await?;
    let local = Local {
        stdin,
        tty: about.tty,
        signals_to: args.sig_proxy.then(|| (engine.containers(), about.id)),
    };
    match session::hold(incoming, outgoing, local, async { Ok(()) }).await? {
        End::Exited(code) | End::Interrupted(code) => Ok(code),
        End::Detached => Ok(0),
    }
}

/// What must be known of a container before attaching to it.
#[derive(Debug)]
pub(super) struct About {
    pub(super) id: String,
    pub(super) running: bool,
    pub(super) tty: bool,
    pub(super) open_stdin: bool,
}

// === impl About ===

impl About {
    /// Asks the agent.
    pub(super) async fn of(engine: &Engine, container: &str) -> Result<Self, Failure> {
        let request = InspectRequest {
            container: container.to_owned(),
            size: false,
        };
        let response = engine.containers().inspect(request).await?.into_inner();
        let json: Value = serde_json::from_str(&response.json)
            .map_err(|error| Failure::during("the agent's answer is no JSON", &error))?;
        let flag = |path: &str| json.pointer(path).and_then(Value::as_bool).unwrap_or(false);
        let id = json.get("Id").and_then(Value::as_str).unwrap_or(container);
        Ok(Self {
            id: id.to_owned(),
            running: flag("/State/Running"),
            tty: flag("/Config/Tty"),
            open_stdin: flag("/Config/OpenStdin"),
        })
    }
}
