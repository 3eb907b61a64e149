//! `berth info`.

use berth_proto::v1::{InfoRequest, InfoResponse};
use serde_json::{Value, json};

use crate::engine::Global;
use crate::failure::Outcome;
use crate::template::{self, Missing};
use crate::ui;
use crate::units::size;

/// Show what the machine's engine is and has
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template
    #[arg(long, short, value_name = "FORMAT")]
    format: Option<String>,
}

const TEXT: &str = "Client: berth
 Version:    {{.ClientInfo.Version}}
 Machine:    {{.ClientInfo.Machine}}

Server:
 Containers: {{.Containers}}
  Running: {{.ContainersRunning}}
  Paused: {{.ContainersPaused}}
  Stopped: {{.ContainersStopped}}
 Images: {{.Images}}
 Server Version: {{.ServerVersion}}
 Storage Driver: {{.Driver}}
 Cgroup Version: {{.CgroupVersion}}
 Runtimes: {{join .Runtimes \" \"}}
 Default Runtime: {{.DefaultRuntime}}
{{- if .SecurityOptions}}
 Security Options:
 {{- range .SecurityOptions}}
  {{.}}
 {{- end}}
{{- end}}
 Kernel Version: {{.KernelVersion}}
 Operating System: {{.OperatingSystem}}
 OSType: {{.OSType}}
 Architecture: {{.Architecture}}
 CPUs: {{.NCPU}}
 Total Memory: {{.Memory}}
 Name: {{.Name}}
 ID: {{.ID}}
 Root Dir: {{.DockerRootDir}}
{{- if .Labels}}
 Labels:
 {{- range .Labels}}
  {{.}}
 {{- end}}
{{- end}}
{{- if .InsecureRegistries}}
 Insecure Registries:
 {{- range .InsecureRegistries}}
  {{.}}
 {{- end}}
{{- end}}
";

/// Prints facts; what the kernel lacks goes to standard error.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let info = engine.system().info(InfoRequest {}).await?.into_inner();
    let facts = describe(&info, &engine.machine);
    match args.format.as_deref().unwrap_or_default() {
        "" => {
            let mut shown = facts;
            shown["Memory"] = Value::from(size::binary(info.memory_total_bytes));
            ui::line(&template::render(TEXT, &shown, Missing::NoValue)?)?;
            for warning in &info.warnings {
                ui::warn(warning.trim_start_matches("WARNING: "));
            }
        }
        "json" => ui::line(&template::json(&facts))?,
        format => ui::line(&template::render(format, &facts, Missing::Error)?)?,
    }
    Ok(0)
}

fn describe(info: &InfoResponse, machine: &str) -> Value {
    json!({
        "ID": info.id,
        "Containers": info.containers,
        "ContainersRunning": info.containers_running,
        "ContainersPaused": info.containers_paused,
        "ContainersStopped": info.containers_stopped,
        "Images": info.images,
        "Driver": info.storage_driver,
        "DockerRootDir": info.root_dir,
        "CgroupVersion": info.cgroup_version,
        "KernelVersion": info.kernel_version,
        "OperatingSystem": info.operating_system,
        "OSType": info.os_type,
        "Architecture": info.architecture,
        "NCPU": info.n_cpus,
        "MemTotal": info.memory_total_bytes,
        "Name": info.name,
        "ServerVersion": info.server_version,
        "DefaultRuntime": info.default_runtime,
        "Runtimes": info.runtimes,
        "SecurityOptions": info.security_options,
        "InsecureRegistries": info.insecure_registries,
        "Labels": info.labels,
        "Warnings": info.warnings,
        "ClientInfo": {
            "Version": env!("CARGO_PKG_VERSION"),
            "Machine": if machine.is_empty() { "(this host)" } else { machine },
        },
    })
}
