//! Our agent in the place of Docker's daemon.

use berth_controller_provision::Init;
use berth_controller_store::{self as store, Engine};

use super::{ConvertError, is_docker};
use crate::fleet::Loaded;
use crate::host::{Host, marked};
use crate::{Fleet, Progress};

/// What a conversion ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversion {
    /// Whether Docker's daemon runs on the host.
    pub runs: bool,
    /// The containers that run now and will be stopped.
    pub containers: Vec<String>,
}

/// Sets `$pid` to the process of Docker's daemon; a number that its file still names may be another
/// process's by now.
const DAEMON: &str = r#"
    pid=$(cat /var/run/docker.pid 2>/dev/null || :)
    case $(readlink "/proc/${pid:-none}/exe" 2>/dev/null || :) in
        */dockerd|*/dockerd\ *|*/dockerd-*) ;;
        *) pid= ;;
    esac
"#;

/// Tells what would be stopped; changes nothing.
const LOOK: &str = r#"
    put() { echo "berth:$1=$2"; }
    if [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null; then put runs 1; fi
    if command -v docker >/dev/null 2>&1; then
        docker ps --format '{{.Names}}' 2>/dev/null | sed 's/^/berth:container=/'
    fi
    put end 1
"#;

/// Ends the daemon by its process id, where nobody else looks after it.
const STOP_PROCESS: &str = r#"
    if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
        tries=0
        while kill -0 "$pid" 2>/dev/null; do
            tries=$((tries + 1))
            if [ "$tries" = 600 ]; then
                echo "process $pid of dockerd does not end" >&2
                exit 70
            fi
            sleep 0.1 2>/dev/null || sleep 1
        done
    fi
"#;

const STOP_SYSTEMD: &str = r#"
    for unit in docker.socket docker.service; do
        if systemctl cat "$unit" >/dev/null 2>&1; then
            systemctl disable -q --now "$unit"
        fi
    done
"#;

const STOP_OPENRC: &str = r#"
    if [ -e /etc/init.d/docker ]; then
        rc-service -q docker status >/dev/null 2>&1 && rc-service docker stop >&2
        rc-update -q del docker default >/dev/null 2>&1 || :
    fi
"#;

impl Fleet {
    /// Finds out what a conversion of the machine would end.
    ///
    /// # Errors
    ///
    /// When the machine's engine is not Docker's, or it cannot be logged in to.
    pub async fn conversion(
        &self,
        name: &str,
        progress: &dyn Progress,
    ) -> Result<Conversion, ConvertError> {
        let Loaded { record, machine } = self.load(name)?;
        if !is_docker(&record) {
            return Err(ConvertError::NotDocker(name.to_owned()));
        }
        if !machine.takes_agent() {
            return Err(ConvertError::NoHost(name.to_owned()));
        }
        progress.step(name, "Looking at the host");
        let session = self.ssh(name).await?;
        let host = Host::look(&session, name, &self.sudo).await?;
        let said = host
            .run("looking at Docker", &format!("{DAEMON}{LOOK}"))
            .await?;
        session.close().await;
        Ok(Conversion {
            runs: marked(&said, "runs").trim() == "1",
            containers: marked(&said, "container")
                .lines()
                .map(ToOwned::to_owned)
                .collect(),
        })
    }

    /// Stops Docker's daemon on the machine, for good, and puts our agent there. Docker's
    /// containers are stopped, its images, volumes and containers stay on the host's disk.
    ///
    /// # Errors
    ///
    /// When a step fails; the same call goes on.
    pub async fn convert(&self, name: &str, progress: &dyn Progress) -> Result<(), ConvertError> {
        let checked = self.record(name)?.name;
        let _lock = self.store.lock_machine(&checked)?;
        let Loaded {
            mut record,
            machine,
        } = self.load(name)?;
        if !is_docker(&record) {
            return Err(ConvertError::NotDocker(name.to_owned()));
        }
        if !machine.takes_agent() {
            return Err(ConvertError::NoHost(name.to_owned()));
        }
        progress.step(name, "Stopping Docker");
        let patience = std::time::Duration::from_secs(60);
        let session = self
            .log_in_patiently(&record, &*machine, patience, progress)
            .await?;
        let host = Host::look(&session, name, &self.sudo).await?;
        let stop = match host.facts.init {
            Init::Systemd => STOP_SYSTEMD,
            Init::OpenRc => STOP_OPENRC,
            Init::Own => "",
        };
        // A daemon that was started by hand is nobody's service.
        host.run(
            "stopping Docker",
            &format!("set -eu\n{stop}\n{DAEMON}{STOP_PROCESS}"),
        )
        .await?;
        if record.side.host_key.is_none() {
            record.side.host_key = Some(session.host_key().to_openssh());
        }
        session.close().await;
        // From here on, berth machine provision goes on.
        record.side.engine = Engine::Berth;
        record.side.progress = store::Progress::Ready;
        self.store.save(&record)?;
        self.put_agent(&mut record, &*machine, false, progress)
            .await
            .map_err(Box::new)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::process::{Child, Command, Output};

    use super::*;

    /// A process that runs a copy of `sleep` called `name`; ended with the test.
    struct Process(Child);

    impl Process {
        fn start(folder: &Path, name: &str) -> Self {
            let path = folder.join(name);
            fs::copy("/bin/sleep", &path).unwrap();
            let process = Self(Command::new(&path).arg("1000").spawn().unwrap());
            fs::write(folder.join("docker.pid"), process.0.id().to_string()).unwrap();
            process
        }
    }

    impl Drop for Process {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn run(folder: &Path, script: &str) -> Output {
        let pid_file = folder.join("docker.pid");
        let script = script.replace("/var/run/docker.pid", pid_file.to_str().unwrap());
        let ran = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        ran
    }

    #[test]
    fn process_that_only_has_the_number_of_dockers_daemon_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Process::start(folder.path(), "database");
        let looked = run(folder.path(), &format!("{DAEMON}{LOOK}"));
        let said = String::from_utf8(looked.stdout).unwrap();
        assert!(!said.contains("runs"), "{said}");
        run(folder.path(), &format!("set -eu\n{DAEMON}{STOP_PROCESS}"));
        assert_eq!(process.0.try_wait().unwrap(), None);
    }

    #[test]
    fn dockers_daemon_is_found_and_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Process::start(folder.path(), "dockerd");
        let looked = run(folder.path(), &format!("{DAEMON}{LOOK}"));
        let said = String::from_utf8(looked.stdout).unwrap();
        assert!(said.contains("berth:runs=1"), "{said}");
        // Whoever has started it takes note of its end, as an init would.
        let ended = std::thread::scope(|scope| {
            let waits = scope.spawn(|| process.0.wait().unwrap());
            run(folder.path(), &format!("set -eu\n{DAEMON}{STOP_PROCESS}"));
            waits.join().unwrap()
        });
        assert!(!ended.success());
    }
}
