//! Passwords for `sudo`: from a file, the environment, or whoever sits at the terminal.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use berth_controller_fleet::{Fleet, Sudo};

use zeroize::Zeroizing;

use crate::ui;

/// Where the password comes from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SudoArgs {
    /// File whose first line is the user's password for sudo on the machine
    /// [$BERTH_SUDO_PASSWORD_FILE; else $BERTH_SUDO_PASSWORD; else asked for on a terminal]
    #[arg(long, value_name = "PATH")]
    pub(super) sudo_password_file: Option<PathBuf>,
}

// === impl SudoArgs ===

impl SudoArgs {
    /// Lets the fleet use it.
    pub(super) fn apply(&self, fleet: Fleet) -> Fleet {
        // Questions about several machines come one after the other.
        let turn = Mutex::new(());
        let ask = move |machine: &str, user: &str, attempt: u32| {
            let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
            let again = if attempt == 0 {
                ""
            } else {
                "That was not it. "
            };
            if !ui::input_is_terminal() {
                // Nobody types: the failure says what else can be done.
                return None;
            }
            let prompt = format!("{again}Password of user {user} for sudo on machine {machine}: ");
            ui::ask_secret(&prompt).ok().map(Zeroizing::new)
        };
        let sudo = Sudo::default()
            .with_file(self.sudo_password_file.clone())
            .with_ask(Arc::new(ask));
        fleet.with_sudo(sudo)
    }
}
