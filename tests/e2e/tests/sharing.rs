//! Machines that several operators use: adopted, exported and imported; and eight operators' first
//! machines at the same moment.

use std::path::PathBuf;

use berth_tests_support::{Background, Machine, Operator, wait_until};

fn key(machine: &Machine<'_>) -> PathBuf {
    machine.folder().join("id_ed25519")
}

/// Starts a container that says a word every now and then, and returns the id of its process.
fn chatter(machine: &Machine<'_>) -> String {
    machine.import_busybox("box");
    let line = "while :; do echo tick; sleep 0.1; done";
    machine
        .berth(&["run", "-d", "--name", "chatter", "box", "sh", "-c", line])
        .success();
    pid(machine)
}

fn pid(machine: &Machine<'_>) -> String {
    machine
        .berth(&[
            "inspect",
            "-f",
            "{{.State.Pid}} {{.State.StartedAt}}",
            "chatter",
        ])
        .success()
}

#[test]
fn adopted_machine_goes_on_undisturbed_for_both() {
    let (first, second) = (Operator::new(), Operator::new());
    let machine = first.machine("demo");
    let before = chatter(&machine);
    let mut stream = machine.start(&["logs", "-f", "--tail", "0", "chatter"]);
    let key = key(&machine).display().to_string();
    let host = format!("root@{}", machine.ip());
    let adopt = |name: &str, more: &[&str]| {
        let words = [
            &["machine", "adopt", "--ssh-key", &key, "--name", name],
            more,
            &[&host],
        ];
        second.berth(&words.concat())
    };
    let said = adopt("mine", &[]).success();
    assert!(said.contains("1 other authority"), "{said}");
    let mine = second.existing("mine");
    assert!(mine.berth(&["ps"]).success().contains("chatter"));
    assert_eq!(pid(&mine), before, "the container is the same process");
    assert_eq!(mine.ssh("echo in").success(), "in");
    assert_eq!(pid(&machine), before, "its first operator still uses it");
    assert!(!stream.has_ended(), "the first operator's stream goes on");
    // Again, under another name: the agent knows this operator already.
    adopt("again", &[]).success();
    let _ = adopt("mine", &[]).fails_saying(&["already exists", "--name"]);
    // Provisioning by the one does not shut out the other.
    second.berth(&["machine", "provision", "mine"]).success();
    let authorities = "grep -c BEGIN /etc/berth/ca.pem";
    assert_eq!(mine.ssh(authorities).success(), "2");
    assert_eq!(pid(&machine), before);

    let said = adopt("alone", &["--exclusive"]).success();
    assert!(said.contains("nobody else"), "{said}");
    let alone = second.existing("alone");
    assert_eq!(
        pid(&alone),
        before,
        "the container is still the same process"
    );
    assert_eq!(alone.ssh(authorities).success(), "1");
    let refused = machine.berth(&["ps"]);
    assert_ne!(refused.code(), Some(0), "the first operator is shut out");
    wait_until("the stream of the first operator ends", || {
        stream.has_ended()
    });
}

/// Everything that one operator has decided stays when another one upgrades the machine.
#[test]
fn adopted_machine_keeps_what_its_first_operator_has_decided() {
    let (first, second) = (Operator::new(), Operator::new());
    let flags = [
        "--engine-label",
        "team=harbour",
        "--engine-opt",
        "data-root=/var/lib/berth/elsewhere",
        "--engine-opt",
        "default-ulimit=nofile=4321",
        "--engine-opt",
        "dns=192.0.2.53",
        "--engine-env",
        "HARBOUR=it's 100% open",
    ];
    let machine = first.machine_with("demo", &flags);
    let before = chatter(&machine);
    let read = "cat /etc/berth/berthd.json /etc/berth/environment /etc/berth/server.pem";
    let decided = machine.ssh(read).success();
    assert!(
        decided.contains("/var/lib/berth/elsewhere") && decided.contains("HARBOUR"),
        "{decided}"
    );
    let key = key(&machine).display().to_string();
    let host = format!("root@{}", machine.ip());
    second
        .berth(&[
            "machine",
            "adopt",
            "--ssh-key",
            &key,
            "--name",
            "mine",
            &host,
        ])
        .success();
    let mine = second.existing("mine");
    // One thing that berth has no option for, and one that was decided after the adoption.
    let edit = "sed -i -e 's/\"team=harbour\"/\"team=pier\"/' -e 's/^{/{ \"later\": [1],/' \
                /etc/berth/berthd.json";
    machine.ssh(edit).success();
    let decided =
        decided
            .replacen("team=harbour", "team=pier", 1)
            .replacen('{', "{ \"later\": [1],", 1);
    for words in [
        ["machine", "upgrade", "mine"],
        ["machine", "provision", "mine"],
        ["machine", "restart", "mine"],
    ] {
        let undisturbed = words[1] != "restart";
        // An agent that is left alone has not read what was decided since.
        let label = if undisturbed {
            "team=harbour"
        } else {
            "team=pier"
        };
        second.berth(&words).success();
        assert_eq!(mine.ssh(read).success(), decided, "{words:?}");
        let labels = ["info", "-f", "{{.Labels}} {{.DockerRootDir}}"];
        let said = mine.berth(&labels).success();
        assert!(
            said.contains(label) && said.contains("/var/lib/berth/elsewhere"),
            "{said}"
        );
        let all = machine.berth(&["ps", "-a"]).success();
        assert!(all.contains("chatter"), "its first operator gets in: {all}");
        if undisturbed {
            assert_eq!(pid(&machine), before);
        }
    }
    // Another certificate would shut out whoever has given the machine this one.
    let _ = second
        .berth(&["machine", "regenerate-certs", "-f", "mine"])
        .fails_saying(&["somebody else"]);
    machine.berth(&["ps"]).success();
}

