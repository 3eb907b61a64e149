//! The fleet's errors in words, with docker-machine's sentence for a machine that does not exist,
//! which scripts look for.

use std::error::Error;

use berth_controller_fleet::{
    AdoptError, AgentError, CertificatesError, ConvertError, CreateError, DockerMachineError,
    ExportError, ImportError, LifecycleError, MachineError, OrphanError, ProvisionError,
    RemoveError, SshError,
};

use crate::failure::Failure;

/// An error of the fleet.
pub(crate) trait Trouble: Error + Sized + 'static {
    /// What the operator can do about it.
    fn next_step(&self) -> Option<String>;

    /// The machine's trouble, if the error is about the machine itself.
    fn of_machine(&self) -> Option<&MachineError>;

    /// The failure to tell.
    fn failure(&self) -> Failure {
        if let Some(MachineError::Absent(name)) = self.of_machine() {
            return Failure::new(format!(
                "Docker machine {name:?} does not exist. Use \"berth machine ls\" to list \
                 machines. Use \"berth machine create\" to add a new one."
            ));
        }
        let failure = Failure::because(self);
        match self.next_step() {
            Some(step) => failure.hint(step),
            None => failure,
        }
    }
}

impl Trouble for MachineError {
    fn next_step(&self) -> Option<String> {
        self.hint()
    }

    fn of_machine(&self) -> Option<&MachineError> {
        Some(self)
    }
}

macro_rules! trouble {
    ($($error:ident),*) => {$(
        impl Trouble for $error {
            fn next_step(&self) -> Option<String> {
                self.hint()
            }

            fn of_machine(&self) -> Option<&MachineError> {
                match self {
                    Self::Machine(error) => Some(error),
                    _ => None,
                }
            }
        }
    )*};
}

trouble!(
    AdoptError,
    AgentError,
    CertificatesError,
    ConvertError,
    CreateError,
    DockerMachineError,
    ExportError,
    ImportError,
    LifecycleError,
    OrphanError,
    ProvisionError,
    RemoveError,
    SshError
);
