//! One machine as this host sees it: making, booting, stopping and removing it, step by step.
//!
//! All of this waits for the kernel and for files; the asynchronous face is in `machine`.

use std::fs::{self, File, OpenOptions};
use std::io::Read as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use berth_provisioners_api::{DriverError, MachineState};
use nix::fcntl::{Flock, FlockArg};
use rustix::process::Signal;

use crate::cgroups::{ControlGroups, Limits, Part};
use crate::config::SandboxConfig;
use crate::disk::{self, Disk};
use crate::failure::{Doing as _, chain};
use crate::init;
use crate::keys;
use crate::messages::{Message, Receiver};
use crate::plan::{BootPlan, Files};
use crate::processes::readable;
use crate::register::Register;
use crate::{monitor, wiring};

/// How long a machine may take to come up, on a host that is very busy.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);

/// The pipes to a monitor.
#[derive(Debug)]
struct Talk {
    input: ChildStdin,
    output: Receiver<ChildStdout>,
}

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
        let monitor = self.start_monitor();
        translation.finish()?;
        let booted = monitor.and_then(|monitor| self.await_ready(monitor));
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
            address,
            subnet: self.config.subnet,
        }
    }

    fn start_monitor(&self) -> Result<Talk, DriverError> {
        let doing = || format!("cannot start the monitor of machine {}", self.name());
        let console = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(self.files().console())
            .doing(doing)?;
        console.set_len(0).doing(doing)?;
        let program = self.executable.as_deref();
        let mut child = Command::new(program.unwrap_or(Path::new("/proc/self/exe")))
            .arg0(format!("berth-sandbox-monitor: {}", self.name()))
            .arg(monitor::ARGUMENT)
            .arg(&self.directory)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(console)
            .spawn()
            .doing(doing)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        // Somebody has to hear of its end, lest it stays as a zombie while this process lives.
        std::thread::Builder::new()
            .name("sandbox-reaper".to_owned())
            .spawn(move || child.wait())
            .doing(doing)?;
        let (input, output) = pipes.ok_or_else(|| DriverError::refused(doing()))?;
        Ok(Talk {
            input,
            output: Receiver::new(output),
        })
    }

    fn await_ready(&self, mut talk: Talk) -> Result<(), DriverError> {
        let doing = || format!("cannot boot machine {}", self.name());
        let deadline = Instant::now() + BOOT_PATIENCE;
        let why = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !readable(talk.output.pipe(), left).doing(doing)? {
                break format!("it is not up after {} seconds", BOOT_PATIENCE.as_secs());
            }
            match talk.output.receive().doing(doing)? {
                Some(Message::Found) => Message::Go.send(&talk.input).doing(doing)?,
                Some(Message::Ready) => return Ok(()),
                Some(Message::Failed(why)) => break why,
                _ => break "its monitor died".to_owned(),
            }
        };
        let console = self.end_of_console();
        let error = DriverError::failed(doing(), why);
        Err(if console.is_empty() {
            error
        } else {
            error.with_hint(format!("its console says: {console}"))
        })
    }

    fn end_of_console(&self) -> String {
        let mut text = Vec::new();
        let read = File::open(self.files().console())
            .and_then(|file| file.take(64 << 10).read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with("failed "))
            .collect();
        match read {
            Ok(_) => lines[lines.len().saturating_sub(5)..].join(" | "),
            Err(_) => String::new(),
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
        let deadline = Instant::now() + init::GRACE + Duration::from_secs(5);
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
        struck.and(removed).and(register.release())
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
