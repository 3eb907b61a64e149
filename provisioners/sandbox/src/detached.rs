//! Starting this program again, in a process that holds nothing of this one.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns a command that runs `program`, or this one, under the name of `title`.
///
/// A machine outlives whoever creates it. Files that this process has inherited, a lock of a shell
/// script for example, must not live on in the machine; they are closed by a shell on the way,
/// since only files that are known by a handle can be closed in safe Rust.
pub(crate) fn command(program: Option<&Path>, title: &str) -> io::Result<Command> {
    let inherited = inherited_files()?;
    if inherited.is_empty() {
        let mut command = Command::new(program.unwrap_or_else(|| Path::new("/proc/self/exe")));
        command.arg0(title);
        return Ok(command);
    }
    // In the shell, /proc/self is the shell.
    let own = PathBuf::from(format!("/proc/{}/exe", std::process::id()));
    let mut command = Command::new(shell_for(&inherited));
    command
        .arg("-c")
        .arg(closing_script(&inherited))
        .arg("sh")
        .arg(program.unwrap_or(&own));
    Ok(command)
}

/// Returns the numbers of open files, beyond the usual three, that a new program would get.
fn inherited_files() -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse().ok())
        else {
            continue;
        };
        // The directory that is being read is gone by now; other threads open and close files.
        let text = fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        if number > 2 && survives_exec(&text) {
            found.push(number);
        }
    }
    Ok(found)
}

/// Tells from a file's `fdinfo` whether a new program gets it.
fn survives_exec(fdinfo: &str) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & CLOSE_ON_EXEC == 0)
}

/// Returns a shell that can close these files: small shells know them by one digit only.
fn shell_for(numbers: &[u32]) -> &'static str {
    let bash = "/bin/bash";
    if numbers.iter().any(|number| *number > 9) && Path::new(bash).exists() {
        bash
    } else {
        "/bin/sh"
    }
}

fn closing_script(numbers: &[u32]) -> String {
    let closing: Vec<String> = numbers
        .iter()
        .map(|number| format!("{number}>&-"))
        .collect();
    format!("exec {}; exec \"$@\"", closing.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_without_the_mark_survive() {
        assert!(survives_exec("pos:\t0\nflags:\t0100002\nmnt_id:\t9\n"));
        assert!(!survives_exec("pos:\t0\nflags:\t02100002\nmnt_id:\t9\n"));
        assert!(!survives_exec(""));
    }

    #[test]
    fn the_script_closes_and_goes_on() {
        assert_eq!(closing_script(&[3, 12]), "exec 3>&- 12>&-; exec \"$@\"");
    }
}
