//! Drivers: those of berth, those that are found as plugins, and berth's own served as plugins.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use berth_controller_ssh::{Config, Endpoint, HostKeyPolicy, Session};
use berth_provisioners_api::{Fallback, Registry, SshEndpoint};
use berth_provisioners_generic::GenericDriver;
use berth_provisioners_none::NoneDriver;
use berth_provisioners_plugin::{Line, PluginOptions, Reboot};
use berth_provisioners_sandbox::SandboxDriver;

use crate::ui;

/// This program, whatever has become of its file since it was started.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// Reboots a host, whoever has logged in.
const REBOOT: &str = "if [ \"$(id -u)\" = 0 ]; then shutdown -r now || reboot; \
                      else sudo -n shutdown -r now || sudo -n reboot; fi";
/// How long a host may take to let somebody in who wants to reboot it.
const LOGIN: Duration = Duration::from_secs(30);
/// How long it may take to answer the order; one that goes down may never do so.
const ORDER: Duration = Duration::from_secs(30);

/// The drivers that are part of berth.
pub(crate) fn embedded() -> Registry {
    Registry::new()
        .with(SandboxDriver::new())
        .with(GenericDriver.dialling(Arc::new(|host, port| {
            Box::pin(async move { berth_controller_ssh::reach(&host, port).await })
        })))
        .with(NoneDriver)
}

/// The drivers that are found in `PATH`; `log` gets what their plugins print.
pub(crate) fn found(log: fn(&Line<'_>)) -> Fallback {
    let options = PluginOptions::from_env().with_keeper(THIS_PROGRAM);
    // What a plugin prints, it prints beside the veil of its machine.
    let options = options.with_filter(berth_controller_fleet::hushed);
    berth_provisioners_plugin::fallback(options.with_log(log))
}

/// Tells what a plugin prints in berth's manners: beside the output, and faults only when asked.
pub(crate) fn note(line: &Line<'_>) {
    if line.debug {
        tracing::debug!(
            driver = line.driver,
            machine = line.machine,
            "{}",
            line.text
        );
    } else {
        ui::note(&format!("({}) {}", line.machine, line.text));
    }
}

/// All drivers, with what plugins print told as docker-machine tells it.
pub(crate) fn drivers_of_docker_machine() -> Registry {
    let log = |line: &Line<'_>| {
        let mut words = std::env::args().skip(1);
        let mut is = |wanted: &[&str]| words.any(|word| wanted.contains(&word.as_str()));
        let text = if line.debug {
            if !is(&["-D", "-debug", "--debug"]) {
                return;
            }
            format!("({}) DBG | {}", line.machine, line.text)
        } else {
            let text = format!("({}) {}", line.machine, line.text);
            // Their output is evaluated.
            if !is(&["env", "config"]) {
                let _ = ui::line(&text);
                return;
            }
            text
        };
        ui::note(&text);
    };
    embedded().with_fallback(found(log))
}

/// Serves a driver when the program was called as its plugin.
pub(crate) fn serve_if_called() -> Option<ExitCode> {
    let program = std::env::args_os().next();
    let reboot: Reboot = Arc::new(|endpoint| Box::pin(reboot(endpoint)));
    berth_provisioners_plugin::serve_if_called(program.as_ref(), &embedded(), reboot)
}

async fn reboot(endpoint: SshEndpoint) -> Result<(), String> {
    let endpoint = Endpoint {
        host: endpoint.host,
        port: endpoint.port,
        user: endpoint.user,
        key: endpoint.key,
        ..Endpoint::default()
    };
    let name = endpoint.host.clone();
    let endpoint = Config::of_operator().complete(&name, endpoint);
    let endpoint = endpoint.map_err(|error| crate::failure::chain(&error))?;
    let session = Session::connect(&endpoint, &HostKeyPolicy::KnownHostsOrLearn, LOGIN).await;
    let session = session.map_err(|error| crate::failure::chain(&error))?;
    match tokio::time::timeout(ORDER, session.exec(REBOOT, b"")).await {
        Ok(Ok(output)) if !output.status.success() => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(format!("the host did not restart: {said}"))
        }
        // The connection may break before the command has ended.
        Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
    }
}
