//! Reaching machines: ssh as a program, copies, mounts, jump hosts, passphrases, IP version 6.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use berth_tests_support::{Machine, Operator, Outcome};

/// Talks to a program on a terminal of its own: waits for a word, says whether what is typed then
/// would be shown, types, and prints all that came, then whether it would be shown after the end.
const TERMINAL: &str = r#"
import os, pty, sys, termios
typed = sys.argv[2].encode().decode('unicode_escape').encode()
def echo(fd): return 'shown' if termios.tcgetattr(fd)[3] & termios.ECHO else 'hidden'
own, other = pty.openpty()
pid = os.fork()
if pid == 0:
    os.close(own); os.login_tty(other) if hasattr(os, 'login_tty') else None
    if not hasattr(os, 'login_tty'):
        import fcntl
        os.setsid(); fcntl.ioctl(other, termios.TIOCSCTTY, 0)
        for fd in (0, 1, 2): os.dup2(other, fd)
    os.execvp(sys.argv[3], sys.argv[3:])
said = b''
while sys.argv[1].encode() not in said: said += os.read(own, 4096)
before = echo(other)
os.write(own, typed)
os.set_blocking(own, True)
_, status = os.waitpid(pid, 0)
after = echo(other)
os.close(other)
try:
    while True:
        more = os.read(own, 4096)
        if not more: break
        said += more
except OSError: pass
sys.stdout.buffer.write(said)
print('\n' + before, after, os.waitstatus_to_exitcode(status))
"#;

fn feed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("berth");
    let mut stdin = child.stdin.take().expect("its input");
    let input = input.to_vec();
    let writing = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("its end");
    // A program that has ended does not read the rest.
    let _ = writing.join();
    output
}

fn private_key(machine: &Machine<'_>) -> PathBuf {
    machine.folder().join("id_ed25519")
}

fn script(path: &Path, text: &str) {
    fs::write(path, text).expect("script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("script");
}

/// Makes an operator who knows a machine as a host that existed, without putting an agent on it.
fn record(operator: &Operator, machine: &Machine<'_>, name: &str, address: &str, key: &str) {
    let folder = operator.store().join("machines").join(name);
    fs::create_dir_all(&folder).expect("folder");
    let original = fs::read_to_string(machine.folder().join("config.json")).expect("record");
    let mut config: serde_json::Value = serde_json::from_str(&original).expect("record");
    config["Name"] = name.into();
    config["DriverName"] = "generic".into();
    config["Driver"] = serde_json::json!({
        "IPAddress": address, "MachineName": name, "SSHUser": "root", "SSHPort": 22,
        "SSHKeyPath": key, "StorePath": operator.store(), "EnginePort": 2376, "SSHKey": key,
    });
    fs::write(folder.join("config.json"), config.to_string()).expect("record");
}

#[test]
fn commands_pass_bytes_statuses_and_options() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    for program in ["--native-ssh", "--system-ssh"] {
        let ssh =
            |words: &[&str]| operator.command(&[&["machine", "ssh", program, "m"], words].concat());
        let code = |words: &[&str]| Outcome::of(&mut ssh(words)).code();
        assert_eq!(code(&["exit 7"]), Some(7));
        let bytes: Vec<u8> = (0..=255).cycle().take(1_000_000).collect();
        let output = feed(ssh(&["cat"]), &bytes);
        assert!(output.stdout == bytes, "{program}: {output:?}");
        let output = Outcome::of(&mut ssh(&["-C", "echo", "a  b;", "echo oops >&2"]));
        assert_eq!(
            (output.stdout(), output.stderr()),
            ("a b\n", "oops\n"),
            "{program}"
        );
        let output = Outcome::of(&mut ssh(&["--", "echo", "-N"]));
        assert_eq!(output.stdout(), "-N\n", "{program}");
        let output = Outcome::of(&mut ssh(&["-tt", "stty size >/dev/null && tty"]));
        assert!(
            output.stdout().starts_with("/dev/pts/"),
            "{program}: {output:?}"
        );
        assert_eq!(Outcome::of(&mut ssh(&["-n", "cat"])).stdout(), "");
    }
    let killed = operator.berth(&["machine", "ssh", "m", "kill -9 $$"]);
    assert_eq!(killed.code(), Some(137));
    let refused = operator.berth(&["machine", "ssh", "--native-ssh", "m", "-X", "true"]);
    let _ = refused
        .exits_with(255)
        .fails_saying(&["-X", "system's ssh"]);
    // What only ssh can do is left to it: here, to tell its configuration.
    let output = operator.berth(&["machine", "ssh", "m", "-G"]);
    assert!(
        output.stdout().contains("stricthostkeychecking true"),
        "{output:?}"
    );
    drop(machine);
}

