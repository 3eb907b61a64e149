//! The machine's own `ps`.

use std::collections::HashSet;
use std::process::{Command, Stdio};

use super::ProcessTable;

/// `ps` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PsError {
    /// It cannot be started.
    #[error("error running ps")]
    Start(#[source] std::io::Error),
    /// It has failed.
    #[error("error running ps: {0}")]
    Failed(String),
    /// It does not say which process a line is about.
    #[error("Couldn't find PID field in ps output")]
    NoPid,
}

/// Runs `ps`, and keeps the lines about processes of `pids`.
pub(super) fn ps(arguments: &[String], pids: &[i32]) -> Result<ProcessTable, PsError> {
    let output = Command::new("ps")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(PsError::Start)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let first = said.lines().map(str::trim).find(|line| !line.is_empty());
        return Err(PsError::Failed(first.unwrap_or_default().to_owned()));
    }
    choose(&String::from_utf8_lossy(&output.stdout), pids)
}

fn choose(text: &str, pids: &[i32]) -> Result<ProcessTable, PsError> {
    let mut lines = text.lines();
    let titles: Vec<String> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    let of_pid = titles.iter().position(|title| title == "PID");
    let of_pid = of_pid.ok_or(PsError::NoPid)?;
    let wanted: HashSet<i32> = pids.iter().copied().collect();
    let mut processes = Vec::new();
    let mut takes_threads = false;
    for line in lines {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let Some(pid) = fields.get(of_pid) else {
            continue;
        };
        // Lines about threads come after that of their process.
        let is_thread = *pid == "-";
        if !is_thread {
            takes_threads = pid.parse().is_ok_and(|pid: i32| wanted.contains(&pid));
        }
        if takes_threads {
            processes.push(row(&fields, titles.len()));
        }
    }
    Ok(ProcessTable { titles, processes })
}

/// Puts into the last column what no column is left for.
fn row(fields: &[&str], n_titles: usize) -> Vec<String> {
    let (first, last) = fields.split_at(fields.len().min(n_titles.saturating_sub(1)));
    let mut row: Vec<String> = first.iter().map(|field| (*field).to_owned()).collect();
    if !last.is_empty() {
        row.push(last.join(" "));
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_about_the_containers_processes_are_kept() {
        let text = "  PID LWP CMD\n   42   - sleep 10\n    -  43 -\n   7   - other\n    -   8 -\n";
        let table = choose(text, &[42]).expect("a table");
        assert_eq!(table.titles, ["PID", "LWP", "CMD"]);
        assert_eq!(
            table.processes,
            [vec!["42", "-", "sleep 10"], vec!["-", "43", "-"]]
        );
        assert!(matches!(choose("CMD\nx\n", &[1]), Err(PsError::NoPid)));
    }
}
