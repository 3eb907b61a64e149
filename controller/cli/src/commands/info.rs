//! `berth info`.

use berth_proto::v1::{InfoRequest, InfoResponse};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

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
{{- range .DriverStatus}}
  {{index . 0}}: {{index . 1}}
{{- end}}
 Logging Driver: {{.LoggingDriver}}
 Cgroup Driver: {{.CgroupDriver}}
 Cgroup Version: {{.CgroupVersion}}
 Plugins:
  Volume: {{join .Plugins.Volume \" \"}}
  Network: {{join .Plugins.Network \" \"}}
  Log: {{join .Plugins.Log \" \"}}
 Swarm: {{.Swarm.LocalNodeState}}
 Runtimes: {{.RuntimeNames}}
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
 Debug Mode: {{.Debug}}
{{- if .Labels}}
 Labels:
 {{- range .Labels}}
  {{.}}
 {{- end}}
{{- end}}
 Experimental: {{.ExperimentalBuild}}
{{- if .InsecureRegistries}}
 Insecure Registries:
 {{- range .InsecureRegistries}}
  {{.}}
 {{- end}}
{{- end}}
{{- if .RegistryConfig.Mirrors}}
 Registry Mirrors:
 {{- range .RegistryConfig.Mirrors}}
  {{.}}
 {{- end}}
{{- end}}
 Live Restore Enabled: {{.LiveRestoreEnabled}}
";

/// Prints facts; what the kernel lacks goes to standard error.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let engine = global.engine().await?;
    let info = engine.system().info(InfoRequest {}).await?.into_inner();
    let facts = describe(&info, &engine.machine);
    match args.format.as_deref().unwrap_or_default() {
        "" => {
            let mut shown = facts;
            shown["RuntimeNames"] = Value::from(info.runtimes.join(" "));
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

/// The object that `docker info` prints, with what is this program's own beside it.
fn describe(info: &InfoResponse, machine: &str) -> Value {
    let runtimes: Map<String, Value> = info
        .runtimes
        .iter()
        .map(|name| (name.clone(), json!({ "path": name })))
        .collect();
    let status: Vec<Value> = info
        .driver_status
        .iter()
        .map(|pair| json!([pair.name, pair.value]))
        .collect();
    let mut facts = json!({
        "ID": info.id,
        "Containers": info.containers,
        "ContainersRunning": info.containers_running,
        "ContainersPaused": info.containers_paused,
        "ContainersStopped": info.containers_stopped,
        "Images": info.images,
        "Driver": info.storage_driver,
        "DriverStatus": status,
        "Plugins": {
            "Volume": info.volume_drivers,
            "Network": info.network_drivers,
            "Authorization": null,
            "Log": info.logging_drivers,
        },
        "Debug": false,
        "NFd": info.n_file_descriptors,
        "NGoroutines": info.n_threads,
        "SystemTime": time(info.system_time),
        "LoggingDriver": info.logging_driver,
        "CgroupDriver": info.cgroup_driver,
        "CgroupVersion": info.cgroup_version,
        "NEventsListener": info.n_event_listeners,
        "KernelVersion": info.kernel_version,
        "OperatingSystem": info.operating_system,
        "OSVersion": info.os_version,
        "OSType": info.os_type,
        "Architecture": info.architecture,
        "IndexServerAddress": "https://index.docker.io/v1/",
        "RegistryConfig": { "Mirrors": info.registry_mirrors },
        "NCPU": info.n_cpus,
        "MemTotal": info.memory_total_bytes,
        "DockerRootDir": info.root_dir,
        "Name": info.name,
        "Labels": info.labels,
        "ExperimentalBuild": false,
        "ServerVersion": info.server_version,
        "Runtimes": runtimes,
        "DefaultRuntime": info.default_runtime,
        "Swarm": { "LocalNodeState": "inactive" },
        "LiveRestoreEnabled": true,
        "SecurityOptions": info.security_options,
        "InsecureRegistries": info.insecure_registries,
        "Warnings": info.warnings,
        "ClientInfo": {
            "Version": env!("CARGO_PKG_VERSION"),
            "Machine": if machine.is_empty() { "(this host)" } else { machine },
        },
    });
    let kernel = info.kernel_features.unwrap_or_default();
    for (name, is_so) in [
        ("MemoryLimit", kernel.memory),
        ("SwapLimit", kernel.swap),
        ("PidsLimit", kernel.pids),
        ("CPUShares", kernel.cpu_shares),
        ("CpuCfsPeriod", kernel.cpu_quota),
        ("CpuCfsQuota", kernel.cpu_quota),
        ("CPUSet", kernel.cpuset),
        ("OomKillDisable", kernel.oom_kill_disable),
        ("IPv4Forwarding", kernel.ipv4_forwarding),
    ] {
        facts[name] = Value::from(is_so);
    }
    facts
}

fn time(time: Option<prost_types::Timestamp>) -> String {
    let time = time.unwrap_or_default();
    let moment = Timestamp::new(time.seconds, time.nanos).unwrap_or_default();
    moment.to_string()
}
