//! Process 1 of a machine: puts the machine together from inside, then keeps it.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use berth_provisioners_api::DriverError;
use nix::sched::{CloneFlags, unshare};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{dup2_stdin, dup2_stdout, sethostname};

use crate::cgroups::{ControlGroups, Part};
use crate::disk::Disk;
use crate::failure::Doing as _;
use crate::keys::public_key;
use crate::messages::{Message, Receiver};
use crate::netlink::{self, Netlink};
use crate::plan::{BootPlan, Files};
use crate::wiring::MACHINE_INTERFACE;

mod adapt;
mod capabilities;
mod devices;
mod handover;
mod kernel;
mod personality;
mod power;
mod root;
mod services;

pub(crate) use power::GRACE;

/// The first argument of an init; the second one is the machine's directory.
pub(crate) const ARGUMENT: &str = "__berth-sandbox-init";

/// The code with which the init ends when the machine is to be booted again.
pub(crate) const EXIT_RESTART: u8 = 85;

/// What keeps the machine once it is put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Guest {
    /// This program.
    Known,
    /// An init that takes itself for the master of the hardware.
    Unknown,
}

/// Runs the init of the machine in `directory`, with the monitor at its input and output.
pub(crate) fn main(directory: &Path) -> ExitCode {
    match run(directory) {
        Ok(power::Wish::Off) => ExitCode::SUCCESS,
        Ok(power::Wish::Restart) => ExitCode::from(EXIT_RESTART),
        Err(error) => {
            // The monitor may be gone, and then so is this process in a moment.
            let _gone = Message::failure(&error).send(io::stdout());
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<power::Wish, DriverError> {
    set_pdeathsig(Signal::SIGKILL).doing(|| "cannot tie the machine to its monitor".to_owned())?;
    let plan = BootPlan::read(directory)?;
    let groups = ControlGroups::of(&plan.id)?;
    groups.enter(Part::Machine)?;
    unshare(
        CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWCGROUP,
    )
    .doing(|| "cannot make namespaces".to_owned())?;
    tell(&Message::Unplugged)?;
    let signals = power::watched_signals()?;
    sethostname(personality::host_name(&plan.name))
        .doing(|| "cannot set the host name".to_owned())?;
    let secrets = personality::Secrets {
        client: public_key(&Files::of(directory).client_key())?,
        host_key: Files::of(directory).host_key(),
    }
    .read()?;
    let resolver = personality::resolver();
    root::enter(&plan, &Disk::at(Files::of(directory).disk()))?;
    let guest = match &plan.init {
        None => Guest::Known,
        Some(_) => Guest::Unknown,
    };
    devices::make(guest)?;
    kernel::mount(groups.hierarchies(), guest)?;
    personality::put_on(&plan, &secrets, &resolver)?;
    capabilities::drop_those_of_the_host(guest)?;
    await_cable()?;
    connect(&plan).doing(|| "cannot configure the network".to_owned())?;
    if let Some(program) = &plan.init {
        match handover::to(program)? {}
    }
    let mut services = services::Services::start()?;
    services.wait_until_reachable(&signals)?;
    tell(&Message::Ready)?;
    let_go_of_the_monitor()?;
    let wish = services.keep(&signals)?;
    power::end_everything(groups.hierarchies());
    Ok(wish)
}

fn tell(message: &Message) -> Result<(), DriverError> {
    message
        .send(io::stdout())
        .doing(|| "cannot speak with the monitor".to_owned())
}

fn await_cable() -> Result<(), DriverError> {
    match Receiver::new(io::stdin()).receive() {
        Ok(Some(Message::Plugged)) => Ok(()),
        Ok(_) => Err(DriverError::refused("the monitor has gone")),
        Err(error) => Err(error).doing(|| "cannot hear the monitor".to_owned()),
    }
}

/// Configures the network, whose cable is plugged in.
fn connect(plan: &BootPlan) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    let index = |name: &str| {
        netlink::interface(name)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("there is no {name}")))
    };
    netlink.switch_on(index("lo")?, None)?;
    let interface = index(MACHINE_INTERFACE)?;
    netlink.add_address(interface, plan.address, plan.subnet.prefix())?;
    netlink.switch_on(interface, None)?;
    netlink.add_default_route(plan.subnet.gateway())
}

fn let_go_of_the_monitor() -> Result<(), DriverError> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null")
        .doing(|| "cannot open /dev/null".to_owned())?;
    dup2_stdin(&null)
        .and_then(|()| dup2_stdout(&null))
        .doing(|| "cannot close input and output".to_owned())
}