#[test]
fn changed_host_key_is_refused_by_both_programs() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let side = machine.folder().join("berth.json");
    let text = fs::read_to_string(&side).expect("record");
    let mut record: serde_json::Value = serde_json::from_str(&text).expect("record");
    let other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    record["host_key"] = other.into();
    fs::write(&side, record.to_string()).expect("record");
    let native = operator.berth(&["machine", "ssh", "m", "true"]);
    let native = native.exits_with(255);
    let _ = native.fails_saying(&["has changed", "SHA256:", "berth machine doctor m"]);
    let system = operator.berth(&["machine", "ssh", "--system-ssh", "m", "true"]);
    let _ = system.exits_with(255);
    fs::write(&side, text).expect("record");
}

#[test]
fn copies_go_to_from_and_between_machines() {
    let operator = Operator::new();
    let (_one, _two) = (operator.machine("one"), operator.machine("two"));
    let home = operator.home();
    fs::create_dir_all(home.join("site/sub dir")).expect("folder");
    fs::write(home.join("site/sub dir/a b"), "content").expect("file");
    let scp = |words: &[&str]| operator.berth(&[&["machine", "scp"], words].concat());
    scp(&["-r", "site", "one:/srv/new"]).success();
    scp(&["-r", "-q", "one:/srv/new", "two:/srv"]).success();
    scp(&["-r", "root@two:/srv/new", "localhost:back"]).success();
    let back = fs::read_to_string(home.join("back/sub dir/a b")).expect("file");
    assert_eq!(back, "content");
    let _ = scp(&["site", "one:/srv"])
        .exits_with(1)
        .fails_saying(&["site", "-r"]);
    let _ = scp(&["one:/nowhere", "."])
        .exits_with(1)
        .fails_saying(&["one:/nowhere"]);
    let _ = scp(&["nobody:/x", "."])
        .exits_with(1)
        .fails_saying(&["\"nobody\" does not exist"]);
    let _ = scp(&["--delta", "one:/x", "two:/x"])
        .exits_with(1)
        .fails_saying(&["between two"]);
}

