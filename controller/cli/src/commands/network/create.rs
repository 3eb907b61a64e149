//! `berth network create`.

use berth_proto::v1::CreateNetworkRequest;

use super::subnets;
use crate::engine::Global;
use crate::failure::{Failure, Outcome};
use crate::spec::map;
use crate::ui;

/// Create a network
#[derive(Debug, clap::Args)]
#[command(mut_args(crate::switch::with_value))]
#[command(after_help = "Examples:
  berth network create backend
  berth network create --subnet 172.28.0.0/16 --ip-range 172.28.5.0/24 --gateway 172.28.5.254 backend
  berth network create --internal --ipv6 backend
  berth network create -d macvlan -o parent=eth0 --subnet 192.168.1.0/24 lan")]
pub(crate) struct Args {
    /// Let containers be connected by hand
    #[arg(long)]
    attachable: bool,

    /// An address of a subnet that somebody else has
    #[arg(long, value_name = "NAME=IP")]
    aux_address: Vec<String>,

    /// Take the settings of another network
    #[arg(long, value_name = "NETWORK")]
    config_from: Option<String>,

    /// Only lend settings to other networks
    #[arg(long)]
    config_only: bool,

    /// bridge, macvlan or ipvlan
    #[arg(long, short, value_name = "NAME", default_value = "bridge")]
    driver: String,

    /// The machine's address in a subnet
    #[arg(long, value_name = "IP")]
    gateway: Vec<String>,

    /// Carry the traffic of a swarm
    #[arg(long, hide = true)]
    ingress: bool,

    /// Let nothing enter or leave
    #[arg(long)]
    internal: bool,

    /// The part of a subnet that containers get addresses of
    #[arg(long, value_name = "SUBNET")]
    ip_range: Vec<String>,

    /// Who chooses addresses: default or null
    #[arg(long, value_name = "NAME", default_value = "default")]
    ipam_driver: String,

    /// Option for that
    #[arg(long, value_name = "KEY=VALUE")]
    ipam_opt: Vec<String>,

    /// Give containers IPv4 addresses, or with =false none
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = crate::switch::go_bool)]
    ipv4: Option<bool>,

    /// Give containers IPv6 addresses
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = crate::switch::go_bool)]
    ipv6: Option<bool>,

    /// Label of the network
    #[arg(long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,

    /// Option of the driver
    #[arg(long, short, value_name = "KEY=VALUE")]
    opt: Vec<String>,

    /// How far the network reaches: local
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,

    /// Subnet, address/bits; one that is free if not given
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<String>,

    /// Name of the network
    network: String,
}

/// Creates a network and prints its id.
pub(super) async fn run(args: Args, global: &Global) -> Outcome {
    let asked = subnets::Asked {
        subnets: &args.subnet,
        ranges: &args.ip_range,
        gateways: &args.gateway,
        aux_addresses: &args.aux_address,
    };
    let request = CreateNetworkRequest {
        name: args.network.clone(),
        pools: subnets::pools(&asked).map_err(Failure::new)?,
        driver: args.driver,
        ipam_driver: args.ipam_driver,
        ipam_options: map::pairs(&args.ipam_opt).collect(),
        internal: args.internal,
        attachable: args.attachable,
        ingress: args.ingress,
        config_only: args.config_only,
        config_from: args.config_from.unwrap_or_default(),
        scope: args.scope.unwrap_or_default(),
        enable_ipv4: args.ipv4,
        enable_ipv6: args.ipv6,
        options: map::pairs(&args.opt).collect(),
        labels: map::pairs(&args.label).collect(),
    };
    let engine = global.engine().await?;
    let created = engine.networks().create(request).await?.into_inner();
    if !created.warning.is_empty() {
        ui::warn(&created.warning);
    }
    ui::line(&created.id)?;
    Ok(0)
}
