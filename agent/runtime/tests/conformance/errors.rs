//! What is wrong is said, and leaves nothing behind.

use std::fs;

use serde_json::{Value, json};

use crate::support::{BOTH, Bundle, Runtime, reap};

#[test]
fn commands_in_the_wrong_state_fail() {
    for runtime in BOTH {
        let bundle = Bundle::new(runtime, "sleep 1000");
        for command in ["start", "state", "kill", "delete"] {
            bundle.fails(&[command, &bundle.id]);
        }
        let pid = bundle.create();
        let (status, error) = bundle.try_create(&[]);
        assert!(
            !status.success() && error.contains("given ID already exists"),
            "{runtime:?}: {error}"
        );
        bundle.start();
        bundle.fails(&["start", &bundle.id]);
        bundle.fails(&["delete", &bundle.id]);
        bundle.fails(&["kill", &bundle.id, "NOSUCH"]);
        bundle.works(&["kill", &bundle.id, "KILL"]);
        reap(pid);
        bundle.fails(&["start", &bundle.id]);
        bundle.works(&["delete", &bundle.id]);
    }
}

#[test]
fn a_group_that_others_are_in_is_refused_and_they_live_on() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "true");
        let mut other = std::process::Command::new("sleep")
            .arg("1000")
            .spawn()
            .expect("sleep");
        let name = format!("berth-conformance/others-{}", bundle.id);
        let groups: Vec<_> = fs::read_dir("/sys/fs/cgroup")
            .expect("hierarchies")
            .map(|entry| entry.expect("entry").path().join(&name))
            .collect();
        for group in &groups {
            fs::create_dir_all(group.join("below")).expect("group");
            // Some need settings before anybody gets in.
            let _ = fs::write(group.join("cgroup.procs"), other.id().to_string());
        }
        bundle.spec["linux"]["cgroupsPath"] = json!(format!("/{name}"));
        let (status, error) = bundle.try_create(&[]);
        let ended = other.try_wait().expect("wait");
        let below = groups.iter().all(|group| group.join("below").exists());
        other.kill().expect("kill");
        other.wait().expect("wait");
        for group in &groups {
            // Two names may be of one hierarchy, and runc removes groups below.
            let _ = fs::remove_dir(group.join("below"));
            let _ = fs::remove_dir(group);
            assert!(!group.exists(), "{}", group.display());
        }
        assert!(!status.success(), "{runtime:?}");
        assert!(
            error.contains("cgroup is not empty"),
            "{runtime:?}: {error}"
        );
        assert!(ended.is_none(), "{runtime:?}: {ended:?}");
        assert!(
            below || runtime == Runtime::Runc,
            "groups of others are gone"
        );
    }
}

#[test]
fn names_that_are_none_are_refused() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "true");
        for id in ["..", "a/b", "a b", "\u{e9}"] {
            id.clone_into(&mut bundle.id);
            let (status, error) = bundle.try_create(&[]);
            assert!(!status.success(), "{runtime:?} {id:?}: {error}");
        }
        "gone".clone_into(&mut bundle.id);
    }
}

/// Fails to create a changed bundle with both runtimes; returns what ours says.
fn refused(change: impl Fn(&mut Value)) -> String {
    let mut said = String::new();
    for runtime in [Runtime::Runc, Runtime::Ours] {
        let mut bundle = Bundle::new(runtime, "true");
        change(&mut bundle.spec);
        let (status, error) = bundle.try_create(&[]);
        assert!(!status.success(), "{runtime:?} takes {}", bundle.spec);
        said = error;
        bundle.fails(&["state", &bundle.id]);
        let group = format!("/sys/fs/cgroup/pids/berth-conformance/{}", bundle.id);
        assert!(
            !fs::exists(group).expect("group"),
            "{runtime:?} leaves a group"
        );
    }
    said
}

#[test]
fn specifications_that_cannot_be_met_are_refused_and_leave_nothing() {
    let cases: [(&str, &str, Value); 9] = [
        (
            "/process/args",
            "executable file not found",
            json!(["no-such-command"]),
        ),
        ("/process/args", "permission denied", json!(["/etc/passwd"])),
        ("/process/cwd", "cwd", json!("relative")),
        ("/root/path", "root", json!("nowhere")),
        (
            "/linux/namespaces",
            "namespace",
            json!([{"type": "mount"}, {"type": "mount"}]),
        ),
        (
            "/linux/namespaces",
            "/nowhere",
            json!([{"type": "mount"}, {"type": "uts"}, {"type": "ipc", "path": "/nowhere"}]),
        ),
        (
            "/mounts/0",
            "no-such-type",
            json!({"destination": "/x", "type": "no-such-type", "source": "x"}),
        ),
        (
            "/mounts/0",
            "/no/such/place",
            json!({"destination": "/x", "type": "bind", "source": "/no/such/place", "options": ["bind"]}),
        ),
        (
            "/linux/sysctl",
            "kernel.panic",
            json!({"kernel.panic": "1"}),
        ),
    ];
    for (place, expected, value) in cases {
        let said = refused(|spec| {
            if spec.pointer(place).is_none() {
                spec["linux"]["sysctl"] = json!(null);
            }
            *spec.pointer_mut(place).expect("a place") = value.clone();
        });
        assert!(said.contains(expected), "{place}: {said}");
    }
}

#[test]
fn what_is_unknown_is_passed_over() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "echo fine");
        bundle.spec["vendorExtension"] = json!({"a": 1});
        bundle.spec["linux"]["intelRdt"] = json!(null);
        bundle.spec["process"]["unknown"] = json!(true);
        assert_eq!(bundle.run(), (0, "fine\n".to_owned()), "{runtime:?}");
    }
}

#[test]
fn errors_are_logged_for_programs() {
    for runtime in BOTH {
        let bundle = Bundle::new(runtime, "true");
        let log = bundle.path("log");
        bundle.fails(&[
            "--log",
            log.to_str().expect("path"),
            "--log-format",
            "json",
            "state",
            "nobody",
        ]);
        let text = fs::read_to_string(log).expect("log");
        let line: Value = serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
        assert_eq!(line["level"], json!("error"));
        assert!(
            line["msg"]
                .as_str()
                .expect("text")
                .contains("does not exist"),
            "{line}"
        );
    }
}