#[test]
fn differences_and_mounts_use_the_machines_key_and_pinned_host_key() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let programs = operator.home().join("programs with space");
    fs::create_dir(&programs).expect("folder");
    // Doubles that log in by the words that the real programs would be given.
    script(
        &programs.join("rsync"),
        "#!/bin/sh\n[ \"$1 $2\" = '--progress -e' ] || exit 90\n\
         for last; do :; done; eval \"$3 ${last%%:*} echo synced\"\n",
    );
    script(
        &programs.join("sshfs"),
        "#!/usr/bin/env python3\nimport re, subprocess, sys\n\
         option, place, point = sys.argv[2:]\n\
         value = re.sub(r'\\\\(.)', r'\\1', option.split('=', 1)[1])\n\
         words = [re.sub(r'\\\\(.)', r'\\1', w) for w in re.findall(r'(?:\\\\.|[^ ])+', value)]\n\
         host, path = place.rsplit(':', 1)\n\
         print('mounted', path, point, flush=True)\n\
         sys.exit(subprocess.call(words + [host, 'exit 5']))\n",
    );
    let path = format!("{}:/usr/bin:/bin:/usr/sbin", programs.display());
    let run = |words: &[&str]| Outcome::of(operator.command(words).env("PATH", &path));
    machine.ssh("rm -f /usr/bin/rsync").success();
    let missing = run(&["machine", "scp", "-d", "x", "m:/srv"]);
    let missing = missing.exits_with(1);
    let _ = missing.fails_saying(&["\"rsync\" is not installed on machine \"m\""]);
    machine.ssh("ln -s /bin/true /usr/bin/rsync").success();
    let synced = run(&["machine", "scp", "-d", "x", "m:/srv"]);
    assert_eq!(synced.success(), "synced");
    let mounted = run(&["machine", "mount", "m:/srv", "."]);
    assert_eq!(mounted.stdout(), "mounted /srv .\n", "{mounted:?}");
    let _ = mounted.exits_with(5);
    let nowhere = run(&["machine", "mount", "m:/srv", "nowhere"]);
    let _ = nowhere
        .exits_with(1)
        .fails_saying(&["\"nowhere\" is not a directory", "mkdir"]);
    let without = Outcome::of(
        operator
            .command(&["machine", "mount", "m:/srv", "."])
            .env("PATH", "/nonexistent"),
    );
    let _ = without
        .exits_with(1)
        .fails_saying(&["sshfs", "not installed"]);
}

#[test]
fn jump_host_of_the_configuration_leads_to_a_machine_that_nobody_else_reaches() {
    let operator = Operator::new();
    let (hop, goal) = (operator.machine("hop"), operator.machine("goal"));
    let other = Operator::new();
    // A key of the operator's own, outside of any store.
    let own = other.home().join("goal_key");
    fs::copy(private_key(&goal), &own).expect("key");
    let key = own.display().to_string();
    // An address that means the machine only where the hop resolves it.
    hop.ssh(&format!("echo '{} inside.test' >>/etc/hosts", goal.ip()))
        .success();
    record(&other, &goal, "far", "inside.test", &key);
    let ssh = other.home().join(".ssh");
    fs::create_dir(&ssh).expect("folder");
    let side = fs::read_to_string(hop.folder().join("berth.json")).expect("record");
    let side: serde_json::Value = serde_json::from_str(&side).expect("record");
    let host_key = side["host_key"].as_str().expect("the hop's key");
    fs::write(
        ssh.join("known_hosts"),
        format!("{} {host_key}\n", hop.ip()),
    )
    .expect("file");
    let config = format!(
        "Host inside.test\n ProxyJump root@bastion\nHost bastion\n HostName {}\n IdentityFile {}\n",
        hop.ip(),
        private_key(&hop).display()
    );
    fs::write(ssh.join("config"), config).expect("file");
    let status = other.berth(&["machine", "status", "far"]).success();
    assert_eq!(status, "Running");
    let name = other
        .berth(&["machine", "ssh", "far", "hostname -I"])
        .success();
    assert!(name.contains(&goal.ip()), "{name}");
    // A jump host that nobody knows is refused, and named.
    fs::write(ssh.join("known_hosts"), "").expect("file");
    let refused = other.berth(&["machine", "ssh", "far", "-o", "BatchMode=yes", "true"]);
    let _ = refused
        .exits_with(255)
        .fails_saying(&["not among the known hosts", &hop.ip()]);
}

