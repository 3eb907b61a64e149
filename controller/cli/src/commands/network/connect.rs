//! `berth network connect`.

use berth_proto::v1::{ConnectNetworkRequest, EndpointConfig};

use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::spec::{links, map};

/// Connect a container to a network
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
pub(crate) struct Args {
    /// Another name of the container on the network
    #[arg(long, value_name = "NAME")]
    alias: Vec<String>,

    /// Option for the network's driver
    #[arg(long, value_name = "KEY=VALUE")]
    driver_opt: Vec<String>,

    /// The network with the highest number leads out to the world
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    gw_priority: i64,

    /// IPv4 address
    #[arg(long, value_name = "IP")]
    ip: Option<String>,

    /// IPv6 address
    #[arg(long, value_name = "IP")]
    ip6: Option<String>,

    /// Make another container known by a name: CONTAINER[:ALIAS]
    #[arg(long, value_name = "LINK", value_parser = links::parse)]
    link: Vec<String>,

    /// Link-local address
    #[arg(long, value_name = "IP")]
    link_local_ip: Vec<String>,

    /// Name or id of the network
    network: String,

    /// Name or id of the container
    container: String,
}

/// Connects a container.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let without_value = args.driver_opt.iter().find(|text| !text.contains('='));
    if without_value.is_some() {
        return Err(Failure::new(
            "invalid key/value pair format in driver options",
        ));
    }
    let request = ConnectNetworkRequest {
        container: args.container,
        endpoint: Some(EndpointConfig {
            network: args.network,
            aliases: args.alias,
            ipv4_address: args.ip.unwrap_or_default(),
            ipv6_address: args.ip6.unwrap_or_default(),
            mac_address: String::new(),
            links: args.link,
            driver_opts: map::pairs(&args.driver_opt).collect(),
            link_local_ips: args.link_local_ip,
            gw_priority: args.gw_priority,
        }),
    };
    let engine = global.engine().await?;
    engine.networks().connect_container(request).await?;
    Ok(0)
}
