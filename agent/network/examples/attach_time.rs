//! Measures attach and detach, in a network namespace of its own.
//!
//! Prints medians and maxima of a number of rounds, without and with a published port.

use std::io::Write as _;
use std::time::{Duration, Instant};

use berth_agent_network::{
    AttachRequest, HostPort, Network, NetworkConfig, NetworkMode, PortRequest, Protocol,
};
use berth_agent_state::State;

const ROUNDS: usize = 100;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET)?;
    let directory = tempfile::tempdir()?;
    let state = State::open(&directory.path().join("state.redb"))?;
    let network = Network::open(NetworkConfig::new(directory.path().to_owned()), state)?;
    let port = PortRequest {
        host_ip: None,
        host_port: HostPort::Exactly(8080),
        container_port: 80,
        protocol: Protocol::Tcp,
    };
    for (name, mode, ports) in [
        ("none", NetworkMode::None, vec![]),
        ("bridge", NetworkMode::Bridge, vec![]),
        ("bridge, one port", NetworkMode::Bridge, vec![port]),
    ] {
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            let ports = ports.clone();
            let start = Instant::now();
            network
                .attach(
                    "c",
                    AttachRequest {
                        mode,
                        ports,
                        ..AttachRequest::default()
                    },
                )
                .await?;
            times[0].push(start.elapsed());
            let start = Instant::now();
            network.detach("c").await?;
            times[1].push(start.elapsed());
            // The gap in which a container would run.
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        let mut output = std::io::stdout().lock();
        for (what, mut times) in ["attach", "detach"].into_iter().zip(times) {
            times.sort_unstable();
            writeln!(
                output,
                "{name:18} {what}: median {:>9.3?} max {:>9.3?}",
                times[ROUNDS / 2],
                times[ROUNDS - 1]
            )?;
        }
    }
    Ok(())
}
