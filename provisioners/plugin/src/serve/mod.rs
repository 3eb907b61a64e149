//! Berth's own drivers as plugins of docker-machine: the same protocol from the other end.
//!
//! [`methods`] are what can be called, [`listener`] is the wire, this file is the program: its
//! environment, its output, its end.

mod listener;
mod machine;
mod methods;

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use berth_provisioners_api::{Driver, Registry, SshEndpoint};
use futures::future::BoxFuture;
use tokio::net::TcpListener;

use crate::lookup::PREFIX;
use listener::{Ending, Server};

/// A host without heartbeats for so long has ended.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(10);

const TOKEN: &str = "MACHINE_PLUGIN_TOKEN";
const TOKEN_VALUE: &str = "42";

/// What docker-machine's plugins say to people who start them by hand.
const NOT_BY_HAND: &str = "\
This is a Docker Machine plugin binary.
Plugin binaries are not intended to be invoked directly.
Please use this plugin through the main 'docker-machine' binary.
(API version: 1)
";

/// Tells a host over SSH to restart, for drivers without other means.
pub type Reboot = Arc<dyn Fn(SshEndpoint) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Serves the driver NAME of `drivers` when the program was called as `docker-machine-driver-NAME`.
///
/// Returns the exit code when the host has ended it, and nothing when the program was called by
/// another name.
#[must_use]
pub fn serve_if_called(
    program: Option<&OsString>,
    drivers: &Registry,
    reboot: Reboot,
) -> Option<ExitCode> {
    let file = Path::new(program?).file_name().and_then(OsStr::to_str)?;
    let name = file.strip_prefix(PREFIX)?;
    if std::env::var_os(TOKEN).is_none_or(|token| token != TOKEN_VALUE) {
        tell(NOT_BY_HAND);
        return Some(ExitCode::FAILURE);
    }
    // Not what a fallback would find: that would be this program again.
    let Some(driver) = drivers.iter().find(|driver| driver.name() == name) else {
        let known: Vec<&str> = drivers.names().collect();
        let known = known.join(", ");
        tell(&format!("berth has no driver {name:?}; it has {known}\n"));
        return Some(ExitCode::FAILURE);
    };
    Some(match serve(Arc::clone(driver), reboot) {
        Ok(Ending::Closed) => ExitCode::SUCCESS,
        Ok(Ending::Abandoned) => ExitCode::FAILURE,
        Err(error) => {
            tell(&format!(
                "plugin of driver {name} cannot be served: {error}\n"
            ));
            ExitCode::FAILURE
        }
    })
}

fn serve(driver: Arc<dyn Driver>, reboot: Reboot) -> io::Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ending = runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        // The first line, on which the host waits, is nothing but this.
        say(&listener.local_addr()?.to_string());
        Ok(Server::new(driver, reboot)
            .serve(listener, HEARTBEAT_LIMIT)
            .await)
    });
    // A driver may be in the middle of something; it was told to end.
    runtime.shutdown_background();
    ending
}

/// Writes a line that the host shows to people. A host that has gone cannot be told.
fn say(line: &str) {
    let line = line.replace('\n', " ");
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Writes what the host shows only to who looks for a fault.
fn tell(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
