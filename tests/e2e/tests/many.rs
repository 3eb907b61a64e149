//! Many machines at once: from one command, from many, and one name from two sides.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use berth_tests_support::{AGENTS_VERSION, Background, FakeAgents, Operator, traces};

/// As many as a busy pair of processors makes in a few seconds; the bench makes fifty.
const N_MACHINES: usize = 6;
/// Enough for more than one thread; the bench asks a thousand.
const N_AGENTS: usize = 70;

fn words<'a>(first: &[&'a str], names: &'a [String]) -> Vec<&'a str> {
    first
        .iter()
        .copied()
        .chain(names.iter().map(String::as_str))
        .collect()
}

fn running(operator: &Operator) -> usize {
    let rows = ["machine", "ls", "--format", "{{.State}} {{.DockerVersion}}"];
    let rows = operator.berth(&rows).success();
    rows.lines()
        .filter(|row| row.starts_with("Running v"))
        .count()
}

fn folders(operator: &Operator, names: &[String]) -> Vec<PathBuf> {
    let machines = operator.store().join("machines");
    names.iter().map(|name| machines.join(name)).collect()
}

fn nothing_is_left(folders: &[PathBuf]) {
    for folder in folders {
        assert_eq!(traces(folder), BTreeSet::new(), "of {}", folder.display());
    }
}

#[test]
fn machines_are_made_and_removed_by_as_many_commands_at_once() {
    let operator = Operator::new();
    let names: Vec<String> = (0..N_MACHINES).map(|number| format!("p{number}")).collect();
    let all = |verb: &[&str]| {
        let commands: Vec<Background> = names
            .iter()
            .map(|name| {
                let words = [&["machine"], verb, &[name.as_str()]].concat();
                Background::start(&mut operator.command(&words))
            })
            .collect();
        for command in commands {
            command.outcome().success();
        }
    };
    all(&["create"]);
    assert_eq!(running(&operator), N_MACHINES);
    let addresses: BTreeSet<String> = names
        .iter()
        .map(|name| operator.existing(name).ip())
        .collect();
    assert_eq!(addresses.len(), N_MACHINES, "{addresses:?}");
    all(&["rm", "-y"]);
    nothing_is_left(&folders(&operator, &names));
}

#[test]
fn one_command_makes_stops_starts_and_removes_several_machines() {
    let operator = Operator::new();
    let names: Vec<String> = (0..3).map(|number| format!("s{number}")).collect();
    let made = operator
        .berth(&words(&["machine", "create"], &names))
        .success();
    for name in &names {
        assert!(made.contains(&format!("({name}) ")), "{made}");
    }
    assert!(made.ends_with("3 of 3 machines are up."), "{made}");
    assert_eq!(running(&operator), 3);
    operator
        .berth(&words(&["machine", "stop"], &names))
        .success();
    let states = ["machine", "ls", "--filter", "state=Stopped", "-q"];
    assert_eq!(operator.berth(&states).success().lines().count(), 3);
    operator
        .berth(&words(&["machine", "start"], &names))
        .success();
    operator
        .berth(&words(&["machine", "restart"], &names))
        .success();
    assert_eq!(running(&operator), 3);
    operator
        .berth(&words(&["machine", "kill"], &names))
        .success();
    let again = operator.berth(&words(&["machine", "create"], &names));
    let _ = again.exits_with(1).fails_saying(&["already exists"]);
    operator
        .berth(&words(&["machine", "rm", "-y"], &names))
        .success();
    nothing_is_left(&folders(&operator, &names));
}

#[test]
fn impossible_name_among_several_makes_none() {
    let operator = Operator::new();
    let words = ["machine", "create", "good", "../bad"];
    let _ = operator
        .berth(&words)
        .exits_with(1)
        .fails_saying(&["../bad"]);
    assert_eq!(operator.berth(&["machine", "ls", "-q"]).success(), "");
}

#[test]
fn one_name_belongs_to_one_command_at_a_time() {
    let operator = Operator::new();
    for _ in 0..2 {
        let twice = [(), ()]
            .map(|()| Background::start(&mut operator.command(&["machine", "create", "same"])));
        let outcomes = twice.map(Background::outcome);
        let n_good = outcomes.iter().filter(|o| o.code() == Some(0)).count();
        assert_eq!(n_good, 1, "{outcomes:?}");
        for refused in outcomes.into_iter().filter(|o| o.code() != Some(0)) {
            let text = refused.stderr();
            let why = text.contains("another berth process") || text.contains("already exists");
            assert!(why, "{text}");
        }
        let twice = [(), ()]
            .map(|()| Background::start(&mut operator.command(&["machine", "rm", "-y", "same"])));
        let outcomes = twice.map(Background::outcome);
        assert!(outcomes.iter().any(|o| o.code() == Some(0)), "{outcomes:?}");
        for refused in outcomes.into_iter().filter(|o| o.code() != Some(0)) {
            let text = refused.stderr();
            let why = text.contains("another berth process") || text.contains("does not exist");
            assert!(why, "{text}");
        }
        assert_eq!(
            traces(&operator.store().join("machines/same")),
            BTreeSet::new()
        );
    }
}

#[test]
fn busy_machine_is_removed_and_those_who_wait_for_it_are_told() {
    let operator = Operator::new();
    let machine = operator.machine("busy");
    machine.import_busybox("box");
    let run = machine.start(&["run", "box", "sh", "-c", "echo runs; sleep 600"]);
    berth_tests_support::wait_until("it runs", || run.stdout_so_far().contains("runs"));
    let folder = machine.folder();
    operator.berth(&["machine", "rm", "-y", "busy"]).success();
    let _ = run.outcome().fails_saying(&["connection"]);
    assert_eq!(traces(&folder), BTreeSet::new());
}

#[test]
fn list_of_very_many_machines_waits_for_none_longer_than_it_was_told() {
    let operator = Operator::new();
    let agents = FakeAgents::start(&operator.store(), N_AGENTS);
    // Two of them are at an address from which nothing ever comes back.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port().to_string();
    for name in ["n7", "n8"] {
        let path = operator
            .store()
            .join("machines")
            .join(name)
            .join("config.json");
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.replace(&agents.address().port().to_string(), &port);
        std::fs::write(&path, text).unwrap();
    }
    let rows = "{{.Name}} {{.State}} {{.DockerVersion}}";
    let begin = Instant::now();
    let list = operator
        .berth(&["machine", "ls", "-t", "6", "--format", rows])
        .success();
    let taken = begin.elapsed();
    assert!(taken < Duration::from_secs(12), "it took {taken:?}");
    let good = format!("Running v{AGENTS_VERSION}");
    let n_good = list.lines().filter(|row| row.ends_with(&good)).count();
    assert_eq!(
        (n_good, agents.served()),
        (N_AGENTS - 2, N_AGENTS - 2),
        "{list}"
    );
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), N_AGENTS);
    assert!(lines[7].starts_with("n7 Timeout"), "{}", lines[7]);
    assert!(lines[69].starts_with("n69 "), "{}", lines[69]);
    // What is on record needs no answer.
    let filtered = ["machine", "ls", "-q", "--filter", "label=number=n5"];
    assert_eq!(operator.berth(&filtered).success(), "n5");
    assert_eq!(agents.served(), N_AGENTS - 2);
}
