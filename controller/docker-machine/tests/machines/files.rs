//! `ssh`, `scp` and `mount`: how they are called, and what they say of machines that cannot be
//! reached.

use std::fs;

use crate::support::Operator;

#[test]
fn ssh_reads_no_flags_but_its_help() {
    let operator = Operator::new();
    operator.machine("far", "tcp://192.0.2.7:2376");
    let page = operator.types("help ssh").stdout;
    for line in ["ssh -h", "ssh --help far", "ssh -help"] {
        operator.types(line).is(0, &page, "");
    }
    // Behind the name it is no help of ours.
    let said = operator.types("ssh far ls --help");
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(
        said.stderr.contains("hosts without a driver"),
        "{}",
        said.stderr
    );
}

#[test]
fn copies_need_two_places() {
    let operator = Operator::new();
    let page = operator.types("help scp").stdout;
    for line in ["scp", "scp a", "scp a b c"] {
        operator
            .types(line)
            .is(1, &page, "Improper number of arguments\n");
    }
    let page = operator.types("help mount").stdout;
    for line in ["mount", "mount a b c"] {
        operator
            .types(line)
            .is(1, &page, "Improper number of arguments\n");
    }
    let absent = "Error loading host: Error loading host: Docker machine \"x\" does not exist. Use \"docker-machine ls\" to list machines. Use \"docker-machine create\" to add a new one.\n";
    for line in [
        "scp x:/etc/hosts .",
        "scp -r . user@x:/tmp",
        "mount x:/srv /mnt",
    ] {
        operator.types(line).is(1, "", absent);
    }
}

#[test]
fn places_without_a_machine_are_on_this_computer() {
    let operator = Operator::new();
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    fs::write(&from, "content").unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    operator
        .types(&format!("scp {from} localhost:{to}"))
        .is(0, "", "");
    assert_eq!(fs::read_to_string(to).unwrap(), "content");
    let said = operator.types(&format!("scp {from}-not {to}"));
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("from-not"), "{}", said.stderr);
}
