//! A further command by an external runtime, which takes its time while the supervisor goes on with its work.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use berth_agent_sys::process::{is_child, send_signal};
use berth_agent_sys::terminal::set_size;

use super::console::Console;
use super::fit::fit;
use super::{External, read_pid, streams_terminal};
use crate::failure::{AtStep as _, Failure, step};
use crate::protocol::ExecMessage;
use crate::request::TerminalSize;
use crate::supervise::commands::{AgentEnds, open_streams};

/// A runtime that has been sent to start a command.
#[derive(Debug)]
pub(in crate::supervise) struct Errand {
    pid: i32,
    console: Console,
    size: Option<TerminalSize>,
    files: Files,
}

impl Errand {
    /// Returns the runtime's own process.
    pub(in crate::supervise) fn pid(&self) -> i32 {
        self.pid
    }

    /// Ends the command of a runtime that was given up and has been reaped: what it has made is a child of this process
    /// since.
    pub(in crate::supervise) fn end_what_it_made(self) {
        if let Ok(pid) = read_pid(&self.files.pid)
            && is_child(pid)
        {
            drop(send_signal(pid, libc::SIGKILL));
        }
    }
}

/// What the runtime and the supervisor tell each other in files; gone when the errand is over.
#[derive(Debug)]
struct Files {
    process: PathBuf,
    pid: PathBuf,
    log: PathBuf,
    console: PathBuf,
}

impl Files {
    fn of(run_dir: &Path, id: u64) -> Self {
        let file = |name| run_dir.join(format!("exec-{id}.{name}"));
        Self {
            process: file("json"),
            pid: file("pid"),
            log: file("log"),
            console: file("sock"),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for file in [&self.process, &self.pid, &self.log, &self.console] {
            // Most errands have no terminal, and those that failed no process.
            drop(fs::remove_file(file));
        }
    }
}

impl External {
    /// Sends the runtime to start a command; when it returns, [`Self::take_command`] says what has come of it.
    pub(in crate::supervise) fn exec(
        &self,
        message: &ExecMessage,
        id: u64,
    ) -> Result<(Errand, AgentEnds), Failure> {
        let (streams, stdio) = open_streams(message)?;
        let files = Files::of(&self.run_dir, id);
        let what = || files.process.display();
        let mut process = message.process.clone();
        // The same was said when the container was started.
        drop(fit(&mut process));
        if let Some(size) = message.terminal_size {
            // The command may look at its terminal before the master has come back to us.
            let size = oci_spec::runtime::BoxBuilder::default()
                .height(size.rows)
                .width(size.cols)
                .build();
            process.set_console_size(size.ok());
        }
        let bytes = serde_json::to_vec(&process)
            .map_err(io::Error::from)
            .at(step::EXTERNAL, what)?;
        fs::write(&files.process, bytes).at(step::EXTERNAL, what)?;
        let mut exec = self.command("exec", &files.log, stdio)?;
        exec.arg("--detach")
            .arg("--process")
            .arg(&files.process)
            .arg("--pid-file")
            .arg(&files.pid);
        let console = Console::open(
            &files.console,
            streams_terminal(Some(&message.process)),
            &mut exec,
        )?;
        let child = exec
            .arg(&self.id)
            .spawn()
            .at(step::EXTERNAL, || self.program.display())?;
        // It is reaped with all other children.
        let pid = child.id().cast_signed();
        let errand = Errand {
            pid,
            console,
            size: message.terminal_size,
            files,
        };
        Ok((errand, streams))
    }

    /// Returns the command's process and the master of its terminal, when the runtime has returned.
    pub(in crate::supervise) fn take_command(
        &self,
        errand: Errand,
        status: ExitStatus,
    ) -> Result<(i32, Option<OwnedFd>), Failure> {
        let Errand {
            console,
            size,
            files,
            ..
        } = errand;
        self.judge(status, &files.log)?;
        let master = console.receive()?;
        if let (Some(master), Some(size)) = (&master, size) {
            set_size(master, size.rows, size.cols).at(step::TERMINAL, || "size")?;
        }
        Ok((read_pid(&files.pid)?, master))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_a_runtime_made_before_it_was_given_up_ends_unless_it_is_somebody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        let errand = |id, made: u32| {
            let files = Files::of(folder.path(), id);
            fs::write(&files.pid, made.to_string()).unwrap();
            let console = Console::open(&files.console, false, &mut Command::new("true")).unwrap();
            Errand {
                pid: 1,
                console,
                size: None,
                files,
            }
        };
        let (parent, own) = (
            errand(1, std::os::unix::process::parent_id()),
            errand(2, child.id()),
        );
        parent.end_what_it_made();
        own.end_what_it_made();
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
