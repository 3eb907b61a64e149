//! `env`: the lines that point a shell's docker at a machine.

use berth_controller_fleet::Fleet;

use crate::app::{Order, Outcome};
use crate::shell::{NoProxy, Shell};
use crate::world::Failure;
use crate::{check, machines, words};

/// The variables that are set and taken back.
const VARIABLES: [&str; 4] = [
    "DOCKER_TLS_VERIFY",
    "DOCKER_HOST",
    "DOCKER_CERT_PATH",
    "DOCKER_MACHINE_NAME",
];

/// Prints a line a variable, and how to use them.
pub(super) async fn run(order: &Order<'_>) -> Outcome {
    let world = order.world();
    world.is_evaluated();
    let proxy = order
        .options
        .switch("no-proxy")
        .then(|| NoProxy::find(|name| world.env(name)));
    let text = if order.options.switch("unset") {
        unset(order, proxy.as_ref())?
    } else {
        set(order, proxy.as_ref()).await?
    };
    world.print(&text)
}

fn unset(order: &Order<'_>, proxy: Option<&NoProxy>) -> Result<String, Failure> {
    if !order.args().is_empty() {
        return Err(Failure::new(
            "Error: Expected no machine name when the -u flag is present",
        ));
    }
    let shell = shell(order)?;
    let mut names = VARIABLES.to_vec();
    names.extend(proxy.map(|proxy| proxy.name));
    Ok(shell.unset(&names, &order.typed()))
}

async fn set(order: &Order<'_>, proxy: Option<&NoProxy>) -> Result<String, Failure> {
    if order.args().len() > 1 {
        return Err(Failure::new(machines::ONE_EXPECTED));
    }
    let fleet = order.fleet()?;
    let name = machines::one(&fleet, order.args())?;
    let url = check::check(&fleet, &name, order.options.switch("swarm")).await;
    let url =
        url.map_err(|problem| Failure::new(format!("Error checking TLS connection: {problem}")))?;
    let shell = shell(order)?;
    let certificates = fleet.store().root().join("machines").join(&name);
    let certificates = certificates.to_string_lossy();
    let values = ["1", &url, &certificates, &name];
    let mut variables: Vec<(&str, &str)> = VARIABLES.into_iter().zip(values).collect();
    if cfg!(windows) {
        variables.push(("COMPOSE_CONVERT_WINDOWS_PATHS", "true"));
    }
    let off_proxy = match proxy {
        Some(proxy) => Some((proxy.name, proxy.with(&address(&fleet, &name).await?))),
        None => None,
    };
    variables.extend(
        off_proxy
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    Ok(shell.set(&variables, &order.typed()))
}

async fn address(fleet: &Fleet, name: &str) -> Result<String, Failure> {
    let address = fleet.ip(name).await;
    address.map_err(|error| {
        let why = words::machine(&error);
        Failure::new(format!("Error getting host IP: {why}"))
    })
}

/// The shell that was named, or the one that `$SHELL` names.
fn shell(order: &Order<'_>) -> Result<Shell, Failure> {
    let named = order.options.text("shell");
    if !named.is_empty() {
        return Ok(Shell::named(named));
    }
    let world = order.world();
    if let Some(name) = world.env("SHELL").as_deref().and_then(Shell::name_at) {
        return Ok(Shell::named(name));
    }
    world.print(
        "The default lines below are for a sh/bash shell, you can specify the shell you're \
         using, with the --shell flag.\n\n",
    )?;
    Err(Failure::new("Error: Unknown shell"))
}
