//! Berth's drivers as plugins, driven by a client that is not berth's.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed, and should say where"
)]

mod support;

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{FIXTURES, HELPER, is_alive, wait_until};
use tempfile::TempDir;

/// The helper under a plugin's name.
fn plugin(folder: &Path, name: &str) -> PathBuf {
    let link = folder.join(format!("docker-machine-driver-{name}"));
    symlink(HELPER, &link).unwrap();
    link
}

/// Drives a plugin with calls and returns the client's report.
fn drive(plugin: &Path, calls: &Value) -> Value {
    let output = Command::new("python3")
        .args(["-B", &format!("{FIXTURES}/plugin_client.py")])
        .arg(plugin)
        .arg(calls.to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The configuration that docker-machine begins with.
fn base(folder: &TempDir) -> Value {
    json!({"IPAddress": "", "MachineName": "t1", "SSHUser": "", "SSHPort": 0, "SSHKeyPath": "",
           "StorePath": folder.path(), "SwarmMaster": false, "SwarmHost": "", "SwarmDiscovery": ""})
}

fn options() -> Value {
    json!({"options": {"files-user": "sailor", "files-port": 2222, "files-note": "", "files-panic": false,
                       "files-tag": ["a", "b"], "swarm-host": "tcp://0.0.0.0:3376", "swarm-master": false}})
}

fn call(method: &str) -> Value {
    json!([format!("RPCServerDriver.{method}"), null])
}

#[test]
fn a_machine_is_made_and_removed_as_docker_machine_does_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("machines/t1")).unwrap();
    let plugin = plugin(folder.path(), "files");
    let created = drive(
        &plugin,
        &json!([
            call("GetVersion"),
            ["RPCServerDriver.SetConfigRaw", {"json": base(&folder)}],
            call("GetMachineName"),
            call("DriverName"),
            call("GetCreateFlags"),
            ["RPCServerDriver.SetConfigFromFlags", options()],
            call("PreCreateCheck"),
            call("GetConfigRaw"),
            call("GetIP"),
            call("Create"),
            call("GetConfigRaw"),
            call("GetState"),
            call("GetIP"),
            call("GetURL"),
            call("GetSSHHostname"),
            call("GetSSHPort"),
            call("GetSSHKeyPath"),
            call("GetSSHUsername"),
            call("Heartbeat"),
            call("Upgrade"),
            ["Nonsense", null],
            ["Other.GetIP", null],
            call("Stop"),
            call("GetState"),
            call("Restart"),
            ["RpcServerDriver.GetVersion", null],
            call("Close"),
        ]),
    );
    let results = created["results"].as_array().unwrap();
    let value = |at: usize| &results[at]["value"];
    let error = |at: usize| results[at]["error"].as_str().unwrap_or("no error");
    assert_eq!(created["handshake"], "HTTP/1.0 200 Connected to Go RPC\n\n");
    assert_eq!(*value(0), 1);
    assert_eq!((value(2), value(3)), (&json!("t1"), &json!("files")));
    assert_eq!(
        value(4).to_string(),
        json!([
            {"Name": "files-user", "Usage": "User", "EnvVar": "FILES_USER", "Value": "root"},
            {"Name": "files-port", "Usage": "Port", "Value": 22},
            {"Name": "files-note", "Usage": "Note"},
            {"Name": "files-panic", "Usage": "Panic in the middle of a creation"},
            {"Name": "files-tag", "Usage": "Tags", "Value": ["usual"]}
        ])
        .to_string()
    );
    assert_eq!(value(7)["SSHPort"], 2222);
    assert_eq!(value(7)["Tags"], json!(["a", "b"]));
    assert_eq!(value(7)["SwarmHost"], "tcp://0.0.0.0:3376");
    assert_eq!(error(8), "the machine has no address yet (create it)");
    assert_eq!(value(10)["IPAddress"], "127.0.0.9");
    assert_eq!(*value(11), 1);
    assert_eq!(*value(13), "tcp://127.0.0.9:2376");
    assert_eq!((value(15), value(16)), (&json!(22), &json!("/keys/one")));
    assert_eq!(error(19), "rpc: can't find method RPCServerDriver.Upgrade");
    assert_eq!(
        error(20),
        "rpc: service/method request ill-formed: Nonsense"
    );
    assert_eq!(error(21), "rpc: can't find service Other.GetIP");
    assert_eq!(*value(23), 4);
    assert_eq!(error(24), "127.0.0.9 cannot be rebooted");
    assert_eq!(*value(25), 1);
    assert_eq!(created["status"], 0);
    assert_eq!(created["stdout"], "Writing the machine's file\n");
    let errors = created["stderr"].as_str().unwrap();
    assert!(
        errors.ends_with("Closing plugin on server side\n"),
        "{errors}"
    );

    // Byte for byte what Go sends.
    let wire = created["wire"].as_str().unwrap();
    assert!(
        wire.starts_with(
            "3aff8103010108526573706f6e736501ff82000103010d536572766963654d6574686f64010c00010353657101060001054572726f72010c000000\
             1fff82011a5250435365727665724472697665722e47657456657273696f6e00\
             03040002"
        ),
        "{wire}"
    );

    let removed = drive(
        &plugin,
        &json!([
            call("GetVersion"),
            ["RPCServerDriver.SetConfigRaw", {"json": value(10)}],
            call("Remove"),
            call("GetState"),
            call("Close"),
        ]),
    );
    assert_eq!(removed["results"][3]["value"], 0);
}

