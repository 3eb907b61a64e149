//! Stands in for the agent in the tests of provisioning: speaks `version`, `watch` and `serve` with
//! `--ready-fd`, and serves nothing. With `"fail"` among its labels, or `exit` as the last word of its
//! own file, it dies before it is ready; with `hang` it never is.

use std::fs;
use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |flag: &str| {
        arguments
            .iter()
            .position(|a| a == flag)
            .and_then(|index| arguments.get(index + 1))
            .cloned()
    };
    let config = value("--config").unwrap_or_default();
    let fd = value("--ready-fd").unwrap_or_default();
    match arguments.get(1).map(String::as_str) {
        Some("version") => ExitCode::SUCCESS,
        // As a real watcher: the caller gets its prompt back, the agent lives on.
        Some("watch") => {
            let Ok(program) = std::env::current_exe() else {
                return ExitCode::FAILURE;
            };
            let started = Command::new(program)
                .args(["serve", "--config", &config, "--ready-fd", &fd])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .spawn();
            ExitCode::from(u8::from(started.is_err()))
        }
        Some("serve") => serve(&config, &fd),
        _ => ExitCode::FAILURE,
    }
}

fn serve(config: &str, fd: &str) -> ExitCode {
    let text = fs::read_to_string(config).unwrap_or_default();
    let own = std::env::current_exe()
        .and_then(fs::read)
        .unwrap_or_default();
    if text.contains("\"fail\"") || own.ends_with(b"exit") {
        let _ = writeln!(std::io::stderr(), "berthd: address 0.0.0.0:2376 is in use");
        return ExitCode::FAILURE;
    }
    let pid = format!("{}\n", std::process::id());
    if fs::write("/run/berth/watch.pid", pid).is_err() {
        return ExitCode::FAILURE;
    }
    if std::env::var_os("DOUBLE_IS_READY").is_none() && !own.ends_with(b"hang") {
        if fs::write(format!("/proc/self/fd/{fd}"), "ready\n").is_err() {
            return ExitCode::FAILURE;
        }
        use std::os::unix::process::CommandExt as _;
        let Ok(program) = std::env::current_exe() else {
            return ExitCode::FAILURE;
        };
        // `sh` closes the descriptor that this program cannot close without unsafe code.
        let script = format!("exec {fd}>&-; exec \"$@\"");
        let error = Command::new("sh")
            .args(["-c", &script, "sh"])
            .arg(program)
            .args(["serve", "--config", config, "--ready-fd", "none"])
            .env("DOUBLE_IS_READY", "1")
            .exec();
        let _ = writeln!(std::io::stderr(), "{error}");
        return ExitCode::FAILURE;
    }
    loop {
        thread::park();
    }
}
