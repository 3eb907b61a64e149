//! Root filesystems of real distributions for the tests, made while the compiler works.
//!
//! They are kept in `target/fixtures` between runs. What is there under its final name is complete;
//! what a run that was cut off has left has another name, and is thrown away by the next.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::process::target_directory;

/// How often to look whether one is done, or nobody waits for it any more.
const LOOK: Duration = Duration::from_millis(100);

/// How to make one of them.
struct Recipe {
    /// Its name in `target/fixtures`.
    name: &'static str,
    /// Tells the tests where it is.
    variable: &'static str,
    /// What mmdebstrap calls its form: `tar` or `directory`.
    form: &'static str,
    /// Packages, beyond those that every Debian has.
    packages: &'static str,
}

/// In the order in which they are made.
const RECIPES: [Recipe; 3] = [
    Recipe {
        name: "debian.tar",
        variable: "BERTH_TEST_DEBIAN_ROOT",
        form: "tar",
        packages: "",
    },
    Recipe {
        name: "systemd-root",
        variable: "BERTH_TEST_SYSTEMD_ROOT",
        form: "directory",
        packages: "systemd,systemd-sysv,openssh-server,iproute2,procps,sudo",
    },
    Recipe {
        name: "openrc-root",
        variable: "BERTH_TEST_OPENRC_ROOT",
        form: "directory",
        packages: "openrc,sysvinit-core,openssh-server,iproute2,procps",
    },
];

/// Half of the time goes into waiting for the disk after each package, and nobody reads manuals.
const OPTIONS: [&str; 6] = [
    "--quiet",
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
];

/// The fixtures, on their way.
pub(crate) struct Fixtures {
    maker: Option<JoinHandle<Result<()>>>,
    unwanted: Arc<AtomicBool>,
}

// === impl Fixtures ===

impl Fixtures {
    /// Starts making what is missing, one after another, beside the caller.
    ///
    /// # Errors
    /// When there is no room for them.
    pub(crate) fn begin() -> Result<Self> {
        let directory = directory();
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let unwanted = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&unwanted);
        let maker = std::thread::spawn(move || make_all(&directory, &stop));
        Ok(Self {
            maker: Some(maker),
            unwanted,
        })
    }

    /// Waits until all are there, and returns the variables that tell the tests of them.
    ///
    /// # Errors
    /// When one could not be made.
    pub(crate) fn finish(mut self) -> Result<Vec<(&'static str, PathBuf)>> {
        if let Some(maker) = self.maker.take() {
            let outcome = maker.join();
            outcome.map_err(|_panic| anyhow!("the maker of fixtures panicked"))??;
        }
        let tell = |recipe: &Recipe| (recipe.variable, directory().join(recipe.name));
        Ok(RECIPES.iter().map(tell).collect())
    }
}

impl Drop for Fixtures {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::Relaxed);
        if let Some(maker) = self.maker.take() {
            // The run has failed already, and has its reason.
            drop(maker.join());
        }
    }
}

fn directory() -> PathBuf {
    target_directory().join("fixtures")
}

fn make_all(directory: &Path, unwanted: &AtomicBool) -> Result<()> {
    // A second run at the same time waits, and then finds everything made.
    let lock = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(directory.join("lock"))
        .context("cannot open the lock of fixtures")?;
    lock.lock().context("cannot lock the fixtures")?;
    for recipe in &RECIPES {
        recipe
            .make(directory, &lock, unwanted)
            .with_context(|| format!("cannot make fixture {}", recipe.name))?;
    }
    Ok(())
}

// === impl Recipe ===

impl Recipe {
    fn make(&self, directory: &Path, lock: &File, unwanted: &AtomicBool) -> Result<()> {
        let place = directory.join(self.name);
        let note = directory.join(format!("{}.recipe", self.name));
        let recipe = self.arguments().join("\n");
        if place.exists() && fs::read_to_string(&note).is_ok_and(|made| made == recipe) {
            return Ok(());
        }
        let partial = directory.join(format!("partial-{}", self.name));
        remove(&partial)?;
        remove(&place)?;
        let child = isolated("mmdebstrap")
            .args(self.arguments())
            .arg(&partial)
            // An empty input, and the lock: held on by what goes on when this process is killed.
            .stdin(lock.try_clone()?)
            .spawn()
            .context("cannot start mmdebstrap")?;
        wait(child, unwanted)?;
        fs::rename(&partial, &place)?;
        fs::write(&note, &recipe)?;
        Ok(())
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = OPTIONS.map(str::to_owned).to_vec();
        arguments.push(format!("--format={}", self.form));
        if !self.packages.is_empty() {
            arguments.push(format!("--include={}", self.packages));
        }
        arguments.push("bookworm".to_owned());
        arguments
    }
}

/// Returns a command whose mounts and processes end with it, however it ends.
fn isolated(program: &str) -> Command {
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(program);
    command
}

fn wait(mut child: Child, unwanted: &AtomicBool) -> Result<()> {
    loop {
        if let Some(status) = child.try_wait()? {
            if !status.success() {
                bail!("mmdebstrap ended with {status}");
            }
            return Ok(());
        }
        if unwanted.load(Ordering::Relaxed) {
            child.kill()?;
            child.wait()?;
            bail!("nobody waits for it any more");
        }
        std::thread::sleep(LOOK);
    }
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(data) if data.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
