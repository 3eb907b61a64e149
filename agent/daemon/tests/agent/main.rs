//! The agent as its callers see it: `berthd` in a network and mount namespace of its own, spoken to
//! over its sockets, with containers of a busybox image.

mod asked_for;
mod attached;
mod builds;
mod calls;
mod certificates;
mod changes;
mod client;
mod clients_and_strangers;
mod crashes;
mod disconnected;
mod docker;
mod docker_keys;
mod ends;
mod escapes;
mod events;
mod files;
mod guest;
mod health;
mod host;
mod image;
mod lifecycle;
mod local_images;
mod networks;
mod networks_and_volumes;
mod numbers;
mod options;
mod restarts;
mod robust;
mod streams;
mod usage;
mod volumes;
mod watching;
