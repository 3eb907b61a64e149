//! What the fleet does, in the lines that the original prints.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use berth_controller_fleet::Progress;
use berth_controller_template::quote::quoted;

use crate::world::World;

/// What is being done with the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    Creating,
    Starting,
    Provisioning,
    Removing,
}

/// Prints the original's lines.
pub(crate) struct Lines<'a> {
    world: &'a World,
    doing: Doing,
    /// Machines of which it was said that they were started.
    started: Mutex<Vec<String>>,
    asked: AtomicBool,
}

// === impl Lines ===

impl<'a> Lines<'a> {
    pub(crate) fn new(world: &'a World, doing: Doing) -> Self {
        Self {
            world,
            doing,
            started: Mutex::default(),
            asked: AtomicBool::new(false),
        }
    }

    /// Says whether an engine was asked for an answer.
    pub(crate) fn engine_was_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Says that the driver has started a machine, once.
    pub(crate) fn started(&self, machine: &str) {
        if self.doing != Doing::Starting {
            return;
        }
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        if !started.iter().any(|name| name == machine) {
            started.push(machine.to_owned());
            let name = quoted(machine);
            self.world.info(&format!("Machine {name} was started."));
        }
    }

    fn waiting(&self) -> &'static str {
        if self.doing == Doing::Creating {
            "Waiting for machine to be running, this may take a few minutes...\n\
             Detecting operating system of created instance...\n\
             Waiting for SSH to be available..."
        } else {
            "Waiting for SSH to be available..."
        }
    }
}

impl Progress for Lines<'_> {
    fn step(&self, machine: &str, text: &str) {
        let announcement = matches!(text, "Starting" | "Stopping" | "Restarting" | "Killing");
        if announcement {
            return;
        }
        self.started(machine);
        match text {
            "Running pre-create checks" | "Creating machine" => {
                self.world.info(&format!("{text}..."));
            }
            "Waiting for SSH to be available" => self.world.info(self.waiting()),
            "Checking connection to the agent" | "Waiting for Docker's daemon to answer" => {
                self.asked.store(true, Ordering::Relaxed);
                self.world.info("Checking connection to Docker...");
            }
            "Looking at the host" => self.world.info("Detecting the provisioner..."),
            "Uploading the agent" => self.world.info("Installing Docker..."),
            "Installing and starting the agent" => self
                .world
                .info("Setting Docker configuration on the remote daemon..."),
            text => match text.strip_prefix("Provisioning ") {
                Some(system) => self.world.info(&format!("Provisioning with {system}...")),
                // The agent is up: the command says so in its own words.
                None if text.ends_with("and answers") => {}
                None => self.world.info(&format!("({machine}) {text}")),
            },
        }
    }

    fn notice(&self, machine: &str, text: &str) {
        match self.doing {
            Doing::Removing => {
                let name = quoted(machine);
                self.world
                    .error(&format!("Error removing host {name}: {text}"));
            }
            _ => self.world.info(&format!("({machine}) {text}")),
        }
    }
}
