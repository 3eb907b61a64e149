//! `rm`: its question, and what it says of machines that cannot be removed.

use crate::support::Operator;

const WARNING: &str =
    "WARNING: This action will delete both local reference and remote instance.\n";

fn operator() -> Operator {
    let operator = Operator::new();
    operator.machine("a", "tcp://192.0.2.7:2376");
    operator.machine("b", "tcp://192.0.2.8:2376");
    operator
}

#[test]
fn removal_is_asked_for() {
    let mut operator = operator();
    let asked = format!("About to remove a, b\n{WARNING}Are you sure? (y/n): ");
    for answer in ["", "\n", "n\n", "y y\n", "what\n"] {
        operator.answer(answer);
        operator.types("rm a b").is(0, &asked, "");
    }
    operator.types("ls -q").is(0, "a\nb\n", "");
    operator.answer("Yes\n");
    operator.types("rm a b").is(
        0,
        &format!("{asked}Successfully removed a\nSuccessfully removed b\n"),
        "",
    );
    operator.types("ls -q").is(0, "", "");
    assert!(!operator.store().join("machines/a").exists());
}

#[test]
fn removal_needs_names() {
    let operator = operator();
    let page = operator.types("help rm").stdout;
    operator.types("rm").is(
        1,
        &page,
        "Error: Expected to get one or more machine names as arguments\n",
    );
}

#[test]
fn absent_machines_are_a_failure_unless_forced() {
    let operator = operator();
    let absent = "Error removing host \"x\": Docker machine \"x\" does not exist. Use \"docker-machine ls\" to list machines. Use \"docker-machine create\" to add a new one.\n";
    operator.types("rm -y x a").is(
        1,
        &format!("About to remove x, a\n{WARNING}Successfully removed a\n"),
        absent,
    );
    // Words before the flags come behind them.
    operator.types("rm x -f b").is(
        0,
        &format!("About to remove b, x\n{WARNING}Successfully removed b\n"),
        &format!("{absent}Can't remove \"x\"\n"),
    );
}

#[test]
fn driver_that_fails_keeps_the_record_unless_forced() {
    let operator = operator();
    let made = operator.types("create -d fake --fake-fails remove m");
    assert_eq!(made.code, 0, "{}", made.stderr);
    operator.types("rm -y m").is(
        1,
        &format!("About to remove m\n{WARNING}"),
        "Error removing host \"m\": cannot remove: out of luck\n",
    );
    assert!(operator.store().join("machines/m").exists());
    let forced = operator.types("rm -f m");
    assert_eq!(forced.code, 0);
    assert!(
        forced.stdout.ends_with("Successfully removed m\n"),
        "{forced:?}"
    );
    assert!(
        forced.stderr.starts_with("Error removing host \"m\": ")
            && forced.stderr.contains("out of luck"),
        "{forced:?}"
    );
    assert!(!operator.store().join("machines/m").exists());
}