#[test]
fn passphrase_is_asked_for_on_the_terminal_and_never_shown() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let other = Operator::new();
    let locked = other.home().join("locked");
    fs::copy(private_key(&machine), &locked).expect("key");
    let keygen = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "open sesame", "-f"])
        .arg(&locked)
        .status()
        .expect("ssh-keygen");
    assert!(keygen.success());
    let ip = machine.ip();
    record(&other, &machine, "far", &ip, &locked.display().to_string());
    let words = ["machine", "ssh", "far", "echo", "let", "in"];
    let nobody = other.berth(&words);
    let _ = nobody
        .exits_with(255)
        .fails_saying(&["needs a passphrase", "ssh-add"]);

    let asking = other.home().join("asking");
    script(
        &asking,
        "#!/bin/sh\ncase $1 in *locked*) echo 'open sesame';; esac\n",
    );
    let program = |name: &Path| {
        let mut command = other.command(&words);
        command
            .env("SSH_ASKPASS", name)
            .env("SSH_ASKPASS_REQUIRE", "force");
        Outcome::of(&mut command)
    };
    assert_eq!(program(&asking).success(), "let in");
    script(&asking, "#!/bin/sh\necho wrong\n");
    let _ = program(&asking)
        .exits_with(255)
        .fails_saying(&["was not opened"]);

    let terminal = |typed: &str| {
        let berth = other.command(&words);
        let mut command = Command::new("python3");
        command.args(["-c", TERMINAL, "Passphrase for key", typed]);
        command.arg(berth.get_program()).args(berth.get_args());
        command.current_dir(other.home()).env_clear();
        for (name, value) in berth.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        Outcome::of(&mut command).success()
    };
    let said = terminal("open sesamf\\x7fe\\n");
    assert!(said.contains("let in"), "{said}");
    assert!(said.ends_with("hidden shown 0"), "{said}");
    assert!(!said.contains("sesame"), "{said}");
    let interrupted = terminal("open\\x03");
    assert!(interrupted.ends_with("hidden shown -2"), "{interrupted}");
}

#[test]
fn machine_with_an_address_of_version_6_does_all() {
    let operator = Operator::new();
    let host = operator.machine("host");
    let addresses = host
        .ssh("ip -6 -o addr show scope link | head -1")
        .success();
    let address = addresses
        .split_whitespace()
        .find_map(|word| word.split_once('/').map(|(address, _)| address.to_owned()))
        .expect("an address");
    let route = Command::new("ip")
        .args(["route", "get", &host.ip()])
        .output()
        .expect("ip");
    let route = String::from_utf8_lossy(&route.stdout).into_owned();
    let device = route
        .split_whitespace()
        .skip_while(|word| *word != "dev")
        .nth(1);
    let address = format!("{address}%{}", device.expect("a device"));
    host.ssh("pkill -f '[b]erthd watch'; pkill -f '[b]erthd serve'; rm -rf /etc/berth /usr/local/bin/berthd; true")
        .success();
    let other = Operator::new();
    let key = private_key(&host).display().to_string();
    let create = [
        "machine",
        "create",
        "-d",
        "generic",
        "--generic-ip-address",
        &address,
        "--generic-ssh-key",
        &key,
        "six",
    ];
    other.berth(&create).success();
    let six = other.existing("six");
    assert_eq!(
        six.ssh("echo $SSH_CONNECTION | cut -c1-4").success(),
        "fe80"
    );
    let url = other.berth(&["machine", "url", "six"]).success();
    assert_eq!(url, format!("tcp://[{address}]:2376"));
    let ps = six.berth(&["ps"]);
    // Straight to its port: nothing is said of a detour.
    assert!(!ps.stderr().contains("ssh"), "{ps:?}");
    ps.success();
    let listed = other.berth(&["machine", "ls"]).success();
    assert!(listed.contains("Running"), "{listed}");
    fs::write(other.home().join("x"), "six").expect("file");
    other
        .berth(&["machine", "scp", "x", "six:/srv/x"])
        .success();
    assert_eq!(six.ssh("cat /srv/x").success(), "six");
    let system = other.berth(&["machine", "ssh", "--system-ssh", "six", "echo", "ok"]);
    assert_eq!(system.success(), "ok");
}
