//! Creations that are cut off at every step, by SIGKILL and by Ctrl-C: half of the machines are
//! completed, half are taken back, and nothing is left of any.

use std::collections::BTreeSet;
use std::path::Path;
use std::thread;

use berth_tests_support::{Background, Operator, Outcome, traces, wait_until};
use nix::sys::signal::Signal;

/// A moment of a creation.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// The journal has this step.
    Step(&'static str),
    /// The command has said this.
    Said(&'static str),
}

/// From the first step on record to the last word.
const MOMENTS: [Moment; 8] = [
    Moment::Step("disk, keys and address"),
    Moment::Step("boot"),
    Moment::Step("provision"),
    Moment::Said("Looking at the host"),
    Moment::Said("Provisioning"),
    Moment::Said("Uploading the agent"),
    Moment::Said("Installing and starting the agent"),
    Moment::Said("Checking connection to the agent"),
];

/// How the end of a cut-off creation is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sequel {
    CreateAgain,
    Resume,
    Remove,
}

const COMPLETE: [&str; 6] = [
    "control groups",
    "folder",
    "interface",
    "mounts",
    "processes",
    "register",
];

fn folder(operator: &Operator, name: &str) -> std::path::PathBuf {
    operator.store().join("machines").join(name)
}

fn has_come(moment: Moment, create: &Background, folder: &Path) -> bool {
    match moment {
        Moment::Step(step) => std::fs::read_to_string(folder.join("berth.json"))
            .is_ok_and(|text| text.contains(&format!("\"step\": \"{step}\""))),
        Moment::Said(words) => create.stdout_so_far().contains(words),
    }
}

/// Starts a creation and sends it a signal at its moment.
fn cut_off(operator: &Operator, name: &str, moment: Moment, signal: Signal) -> Outcome {
    let mut create = Background::start(&mut operator.command(&["machine", "create", name]));
    let folder = folder(operator, name);
    let mut ended = false;
    wait_until("the moment comes", || {
        ended = create.has_ended();
        ended || has_come(moment, &create, &folder)
    });
    assert!(
        !ended,
        "{name} ended before {moment:?}: {:?}",
        create.outcome()
    );
    create.signal(signal);
    create.outcome()
}

fn look_after(operator: &Operator, name: &str, sequel: Sequel) {
    match sequel {
        Sequel::Remove => {}
        Sequel::CreateAgain => {
            operator.berth(&["machine", "create", name]).success();
        }
        Sequel::Resume => {
            operator.berth(&["machine", "resume", name]).success();
        }
    }
    let folder = folder(operator, name);
    if sequel != Sequel::Remove {
        let machine = operator.existing(name);
        assert_eq!(machine.ssh("echo alive").success(), "alive");
        machine.berth(&["version"]).success();
        assert_eq!(traces(&folder), BTreeSet::from(COMPLETE), "of {name}");
    }
    operator.berth(&["machine", "rm", "-y", name]).success();
    assert_eq!(traces(&folder), BTreeSet::new(), "of {name}");
    assert!(!operator.store().join(".locks").join(name).exists());
}

fn every_moment(signal: Signal, moments: &[Moment], sequels: &[Sequel]) {
    let operator = Operator::new();
    thread::scope(|scope| {
        for (index, moment) in moments.iter().copied().enumerate() {
            let operator = &operator;
            let sequel = sequels[index % sequels.len()];
            scope.spawn(move || {
                let name = format!("cut{index}");
                let outcome = cut_off(operator, &name, moment, signal);
                if signal == Signal::SIGINT {
                    let resume = format!("berth machine resume {name}");
                    let remove = format!("berth machine rm {name}");
                    let _ = outcome.exits_with(130).fails_saying(&[
                        "half made",
                        "disk, keys and address",
                        &resume,
                        &remove,
                    ]);
                } else {
                    assert_eq!(outcome.code(), None, "{outcome:?}");
                }
                look_after(operator, &name, sequel);
            });
        }
    });
    let left = std::fs::read_dir(operator.store().join("machines")).map(Iterator::count);
    assert_eq!(left.ok(), Some(0));
}

#[test]
fn killed_creation_is_completed_or_taken_back_from_every_step() {
    let sequels = [Sequel::Resume, Sequel::Remove, Sequel::CreateAgain];
    every_moment(Signal::SIGKILL, &MOMENTS, &sequels);
}

#[test]
fn interrupted_creation_says_what_is_left_and_how_to_go_on() {
    let sequels = [Sequel::Remove, Sequel::Resume];
    every_moment(Signal::SIGINT, &MOMENTS[1..6], &sequels);
}

#[test]
fn all_machines_that_were_cut_off_are_resumed_at_once() {
    let operator = Operator::new();
    let names = ["a", "b"];
    for (name, moment) in names.into_iter().zip(MOMENTS) {
        let _killed = cut_off(&operator, name, moment, Signal::SIGKILL);
    }
    let rows = ["machine", "ls", "--format", "{{.Name}} {{.State}}"];
    assert_eq!(operator.berth(&rows).success(), "a Creating\nb Creating");
    let _ = operator
        .existing("a")
        .berth(&["ps"])
        .fails_saying(&["not complete", "resume"]);
    operator.berth(&["machine", "resume", "--all"]).success();
    assert_eq!(operator.berth(&rows).success(), "a Running\nb Running");
    let again = operator.berth(&["machine", "resume", "--all"]).success();
    assert_eq!(again, "Every machine is complete.");
    let again = operator.berth(&["machine", "resume", "a"]).success();
    assert!(again.contains("complete already"), "{again}");
    let _ = operator
        .berth(&["machine", "resume", "absent"])
        .fails_saying(&["does not exist"]);
    operator.berth(&["machine", "rm", "-y", "a", "b"]).success();
}

#[test]
fn machine_whose_folder_was_deleted_is_found_as_an_orphan_and_removed() {
    let (operator, neighbour) = (Operator::new(), Operator::new());
    let lost = operator.machine("lost").folder();
    let theirs = neighbour.machine("lost");
    let kept = operator.machine("kept");
    std::fs::remove_dir_all(&lost).unwrap();
    let orphans = |words: &[&str]| operator.berth(&[&["machine", "orphans"], words].concat());
    let found = orphans(&[]).success();
    let row = found.lines().nth(1).unwrap_or_default();
    assert!(
        row.starts_with("lost ") && row.contains("sandbox") && row.contains("processes"),
        "{found}"
    );
    assert_eq!(orphans(&["-q"]).success(), "lost");
    orphans(&["--remove"]).success();
    assert_eq!(traces(&lost), BTreeSet::new());
    assert_eq!(orphans(&["-q"]).success(), "");
    for other in [&theirs, &kept] {
        assert_eq!(other.ssh("echo alive").success(), "alive");
    }
    assert_eq!(neighbour.berth(&["machine", "orphans", "-q"]).success(), "");
}
