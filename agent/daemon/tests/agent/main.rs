//! The agent as its callers see it: `berthd` in a network and mount namespace of its own, spoken to
//! over its sockets, with containers of a busybox image.

mod attached;
mod builds;
mod certificates;
mod client;
mod clients_and_strangers;
mod crashes;
mod files;
mod host;
mod image;
mod lifecycle;
mod networks_and_volumes;
mod numbers;
mod options;
mod robust;
mod streams;
mod watching;
