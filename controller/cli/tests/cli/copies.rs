//! Archives on standard input and output whose other ends take their time.

use std::io::{Read as _, Write as _};
use std::process::{Child, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::agent::ARCHIVE;
use crate::program::Place;

/// How long the agent waits for an answer to the question whether somebody is there.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// How long a run may take that is not meant to take any time.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for the end of a run; kills it if there is none.
#[track_caller]
fn ends(child: &mut Child) -> ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it goes on and on");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_reader_that_pauses_gets_the_whole_archive() {
    let place = Place::with_impatient_agent(IMPATIENCE);
    for words in [&["export", "web"][..], &["cp", "web:/folder", "-"]] {
        let mut child = place.command(words).spawn().unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0]).unwrap();
        // The time itself is what is tested: the agent has asked and waited by then.
        std::thread::sleep(4 * IMPATIENCE);
        let mut rest = Vec::new();
        output.read_to_end(&mut rest).unwrap();
        let mut said = String::new();
        let mut errors = child.stderr.take().unwrap();
        errors.read_to_string(&mut said).unwrap();
        assert!(ends(&mut child).success(), "{words:?}: {said}");
        assert_eq!(rest.len() + 1, ARCHIVE, "{words:?}: {said}");
    }
}

#[test]
fn a_refusal_is_told_at_once_although_more_input_might_come() {
    let place = Place::new();
    let mut child = place
        .command(&["cp", "-", "web:/refused"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"the beginning").unwrap();
    let status = ends(&mut child);
    let mut said = String::new();
    let mut errors = child.stderr.take().unwrap();
    errors.read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("container rootfs is marked read-only"),
        "{said}"
    );
    drop(input);
}

#[test]
fn input_that_comes_slowly_arrives_as_it_comes() {
    let place = Place::new();
    let mut child = place
        .command(&["cp", "-", "web:/folder"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for (part, so_far) in [("first", "first"), (", second", "first, second")] {
        input.write_all(part.as_bytes()).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while place
            .agent
            .seen
            .with(|state| state.unpacked != so_far.as_bytes())
        {
            if Instant::now() > deadline {
                child.kill().unwrap();
                panic!("{so_far:?} has not arrived");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    drop(input);
    assert!(ends(&mut child).success());
}
