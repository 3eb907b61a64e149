//! What containers do is the same under another OCI runtime: the tests of this program again, with runc.

use std::process::Command;

use crate::host::{RUNTIME, berthd};

/// Runs tests of this program whose names have one of these words in them, and not one of those.
fn again(words: &[&str], but: &[&str]) {
    let program = std::env::current_exe().expect("the running program");
    let mut command = Command::new(program);
    command
        .args(words)
        .args(["--test-threads", "2"])
        .env(RUNTIME, "runc")
        .env("BERTH_AGENT", berthd());
    for word in but {
        command.args(["--skip", word]);
    }
    let output = command.output().expect("tests");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A word that no test has any more would make this pass without a test.
    for word in words {
        let ran = |line: &str| line.starts_with("test ") && line.contains(word);
        assert!(text.lines().any(ran), "no test is called {word}: {text}");
    }
}

#[test]
fn streams_and_lives_are_the_same_with_runc() {
    again(&["attached::", "lifecycle::"], &[]);
}

#[test]
fn options_networks_and_volumes_are_the_same_with_runc() {
    again(&["options::", "networks_and_volumes::"], &[]);
}

#[test]
fn crashes_are_survived_with_runc_too() {
    again(&["crashes::"], &[]);
}
