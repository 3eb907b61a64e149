//! Where the programs under test are.

use std::path::PathBuf;

/// Returns the `berth` to test: `BERTH_BIN`, or the one built beside the running test.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn berth_program() -> PathBuf {
    program("BERTH_BIN", "berth")
}

/// Returns the `berthd` to test: `BERTH_AGENT`, or the one built beside the running test.
///
/// # Panics
///
/// When there is none.
#[must_use]
pub fn agent_program() -> PathBuf {
    program("BERTH_AGENT", "berthd")
}

/// Returns the tar of a small Debian.
///
/// # Panics
///
/// When whoever runs the tests has made none.
#[must_use]
pub fn debian_root() -> PathBuf {
    fixture("BERTH_TEST_DEBIAN_ROOT")
}

/// Returns the root directory of a small Debian that systemd runs.
///
/// # Panics
///
/// When whoever runs the tests has made none.
#[must_use]
pub fn systemd_root() -> PathBuf {
    fixture("BERTH_TEST_SYSTEMD_ROOT")
}

/// Returns the root directory of a small Debian that sysvinit and OpenRC run.
///
/// # Panics
///
/// When whoever runs the tests has made none.
#[must_use]
pub fn openrc_root() -> PathBuf {
    fixture("BERTH_TEST_OPENRC_ROOT")
}

fn fixture(variable: &str) -> PathBuf {
    let path = std::env::var_os(variable).map(PathBuf::from);
    match path.filter(|path| path.exists()) {
        Some(path) => path,
        None => panic!("{variable} does not name a root filesystem; run `cargo xtask test`"),
    }
}

fn program(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        return path.into();
    }
    let test = std::env::current_exe().expect("the test has a path");
    // target/<triple>/<profile>/deps/<test>
    let beside = test.ancestors().nth(2).map(|folder| folder.join(name));
    match beside {
        Some(path) if path.exists() => path,
        _ => panic!("{name} is not built; run `cargo build` first or set {variable}"),
    }
}