#[test]
fn what_goes_wrong_is_told_and_is_not_the_end() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("machines/t1")).unwrap();
    let mut panicking = options();
    panicking["options"]["files-panic"] = json!(true);
    let report = drive(
        &plugin(folder.path(), "files"),
        &json!([
            ["RPCServerDriver.SetConfigRaw", {"json": []}],
            ["RPCServerDriver.SetConfigRaw", null],
            ["RPCServerDriver.SetConfigRaw", {"json": base(&folder)}],
            ["RPCServerDriver.SetConfigFromFlags", {"options": {"files-user": "", "files-tag": []}}],
            ["RPCServerDriver.SetConfigFromFlags", panicking],
            call("Create"),
            call("GetConfigRaw"),
            call("Close"),
        ]),
    );
    let results = report["results"].as_array().unwrap();
    let error = |at: usize| results[at]["error"].as_str().unwrap_or("no error");
    assert_eq!(error(0), "the configuration is no JSON object");
    assert_eq!(error(1), "the configuration is no list of bytes");
    assert_eq!(error(3), "flag --files-user needs a user");
    assert!(
        error(5).starts_with("Panic in the driver: "),
        "{}",
        error(5)
    );
    assert_eq!(results[6]["value"]["Made"], true, "what was made is known");
    assert_eq!(report["status"], 0);
}

fn run(plugin: &Path, token: Option<&str>) -> Output {
    let mut command = Command::new(plugin);
    command
        .env_remove("MACHINE_PLUGIN_TOKEN")
        .stdin(Stdio::null());
    if let Some(token) = token {
        command.env("MACHINE_PLUGIN_TOKEN", token);
    }
    command.output().unwrap()
}

#[test]
fn by_hand_it_says_what_docker_machines_plugins_say() {
    let folder = tempfile::tempdir().unwrap();
    let by_hand = run(&plugin(folder.path(), "files"), None);
    assert_eq!(by_hand.status.code(), Some(1));
    assert!(by_hand.stdout.is_empty());
    assert_eq!(
        String::from_utf8(by_hand.stderr).unwrap(),
        "This is a Docker Machine plugin binary.\n\
         Plugin binaries are not intended to be invoked directly.\n\
         Please use this plugin through the main 'docker-machine' binary.\n\
         (API version: 1)\n"
    );
    let unknown = run(&plugin(folder.path(), "unknown"), Some("42"));
    assert_eq!(unknown.status.code(), Some(1));
    let said = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(said, "berth has no driver \"unknown\"; it has files\n");
}

#[test]
fn without_heartbeats_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let mut served = Command::new(plugin(folder.path(), "files"))
        .env("MACHINE_PLUGIN_TOKEN", "42")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begin = std::time::Instant::now();
    let status = served.wait().unwrap();
    assert_eq!(status.code(), Some(1));
    let took = begin.elapsed().as_secs_f32();
    assert!((9.0..15.0).contains(&took), "after {took} s");
    wait_until("it is gone", || !is_alive(served.id()));
}
