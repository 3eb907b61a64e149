//! Hooks: when they run, where, with what, and what their failure means.

use std::fs;

use serde_json::{Value, json};

use crate::support::{BOTH, Bundle, Runtime, reap};

const ALL: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// A hook that notes its name, the status that it reads, and whether it is in the container's mount namespace.
fn note(bundle: &Bundle, name: &str) -> Value {
    // The hook before the command sees the container's root only, which has the file at another path.
    let file = if name == "startContainer" {
        "/work/notes".to_owned()
    } else {
        bundle.rootfs().join("work/notes").display().to_string()
    };
    let script = format!(
        "status=$(grep -o '\"status\": *\"[a-z]*\"' | grep -o '[a-z]*\"$'); \
         [ -e /bin/busybox ] && [ ! -e /usr ] && where=container || where=machine; \
         echo \"{name} $status $where $A\" >> {file}"
    );
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["A=b", "PATH=/usr/bin:/bin"]}])
}

#[test]
fn all_hooks_run_in_their_order_and_places() {
    let mut seen = Vec::new();
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "true");
        let hooks: serde_json::Map<String, Value> = ALL
            .iter()
            .map(|name| ((*name).to_owned(), note(&bundle, name)))
            .collect();
        bundle.spec["hooks"] = Value::Object(hooks);
        let notes = bundle.rootfs().join("work/notes");
        let read = || fs::read_to_string(&notes).expect("notes");
        let pid = bundle.create();
        let after_create = read().lines().count();
        bundle.start();
        reap(pid);
        let after_start = read().lines().count();
        bundle.works(&["delete", &bundle.id]);
        seen.push((after_create, after_start, read()));
    }
    let (ours, runcs) = (&seen[0], &seen[1]);
    assert_eq!((ours.0, ours.1), (3, 5));
    // Which status prestart hooks see differs between versions of runc; names, order and places do not.
    let without_status = |text: &str| {
        let word = |line: &str, n: usize| line.split(' ').nth(n).unwrap_or_default().to_owned();
        text.lines()
            .map(|line| (word(line, 0), word(line, 2), word(line, 3)))
            .collect::<Vec<_>>()
    };
    // This version of runc does not wait for the hooks of the command's side before it runs those after the start.
    let sorted = |text: &str| {
        let mut lines = without_status(text);
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(&ours.2), sorted(&runcs.2));
    let names = without_status(&ours.2).into_iter().map(|(name, ..)| name);
    assert_eq!(names.collect::<Vec<_>>(), ALL);
    assert!(
        ours.2.contains("createRuntime creating\" machine b"),
        "{}",
        ours.2
    );
    assert!(
        ours.2.contains("startContainer created\" container b"),
        "{}",
        ours.2
    );
    assert!(
        ours.2.contains("poststart running\"") && ours.2.contains("poststop stopped\""),
        "{}",
        ours.2
    );
}

#[test]
fn a_failing_hook_before_the_command_ends_the_container() {
    for runtime in BOTH {
        for name in ["prestart", "createRuntime", "createContainer"] {
            let mut bundle = Bundle::new(runtime, "true");
            bundle.spec["hooks"] =
                json!({name: [{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]});
            let (status, error) = bundle.try_create(&[]);
            assert!(!status.success(), "{runtime:?} {name}: {error}");
            bundle.fails(&["state", &bundle.id]);
        }
        let mut bundle = Bundle::new(runtime, "touch /tmp/ran");
        bundle.spec["hooks"] =
            json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}]});
        let pid = bundle.create();
        // This version of runc does not tell.
        let told = bundle.call(&["start", &bundle.id]);
        assert!(!told.status.success() || runtime == Runtime::Runc);
        reap(pid);
        assert!(!bundle.rootfs().join("tmp/ran").exists(), "{runtime:?}");
        assert_eq!(bundle.state()["status"], json!("stopped"));
    }
}

#[test]
fn a_failing_hook_after_the_end_is_a_warning() {
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "true");
        bundle.spec["hooks"] = json!({"poststop": [{"path": "/bin/false", "args": ["false"]}]});
        assert_eq!(bundle.run().0, 0, "{runtime:?}");
        bundle.fails(&["state", &bundle.id]);
    }
}
