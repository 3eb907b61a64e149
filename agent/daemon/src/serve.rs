//! `berthd serve`: opens everything, serves, and stops in order. Containers do not notice.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use berth_agent_access::AuditLog;
use berth_agent_build::Builder;
use berth_agent_dockerapi::{Api, ApiConfig};
use berth_agent_engine::{ContainerDefaults, Engine, EngineConfig, OpenError};
use berth_agent_grpc::Build;
use berth_agent_network::{NetworkConfig, Subnet};
use berth_agent_runtime::RuntimeConfig;
use berth_agent_trust::Trust;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::accept::{self, Reception};
use crate::arguments::ServeArguments;
use crate::config::Config;
use crate::handshakes::Limits;
use crate::idle::Activity;
use crate::pid_file::PidFile;
use crate::service::Face;
use crate::{listen, notify, tls, version};

/// Threads that serve; each costs memory, and the work is short.
const WORKERS: usize = 2;
/// Threads for work that blocks: unpacking, deleting, the database.
const BLOCKING_THREADS: usize = 64;
/// How long such a thread waits for more.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(2);
/// How long sockets and locks may still be held by what a killed agent was just starting: until it
/// executes its own program, a new process has them too.
const SETTLING: Duration = Duration::from_secs(1);
/// Pause between two tries.
const RETRY: Duration = Duration::from_millis(20);
/// How long calls under way may take once the agent is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// Record of changes, below the data root.
const AUDIT_LOG: &str = "audit.log";
/// Variable with the level of what is logged, such as `debug` or `info,berth_agent_engine=trace`.
const LOG_VARIABLE: &str = "BERTHD_LOG";

/// The opened sockets.
struct Sockets {
    tcp: Vec<TcpListener>,
    trust: Option<Arc<Trust>>,
    unix: Option<UnixListener>,
}

/// Serves until a signal.
pub(crate) fn run(arguments: &ServeArguments) -> anyhow::Result<()> {
    berth_agent_sys::arenas::limit(1);
    let config = Config::load(&arguments.config)?;
    log(&config.log_level)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .thread_name("berthd")
        .enable_all()
        .build()
        .context("starting threads")?;
    let result = runtime.block_on(serve(config, arguments.ready_fd));
    // What still runs only waits for containers, which go on without it.
    runtime.shutdown_timeout(Duration::from_secs(1));
    result
}

async fn serve(config: Config, ready_fd: Option<i32>) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("watching for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("watching for SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("watching for SIGHUP")?;
    // Bound before the engine opens: callers wait instead of being refused.
    let sockets = sockets(&config).await?;
    let engine = engine(&config).await?;
    let activity = Activity::default();
    let reception = Reception {
        face: face(&engine, sockets.trust.clone(), activity.clone()),
        limits: Limits::new(),
        stopping: CancellationToken::new(),
        connections: TaskTracker::new(),
        activity,
    };
    let trust = sockets.trust.clone();
    let listeners = sockets.serve(&reception);
    let pid_file = PidFile::write(&config.run_root);
    notify::ready(ready_fd);
    warm_up(&engine, &reception.activity);
    tracing::info!(version = version::VERSION, listen = ?config.listen, socket = %config.socket.display(), "ready");
    loop {
        tokio::select! {
            // Cancel-safe: a signal that comes later is not needed any more.
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            // Cancel-safe: signals that come while files are read are one more reading.
            _ = hangup.recv() => reload(trust.clone()).await,
        }
    }
    drop(pid_file);
    notify::stopping();
    stop(&reception, &listeners).await;
    flush(engine).await;
    Ok(())
}

/// Returns what answers calls, in either protocol.
fn face(engine: &Arc<Engine>, trust: Option<Arc<Trust>>, activity: Activity) -> Face {
    let build = Build {
        git_commit: version::COMMIT.to_owned(),
    };
    let audit = Arc::new(AuditLog::new(engine.config().data_root.join(AUDIT_LOG)));
    let docker = Api::new(ApiConfig {
        engine: Arc::clone(engine),
        builder: Builder::over(engine)
            .map(Arc::new)
            .map_err(|error| error.to_string()),
        git_commit: version::COMMIT.to_owned(),
        audit: Arc::clone(&audit),
    });
    Face::new(
        berth_agent_grpc::routes(engine, build, trust),
        docker,
        audit,
        activity,
    )
}

/// Reads certificates anew, after somebody has replaced their files.
async fn reload(trust: Option<Arc<Trust>>) {
    let Some(trust) = trust else { return };
    let work = tokio::task::spawn_blocking(move || trust.reload());
    match work.await {
        Ok(Ok(())) => {}
        // What was in force stays in force.
        Ok(Err(error)) => {
            let error = anyhow::Error::from(error);
            tracing::warn!(error = format!("{error:#}"), "certificates not read anew");
        }
        Err(error) => tracing::warn!(error = %error, "certificates not read anew"),
    }
}

/// Prepares in the background what the first container would wait for.
fn warm_up(engine: &Arc<Engine>, activity: &Activity) {
    tokio::spawn(activity.clone().trim_when_quiet());
    let (engine, activity) = (Arc::clone(engine), activity.clone());
    tokio::task::spawn_blocking(move || {
        engine.warm_up();
        activity.note();
    });
}

