//! The fleet's errors in the original's words.

use std::error::Error;

use berth_controller_fleet::{
    AgentError, CertificatesError, CreateError, FilesError, LifecycleError, MachineError,
    MountError, ProvisionError, RemoveError, SshError,
};
use berth_controller_ssh::SystemError;
use berth_controller_template::quote::quoted;

use crate::world::Failure;

/// Exit code when a driver says beforehand that it cannot succeed.
const PRE_CREATE_CHECK: u8 = 3;

/// What is said of a machine that does not exist.
pub(crate) fn absent(name: &str) -> String {
    format!(
        "Docker machine {} does not exist. Use \"docker-machine ls\" to list machines. Use \
         \"docker-machine create\" to add a new one.",
        quoted(name)
    )
}

/// What is said of a machine that is there already.
pub(crate) fn exists(name: &str) -> String {
    format!("Docker machine {} already exists", quoted(name))
}

/// What is said of a driver that an existing machine needs.
pub(crate) fn driver_absent(driver: &str) -> String {
    format!(
        "Driver {} not found. Do you have the plugin binary accessible in your PATH?",
        quoted(driver)
    )
}

/// What is said of a driver that a new machine needs.
pub(crate) fn driver_unknown(driver: &str) -> String {
    format!(
        "Driver {} not found. Do you have the plugin binary {} accessible in your PATH?",
        quoted(driver),
        quoted(&format!("docker-machine-driver-{driver}"))
    )
}

/// What is said of an engine that does not tell its version.
pub(crate) fn no_version(why: &str) -> String {
    format!("Unable to query docker version: {why}")
}

/// A machine that cannot be worked with.
pub(crate) fn machine(error: &MachineError) -> String {
    match error {
        MachineError::Absent(name) => absent(name),
        MachineError::NoDriver { driver, .. } => driver_absent(driver),
        other => chain(other),
    }
}

/// A machine that could not be started, stopped, restarted or killed: the driver's own words.
pub(crate) fn lifecycle(error: &LifecycleError) -> String {
    match error {
        LifecycleError::Machine(error) => machine(error),
        LifecycleError::Driver { source, .. } => chain(source),
        LifecycleError::Provision(error) => provision(error),
        other => chain(other),
    }
}

/// A machine that could not be provisioned.
pub(crate) fn provision(error: &ProvisionError) -> String {
    match error {
        ProvisionError::Machine(error) => machine(error),
        other => chain(other),
    }
}

/// An agent that cannot be reached.
pub(crate) fn agent(error: &AgentError) -> String {
    match error {
        AgentError::Machine(error) => machine(error),
        AgentError::NotRunning { .. } => "Host is not running".to_owned(),
        other => chain(other),
    }
}

/// A session that could not be had.
pub(crate) fn ssh(error: &SshError) -> String {
    match error {
        SshError::Machine(error) => machine(error),
        SshError::NotRunning { machine } => format!(
            "Error: Cannot run SSH command: Host {} is not running",
            quoted(machine)
        ),
        other => chain(other),
    }
}

/// Files that could not be copied.
pub(crate) fn files(error: &FilesError) -> String {
    match error {
        FilesError::Ssh(error) => ssh(error),
        other => chain(other),
    }
}

/// A directory that could not be mounted or unmounted.
pub(crate) fn mount(error: &MountError, unmount: bool) -> String {
    let (program, what) = if unmount {
        ("fusermount", "unmount option")
    } else {
        ("sshfs", "mount feature")
    };
    match error {
        MountError::System(SystemError::Missing(_)) => {
            format!("You must have a copy of the {program} binary locally to use the {what}")
        }
        MountError::Ssh(error) => ssh(error),
        other => chain(other),
    }
}

/// Certificates that could not be regenerated.
pub(crate) fn certificates(error: &CertificatesError) -> String {
    match error {
        CertificatesError::Machine(error) => machine(error),
        CertificatesError::Ssh(error) => ssh(error),
        CertificatesError::Agent(error) => agent(error),
        other => chain(other),
    }
}

/// A machine that could not be removed.
pub(crate) fn remove(error: &RemoveError) -> String {
    match error {
        RemoveError::Machine(error) => machine(error),
        RemoveError::Driver { source, .. } => chain(source),
        other => chain(other),
    }
}

/// A machine that could not be made.
pub(crate) fn create(error: &CreateError) -> Failure {
    let during = |what: &str, error: &(dyn Error + 'static)| {
        Failure::new(format!("Error creating machine: {what}: {}", chain(error)))
    };
    match error {
        CreateError::Exists(name) => Failure::new(exists(name)),
        CreateError::PreCreateCheck(cause) => {
            let cause = quoted(&chain(cause));
            Failure::new(format!("Error with pre-create check: {cause}")).code(PRE_CREATE_CHECK)
        }
        CreateError::Machine(MachineError::Driver(cause)) => Failure::new(format!(
            "Error setting machine configuration from flags provided: {}",
            chain(cause)
        )),
        CreateError::Machine(MachineError::NoDriver { driver, .. }) => {
            Failure::new(driver_unknown(driver))
        }
        CreateError::Machine(error) => Failure::new(machine(error)),
        CreateError::Driver { source, .. } => {
            during("Error in driver during machine creation", source)
        }
        CreateError::Provision(error) => match &**error {
            ProvisionError::Ssh(error) => during("Error detecting OS", error),
            ProvisionError::Answer { .. } => during("Error checking the host", error),
            ProvisionError::Credentials(cause) => Failure::new(format!(
                "Error creating machine: Error generating certificates: {}",
                chain(cause)
            )),
            error => during("Error running provisioning", error),
        },
        other => Failure::new(format!("Error creating machine: {}", chain(other))),
    }
}

/// An error and its causes, without saying anything twice.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}
