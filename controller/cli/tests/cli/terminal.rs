//! Containers with a terminal, on a terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command};

use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, Termios, tcgetattr};
use nix::unistd::Pid;
use rustix::termios::{Winsize as Size, tcsetwinsize};

use crate::program::Place;

/// Milliseconds without a sign of life after which a test gives up.
const PATIENCE: u16 = 30_000;

/// A terminal, and a program on it.
struct Terminal {
    keys: File,
    screen: OwnedFd,
    before: Termios,
    child: Child,
    unread: Vec<u8>,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let size = Winsize {
            ws_row: 33,
            ws_col: 77,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(Some(&size), None).unwrap();
        let before = tcgetattr(&pty.slave).unwrap();
        let end = || pty.slave.try_clone().unwrap();
        let child = command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Self {
            keys: File::from(pty.master),
            screen: pty.slave,
            before,
            child,
            unread: Vec::new(),
        }
    }

    /// Waits until the text is on the screen, after what was waited for before.
    fn shows(&mut self, expected: &str) {
        let mut bytes = [0; 256];
        loop {
            let shown = String::from_utf8_lossy(&self.unread).into_owned();
            if let Some(at) = shown.find(expected) {
                self.unread = shown.as_bytes()[at + expected.len()..].to_vec();
                return;
            }
            let mut ready = [PollFd::new(self.keys.as_fd(), PollFlags::POLLIN)];
            let n_ready = poll(&mut ready, PATIENCE).unwrap();
            assert_ne!(n_ready, 0, "{expected:?} is not in {shown:?}");
            let length = self.keys.read(&mut bytes).unwrap();
            self.unread.extend_from_slice(&bytes[..length]);
        }
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(&self.screen)
            .unwrap()
            .local_flags
            .contains(LocalFlags::ICANON)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end; the terminal must be as it was.
    fn ends_with(mut self, code: i32) {
        // What is still written must be read, or the program waits for it.
        let mut keys = self.keys.try_clone().unwrap();
        std::thread::spawn(move || std::io::copy(&mut keys, &mut std::io::sink()));
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
        assert_eq!(
            tcgetattr(&self.screen).unwrap(),
            self.before,
            "the terminal is left changed"
        );
    }
}

#[test]
fn keys_pass_through_and_the_terminal_is_put_back() {
    let place = Place::new();
    let mut terminal = Terminal::start(place.command(&["run", "-it", "--rm", "box", "cat"]));
    terminal.shows("swap limit");
    while !terminal.is_raw() {
        std::thread::yield_now();
    }
    terminal.keys.write_all(b"abc").unwrap();
    terminal.shows("abc");
    terminal.keys.write_all(&[0x10, 0x11]).unwrap();
    terminal.shows("read escape sequence");
    terminal.ends_with(0);
}

#[test]
fn the_size_is_told_at_the_start_and_at_every_change() {
    let place = Place::new();
    let mut terminal = Terminal::start(place.command(&["run", "-t", "box", "sizes", "2"]));
    terminal.shows("33x77;");
    let size = Size {
        ws_row: 10,
        ws_col: 20,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&terminal.screen, size).unwrap();
    terminal.signal(Signal::SIGWINCH);
    terminal.shows("10x20;");
    terminal.ends_with(0);
    let size = place.agent.seen.with(|state| {
        let container = state.containers.values().next().unwrap();
        container.config.console_size.unwrap()
    });
    assert_eq!((size.rows, size.columns), (33, 77));
}

#[test]
fn a_killed_exec_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    place.run(&["run", "-d", "--name", "life", "box"]).success();
    let terminal = Terminal::start(place.command(&["exec", "-it", "life", "cat"]));
    while !terminal.is_raw() {
        std::thread::yield_now();
    }
    terminal.signal(Signal::SIGTERM);
    terminal.ends_with(143);
}

#[test]
fn a_password_is_not_shown_and_ctrl_c_leaves_the_terminal_as_it_was() {
    let place = Place::new();
    let words = ["login", "-u", "me", "registry.example"];
    let mut terminal = Terminal::start(place.command(&words));
    terminal.shows("Password: ");
    terminal.keys.write_all(b"wrong\x15secret\r").unwrap();
    terminal.shows("Credentials for");
    assert!(!String::from_utf8_lossy(&terminal.unread).contains("secret"));
    terminal.ends_with(0);
    let mut terminal = Terminal::start(place.command(&words));
    terminal.shows("Password: ");
    terminal.keys.write_all(b"secret\x03").unwrap();
    let before = terminal.before.clone();
    assert_eq!(terminal.child.wait().unwrap().signal(), Some(2));
    assert_eq!(tcgetattr(&terminal.screen).unwrap(), before);
}

#[test]
fn a_terminal_is_refused_to_a_pipe() {
    let place = Place::new();
    place
        .run(&["run", "-it", "box"])
        .fails(1, "the input device is not a TTY");
    place
        .run(&["run", "-t", "--rm", "box", "exit", "5"])
        .fails(5, "");
}

#[test]
fn a_pull_has_bars_on_a_terminal() {
    let place = Place::new();
    let mut terminal = Terminal::start(place.command(&["pull", "absent"]));
    terminal.shows("0123456789ab: Pull complete");
    terminal.shows("docker.io/library/absent:latest");
    terminal.ends_with(0);
}