/// Opens the sockets.
async fn sockets(config: &Config) -> anyhow::Result<Sockets> {
    let began = Instant::now();
    loop {
        match Sockets::open(config) {
            Err(error) if is_in_use(&error) && began.elapsed() < SETTLING => {
                tokio::time::sleep(RETRY).await;
            }
            result => return result,
        }
    }
}

/// Opens the engine.
async fn engine(config: &Config) -> anyhow::Result<Arc<Engine>> {
    let began = Instant::now();
    loop {
        match Engine::open(engine_config(config)?).await {
            Err(OpenError::InUse { .. }) if began.elapsed() < SETTLING => {
                tokio::time::sleep(RETRY).await;
            }
            result => return result.context("opening the engine"),
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

async fn stop(reception: &Reception, listeners: &TaskTracker) {
    tracing::info!("stopping; containers go on");
    reception.stopping.cancel();
    listeners.close();
    listeners.wait().await;
    reception.connections.close();
    if tokio::time::timeout(GRACE, reception.connections.wait())
        .await
        .is_err()
    {
        tracing::info!(
            n_connections = reception.connections.len(),
            "connections cut off"
        );
    }
}

async fn flush(engine: Arc<Engine>) {
    let work = tokio::task::spawn_blocking(move || engine.flush());
    match work.await {
        Ok(Ok(())) => {}
        // What is not on the disk is found out again.
        Ok(Err(error)) => tracing::warn!(error = %error, "database not flushed"),
        Err(error) => tracing::warn!(error = %error, "database not flushed"),
    }
}

fn engine_config(config: &Config) -> anyhow::Result<EngineConfig> {
    let mut network = NetworkConfig::new(config.run_root.clone());
    if !config.bridge.is_empty() {
        network.bridge.clone_from(&config.bridge);
    }
    if !config.subnet.is_empty() {
        let subnet = config.subnet.parse();
        network.subnet = Some(subnet.with_context(|| format!("subnet {:?}", config.subnet))?);
    }
    Ok(EngineConfig {
        data_root: config.data_root.clone(),
        run_root: config.run_root.clone(),
        runtime: RuntimeConfig {
            executable: PathBuf::from("/proc/self/exe"),
            arguments: vec![OsString::from("supervise")],
        },
        network,
        address_pools: address_pools(config)?,
        insecure_registries: config.insecure_registries.clone(),
        registry_mirrors: config.registry_mirrors.clone(),
        labels: config.labels.clone(),
        default_runtime: config.default_runtime.clone(),
        defaults: defaults(config)?,
        version: version::VERSION.to_owned(),
    })
}

fn address_pools(config: &Config) -> anyhow::Result<Vec<(Subnet, u8)>> {
    let pools = config.default_address_pools.iter().map(|pool| {
        let base: Subnet = pool.base.parse()?;
        anyhow::ensure!(
            pool.size >= base.prefix() && base.parts(pool.size).next().is_some(),
            "the invalid pool size {} of {base}",
            pool.size
        );
        Ok((base, pool.size))
    });
    pools
        .collect::<anyhow::Result<_>>()
        .context("default_address_pools")
}

fn defaults(config: &Config) -> anyhow::Result<ContainerDefaults> {
    let ulimits = config.default_ulimits.iter().map(|text| text.parse());
    Ok(ContainerDefaults {
        ulimits: ulimits
            .collect::<Result<_, _>>()
            .context("default_ulimits")?,
        dns: config.dns.clone(),
        shm_size_bytes: i64::try_from(config.default_shm_size).unwrap_or(i64::MAX),
        init: config.init,
        no_new_privileges: config.no_new_privileges,
    })
}

/// Logs as the environment says, else as the configuration does.
fn log(level: &str) -> anyhow::Result<()> {
    let wanted = std::env::var(LOG_VARIABLE)
        .ok()
        .and_then(|text| text.parse::<Targets>().ok());
    let level = match level {
        "" => tracing::Level::INFO,
        level => level
            .parse()
            .with_context(|| format!("log_level {level:?}"))?,
    };
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(io::stderr);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
    Ok(())
}

impl Sockets {
    fn open(config: &Config) -> anyhow::Result<Self> {
        let trust = config.tls.as_ref().map(tls::open).transpose()?;
        let tcp = config
            .listen
            .iter()
            .map(|address| listen::tcp(*address))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let unix = if config.socket.as_os_str().is_empty() {
            None
        } else {
            Some(listen::unix(&config.socket)?)
        };
        Ok(Self { tcp, trust, unix })
    }

    fn serve(self, reception: &Reception) -> TaskTracker {
        let listeners = TaskTracker::new();
        for listener in self.tcp {
            if let Some(trust) = &self.trust {
                listeners.spawn(accept::tcp(listener, Arc::clone(trust), reception.clone()));
            }
        }
        if let Some(listener) = self.unix {
            listeners.spawn(accept::unix(listener, reception.clone()));
        }
        listeners
    }
}
