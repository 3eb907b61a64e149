//! One machine as this host sees it: making, booting, stopping and removing it, step by step.
//!
//! All of this waits for the kernel and for files; the asynchronous face is in `machine`.

use std::fs::{self, File, OpenOptions};
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use berth_provisioners_api::{DriverError, MachineState};
use nix::fcntl::{Flock, FlockArg};
use rustix::process::Signal;

use crate::boot::Booting;
use crate::cgroups::{ControlGroups, Limits, Part};
use crate::config::SandboxConfig;
use crate::disk::{self, Disk};
use crate::failure::{Doing as _, chain};
use crate::foreign;
use crate::init;
use crate::keys;
use crate::plan::{BootPlan, Files};
use crate::register::Register;
use crate::wiring;

/// A machine on this host.
#[derive(Clone, Debug)]
pub(crate) struct HostMachine {
    /// What the store keeps of it.
    pub(crate) config: SandboxConfig,
    /// Its directory in the store.
    pub(crate) directory: PathBuf,
    /// The program that is monitor and init; this one when absent.
    pub(crate) executable: Option<PathBuf>,
}

impl HostMachine {
    /// Returns the machine's files.
    pub(crate) fn files(&self) -> Files {
        Files::of(&self.directory)
    }

    fn disk(&self) -> Disk {
        Disk::at(self.files().disk())
    }