#[test]
fn host_without_an_agent_is_not_adopted() {
    let (first, second) = (Operator::new(), Operator::new());
    let machine = first.machine("demo");
    machine
        .ssh("kill $(cat /run/berth/watch.pid); rm -rf /etc/berth")
        .success();
    let key = key(&machine).display().to_string();
    let host = format!("root@{}", machine.ip());
    let _ = second
        .berth(&["machine", "adopt", "--ssh-key", &key, &host])
        .fails_saying(&["no berthd runs", "machine create"]);
    let names = second.berth(&["machine", "ls", "-q"]).success();
    assert_eq!(names, "");
}

#[test]
fn exported_machine_is_used_from_another_store_at_once() {
    let (first, second) = (Operator::new(), Operator::new());
    let machine = first.machine("demo");
    let before = chatter(&machine);
    let secret = first.home().join("secret");
    std::fs::write(&secret, "open sesame\n").expect("file");
    let secret = secret.display().to_string();
    let bundle = second.home().join("demo.berth").display().to_string();
    let export = [
        "machine",
        "export",
        "demo",
        "-o",
        &bundle,
        "--passphrase-file",
        &secret,
    ];
    first.berth(&export).success();
    let clients = first.berth(&["machine", "certs"]).success();
    assert!(clients.contains("demo.berth"), "{clients}");
    let _ = first
        .berth(&export)
        .fails_saying(&["exists already", "--force"]);
    let import = ["machine", "import", "--passphrase-file", &secret, &bundle];
    second.berth(&import).success();
    let _ = second
        .berth(&import)
        .fails_saying(&["already exists", "--name"]);
    let theirs = second.existing("demo");
    assert_eq!(pid(&theirs), before);
    assert_eq!(theirs.ssh("echo in").success(), "in");
    let env = second
        .berth(&["machine", "env", "--shell", "bash", "demo"])
        .success();
    assert!(env.contains(&second.store().display().to_string()), "{env}");
    assert!(!env.contains(&first.store().display().to_string()), "{env}");
    let _ = second
        .berth(&[
            "machine",
            "import",
            "--name",
            "x",
            "--passphrase-file",
            &bundle,
            &bundle,
        ])
        .exits_with(1);
    // Its certificate is taken back; whoever exported it goes on with their own.
    assert!(theirs.berth(&["ps"]).success().contains("chatter"));
    first
        .berth(&["machine", "revoke-client", "demo.berth"])
        .success();
    assert_ne!(theirs.berth(&["ps"]).code(), Some(0), "it is turned away");
    assert!(machine.berth(&["ps"]).success().contains("chatter"));
    // Whoever imports cannot take the machine away from whoever runs it.
    second.berth(&["machine", "rm", "-y", "demo"]).success();
    assert_eq!(pid(&machine), before);
}

#[test]
fn eight_first_machines_at_once_have_one_authority() {
    let operator = Operator::new();
    let names: Vec<String> = (0..8).map(|at| format!("m{at}")).collect();
    let creates: Vec<Background> = names
        .iter()
        .map(|name| Background::start(&mut operator.command(&["machine", "create", name])))
        .collect();
    for create in creates {
        create.outcome().success();
    }
    let read = |path: PathBuf| std::fs::read_to_string(path).expect("certificate");
    let authority = read(operator.store().join("certs/ca.pem"));
    for name in &names {
        let machine = operator.existing(name);
        assert_eq!(read(machine.folder().join("ca.pem")), authority);
        machine.berth(&["ps"]).success();
    }
}
