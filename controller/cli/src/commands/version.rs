//! `berth version`.

use berth_proto::v1::{VersionRequest, VersionResponse};
use serde_json::{Value, json};

use crate::engine::Global;
use crate::failure::Outcome;
use crate::template::{self, Missing};
use crate::ui::{self, table};

/// Show the versions of berth and of the machine's agent
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

const TEXT: &str = "Client: berth
 Version:\t{{.Client.Version}}
 OS/Arch:\t{{.Client.Os}}/{{.Client.Arch}}
{{- with .Server}}

Server: berthd
 Engine:
  Version:\t{{.Version}}
  {{- if .GitCommit}}
  Git commit:\t{{.GitCommit}}
  {{- end}}
  OS/Arch:\t{{.Os}}/{{.Arch}}
  Kernel:\t{{.KernelVersion}}
  SHA-256:\t{{.ExecutableSha256}}
{{- end}}
";

/// Prints versions; the client's also when there is no agent.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let server = ask(global).await;
    let versions = json!({
        "Client": {
            "Version": env!("CARGO_PKG_VERSION"),
            "Os": std::env::consts::OS,
            "Arch": go_architecture(),
        },
        "Server": server.as_ref().map(describe).unwrap_or_default(),
    });
    match args.format.as_deref().unwrap_or_default() {
        "" => {
            let text = template::render(TEXT, &versions, Missing::NoValue)?;
            ui::print(&table::align(&text, table::VERSION))?;
        }
        "json" => ui::line(&template::json(&versions))?,
        format => ui::line(&template::render(format, &versions, Missing::Error)?)?,
    }
    server.map(|_| 0)
}

async fn ask(global: &Global) -> Result<VersionResponse, crate::failure::Failure> {
    let engine = global.engine().await?;
    Ok(engine
        .system()
        .version(VersionRequest {})
        .await?
        .into_inner())
}

fn describe(server: &VersionResponse) -> Value {
    json!({
        "Version": server.version,
        "GitCommit": server.git_commit,
        "Os": server.os,
        "Arch": server.architecture,
        "KernelVersion": server.kernel_version,
        "ExecutableSha256": server.executable_sha256,
    })
}

/// This program's architecture under the name that Go gives it.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