    /// Returns the address, if there is one.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        self.config.base.ip_address.parse().ok()
    }

    /// Makes keys, disk and network as far as they are missing, and returns the address.
    pub(crate) fn prepare(&self) -> Result<Ipv4Addr, DriverError> {
        let _turn = self.take_turn()?;
        for key in [self.files().client_key(), self.files().host_key()] {
            keys::make(&key, self.name())?;
        }
        self.disk().make()?;
        self.join_network()
    }

    fn join_network(&self) -> Result<Ipv4Addr, DriverError> {
        let config = &self.config;
        let register = Register::hold()?;
        forget_orphans(&register)?;
        let wanted = self.address();
        let address = register.allocate(&config.id, &self.directory, config.subnet, wanted)?;
        wiring::ensure(&register, config.subnet)?;
        Ok(address)
    }

    /// Boots the machine, if it does not run, and returns its address, which is another one when
    /// somebody else has taken it meanwhile.
    pub(crate) fn boot(&self) -> Result<Ipv4Addr, DriverError> {
        let _turn = self.take_turn()?;
        if !self.disk().exists() {
            return Err(self.gone());
        }
        let groups = ControlGroups::of(&self.config.id)?;
        if state_of(&groups)? == MachineState::Running
            && let Some(address) = self.address()
        {
            return Ok(address);
        }
        // What a killed monitor left.
        groups.kill()?;
        let address = self.join_network()?;
        let translation = wiring::begin_translation(self.config.subnet);
        let plan = self.plan(address);
        plan.write()?;
        groups.make(Limits {
            memory: self.config.memory,
            millicpus: self.config.millicpus,
        })?;
        groups.tag(&self.directory);
        let booted = Booting::start(&plan, self.executable.as_deref()).and_then(|booting| {
            translation.finish()?;
            booting.finish()
        });
        if booted.is_err() {
            groups.kill()?;
            groups.remove()?;
        }
        booted.map(|()| address)
    }

    fn plan(&self, address: Ipv4Addr) -> BootPlan {
        BootPlan {
            id: self.config.id.clone(),
            name: self.config.base.machine_name.clone(),
            directory: self.directory.clone(),
            store_root: PathBuf::from(&self.config.base.store_path),
            rootfs: self.config.rootfs.clone(),
            init: self.config.init.clone(),
            address,
            subnet: self.config.subnet,
        }
    }

    /// Returns what the machine does, asked of the kernel.
    pub(crate) fn state(&self) -> Result<MachineState, DriverError> {
        match state_of(&ControlGroups::of(&self.config.id)?)? {
            MachineState::Stopped if !self.disk().exists() => Ok(MachineState::NotFound),
            state => Ok(state),
        }
    }

    /// Stops the machine in order, and by force when it does not stop.
    pub(crate) fn stop(&self) -> Result<(), DriverError> {
        let _turn = self.take_turn()?;
        if !self.disk().exists() {
            return Err(self.gone());
        }
        let groups = ControlGroups::of(&self.config.id)?;
        let monitors = groups.processes(Part::Monitor)?;
        let doing = || format!("cannot stop machine {}", self.name());
        for monitor in &monitors {
            monitor.signal(Signal::TERM).doing(doing)?;
        }
        let grace = if self.config.init.is_some() {
            foreign::GRACE
        } else {
            init::GRACE + Duration::from_secs(5)
        };
        let deadline = Instant::now() + grace;
        for monitor in &monitors {
            let left = deadline.saturating_duration_since(Instant::now());
            if !monitor.wait(left).doing(doing)? {
                tracing::warn!(machine = self.name(), "does not stop in order; turned off");
            }
        }
        self.turn_off(&groups)
    }

    /// Turns the machine off at once.
    pub(crate) fn kill(&self) -> Result<(), DriverError> {
        let _turn = self.take_turn()?;
        if !self.disk().exists() {
            return Err(self.gone());
        }
        self.turn_off(&ControlGroups::of(&self.config.id)?)
    }

    fn turn_off(&self, groups: &ControlGroups) -> Result<(), DriverError> {
        groups.kill()?;
        let cable = wiring::disconnect(&self.config.id.cable());
        groups.remove().and(cable)
    }

    /// Removes all that exists of the machine; goes on when something cannot be removed.
    pub(crate) fn remove(&self) -> Result<(), DriverError> {
        let turn = self
            .directory
            .exists()
            .then(|| self.take_turn())
            .transpose()?;
        let groups = ControlGroups::of(&self.config.id);
        let results = [
            groups.and_then(|groups| self.turn_off(&groups)),
            self.disk().remove(),
            disk::remove_files(&self.files()),
            self.leave_network(),
        ];
        drop(turn);
        let problems: Vec<String> = results
            .iter()
            .filter_map(|result| result.as_ref().err().map(|error| chain(error)))
            .collect();
        if problems.is_empty() {
            return Ok(());
        }
        Err(DriverError::failed(
            format!("cannot remove all of machine {}", self.name()),
            problems.join("; "),
        ))
    }

    fn leave_network(&self) -> Result<(), DriverError> {
        let register = Register::hold()?;
        let struck = register.strike(&self.config.id);
        let removed = wiring::remove_unused(&register, self.config.subnet);
        let released = register.release();
        struck.and(removed).and(released)
    }

    /// Waits until nobody else changes this machine.
    fn take_turn(&self) -> Result<Flock<File>, DriverError> {
        let path = self.files().lock();
        let doing = || format!("cannot lock machine {}", self.name());
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .doing(doing)?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_file, errno)| errno)
            .doing(doing)
    }

    fn gone(&self) -> DriverError {
        DriverError::Gone {
            driver: crate::driver::NAME.to_owned(),
            machine: self.name().to_owned(),
        }
    }

    fn name(&self) -> &str {
        &self.config.base.machine_name
    }
}

fn state_of(groups: &ControlGroups) -> Result<MachineState, DriverError> {
    if groups.processes(Part::Monitor)?.is_empty() {
        return Ok(MachineState::Stopped);
    }
    Ok(if groups.processes(Part::Machine)?.is_empty() {
        MachineState::Starting
    } else {
        MachineState::Running
    })
}

/// Strikes out machines whose store was deleted without asking, as far as they do not run.
fn forget_orphans(register: &Register) -> Result<(), DriverError> {
    for entry in register.entries()? {
        if fs::symlink_metadata(&entry.directory).is_ok() {
            continue;
        }
        let groups = ControlGroups::of(&entry.id)?;
        if state_of(&groups)? == MachineState::Stopped {
            tracing::info!(directory = %entry.directory.display(), "forgot a machine without a store");
            groups.kill()?;
            groups.remove()?;
            wiring::disconnect(&entry.id.cable())?;
            register.strike(&entry.id)?;
        }
    }
    Ok(())
}
