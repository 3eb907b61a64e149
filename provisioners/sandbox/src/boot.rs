//! Starting a machine's monitor and waiting until the machine is up.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::{Duration, Instant};

use berth_provisioners_api::DriverError;

use crate::failure::Doing as _;
use crate::messages::{Message, Receiver};
use crate::plan::{BootPlan, Files};
use crate::processes::readable;
use crate::{detached, monitor};

/// How long a machine may take to come up, on a host that is very busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine that is coming up; when this is dropped early, it does not.
#[derive(Debug)]
pub(crate) struct Booting<'a> {
    plan: &'a BootPlan,
    input: ChildStdin,
    output: Receiver<ChildStdout>,
}

impl<'a> Booting<'a> {
    /// Starts the monitor of a machine whose plan is written; `executable` is the program, unless
    /// it is this one.
    pub(crate) fn start(
        plan: &'a BootPlan,
        executable: Option<&Path>,
    ) -> Result<Self, DriverError> {
        let doing = || format!("cannot start the monitor of machine {}", plan.name);
        let console = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(Files::of(&plan.directory).console())
            .doing(doing)?;
        console.set_len(0).doing(doing)?;
        let title = format!("berth-sandbox-monitor: {}", plan.name);
        let mut child = detached::command(executable, &title)
            .doing(doing)?
            .arg(monitor::ARGUMENT)
            .arg(&plan.directory)
            .env_clear()
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
        Ok(Self {
            plan,
            input,
            output: Receiver::new(output),
        })
    }

    /// Lets the monitor go on, and waits until the machine takes SSH connections.
    pub(crate) fn finish(mut self) -> Result<(), DriverError> {
        let doing = || format!("cannot boot machine {}", self.plan.name);
        let deadline = Instant::now() + PATIENCE;
        let why = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if !readable(self.output.pipe(), left).doing(doing)? {
                break format!("it is not up after {} seconds", PATIENCE.as_secs());
            }
            match self.output.receive().doing(doing)? {
                Some(Message::Found) => Message::Go.send(&self.input).doing(doing)?,
                Some(Message::Ready) => return Ok(()),
                Some(Message::Failed(why)) => break why,
                _ => break "its monitor died".to_owned(),
            }
        };
        let console = end_of_console(&Files::of(&self.plan.directory).console());
        let error = DriverError::failed(doing(), why);
        Err(if console.is_empty() {
            error
        } else {
            error.with_hint(format!("its console says: {console}"))
        })
    }
}

/// Returns the last lines of a console that has just been started, where it can be read.
fn end_of_console(path: &Path) -> String {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64 << 10).read_to_end(&mut text));
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
