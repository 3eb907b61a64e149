//! What a container sees of itself is the same with both runtimes.

use std::fs;

use serde_json::{Value, json};

use crate::support::{BOTH, Bundle, Runtime};

/// Prints what a process can find out about its surroundings. Masks are compared by what they show: ours are made of the
/// machine's null device, this version of runc makes them of the container's.
const LOOK: &str = r#"
echo "== ids"; id; umask; grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:)' /proc/self/status
echo "== place"; pwd; hostname; env | sort
echo "== limits"; cat /proc/self/limits; cat /proc/self/oom_score_adj
echo "== descriptors"; ls /proc/$$/fd
echo "== dev"; ls -l /dev | awk '{print $1, $2, $3, $4, $5, $6, $NF}' | grep -v '^total' | sed 's/[A-Z][a-z][a-z] *[0-9]* .*://' | sort
echo "== masks"; for p in /proc/kcore /proc/keys /proc/timer_list; do stat -c '%n %t:%T %F' $p; done; ls -A /sys/firmware | wc -l
for p in /proc/sys/kernel/hostname /proc/sysrq-trigger; do (echo x > $p) 2>/dev/null && echo "$p written"; done
echo "== mounts"; awk '{n=7; while ($n != "-") n++; o=""; for (i=7;i<n;i++) {split($i,a,":"); o=o a[1] " "}; print $5, $6, $(n+1), "[" o "]"}' /proc/self/mountinfo | grep -Ev '^(/sys/fs/cgroup|/proc/(kcore|keys|timer_list) )' | sort
"#;

/// Runs a changed bundle through both runtimes and compares what they print; returns it.
fn same(script: &str, change: impl Fn(&mut Value, &Bundle)) -> String {
    let mut outcomes = Vec::new();
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, script);
        let mut spec = bundle.spec.take();
        change(&mut spec, &bundle);
        bundle.spec = spec;
        outcomes.push(bundle.run());
    }
    let runcs = outcomes.pop().expect("runc's");
    let ours = outcomes.pop().expect("ours");
    for (our, their) in ours.1.lines().zip(runcs.1.lines()) {
        assert_eq!(our, their, "ours, then runc's:\n{}\n{}", ours.1, runcs.1);
    }
    assert_eq!(ours, runcs);
    ours.1
}

#[test]
fn surroundings_without_anything_special() {
    let seen = same(LOOK, |_, _| {});
    assert!(seen.contains("CapEff:\t00000000000004e1"), "{seen}");
    assert!(
        seen.contains("inside\n") && seen.contains("NAME=value"),
        "{seen}"
    );
}

#[test]
fn user_groups_umask_directory_limits_and_rights() {
    let seen = same(LOOK, |spec, bundle| {
        fs::create_dir(bundle.rootfs().join("place")).expect("place");
        spec["process"]["user"] =
            json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 6], "umask": 0o027});
        spec["process"]["cwd"] = json!("/place");
        spec["process"]["noNewPrivileges"] = json!(true);
        spec["process"]["oomScoreAdj"] = json!(100);
        spec["process"]["rlimits"] = json!([
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NPROC", "soft": 300, "hard": 400}, {"type": "RLIMIT_CPU", "soft": 50, "hard": 60},
        ]);
        let some = json!(["CAP_KILL", "CAP_CHOWN"]);
        spec["process"]["capabilities"] = json!({"bounding": some, "permitted": some, "effective": some, "inheritable": some, "ambient": ["CAP_KILL"]});
        spec["root"]["readonly"] = json!(true);
    });
    assert!(
        seen.contains("uid=1000 gid=1001") && seen.contains("CapAmb:\t0000000000000020"),
        "{seen}"
    );
}

#[test]
fn mounts_of_all_kinds() {
    let script = format!(
        "{LOOK} echo '== files'; cat /bound/file /up/file; ls -l /up/file | cut -c1-10 2>/dev/null; \
         (echo x > /bound/file) 2>/dev/null || echo refused; stat -c '%a %n' /temporary /dev/shm"
    );
    let seen = same(&script, |spec, bundle| {
        let source = bundle.path("source");
        fs::create_dir_all(source.join("deep")).expect("source");
        fs::write(source.join("file"), "from the machine\n").expect("file");
        fs::create_dir(bundle.rootfs().join("up")).expect("up");
        fs::write(bundle.rootfs().join("up/file"), "from the image\n").expect("file");
        let more = json!([
            {"destination": "/bound", "type": "bind", "source": source, "options": ["rbind", "ro", "nosuid", "nodev"]},
            {"destination": "/flat", "type": "bind", "source": "source", "options": ["bind", "noexec", "rprivate"]},
            {"destination": "/etc/one", "type": "bind", "source": source.join("file"), "options": ["bind", "ro"]},
            {"destination": "/temporary", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "noatime", "mode=1700", "size=1m", "ro"]},
            {"destination": "/up", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "size=1m"]},
        ]);
        let mounts = spec["mounts"].as_array_mut().expect("mounts");
        mounts.extend(more.as_array().expect("list").iter().cloned());
    });
    assert!(
        seen.contains("from the machine\nfrom the image\n") && seen.contains("refused"),
        "{seen}"
    );
}

#[test]
fn devices_and_kernel_parameters() {
    let script = "stat -c '%a %u:%g %t:%T %F' /dev/own /dev/null; cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni; \
                  (head -c1 /dev/zero | wc -c); (echo x > /dev/own) 2>/dev/null || echo denied";
    let seen = same(script, |spec, _| {
        spec["linux"]["devices"] = json!([
            {"path": "/dev/own", "type": "c", "major": 1, "minor": 11, "fileMode": 0o640, "uid": 7, "gid": 8},
        ]);
        spec["linux"]["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rm"},
        ]);
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shmmni": "777"});
    });
    assert!(seen.starts_with("640 7:8 1:b"), "{seen}");
}

#[test]
fn a_filter_of_the_specification_is_in_force() {
    let script =
        "grep Seccomp: /proc/self/status; mkdir /tmp/x 2>&1; chmod 700 /tmp 2>&1; echo code $?";
    let seen = same(script, |spec, _| {
        spec["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"],
            "syscalls": [
                {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
                {"names": ["chmod", "fchmodat", "fchmod"], "action": "SCMP_ACT_ERRNO"},
            ],
        });
    });
    assert!(
        seen.contains("Seccomp:\t2") && seen.contains("No space left"),
        "{seen}"
    );
}

#[test]
fn limits_of_groups() {
    let files = [
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.soft_limit_in_bytes"),
        ("cpu", "cpu.shares"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.cfs_period_us"),
        ("pids", "pids.max"),
        ("cpuset", "cpuset.cpus"),
    ];
    let mut seen = Vec::new();
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, "true");
        let resources = &mut bundle.spec["linux"]["resources"];
        resources["memory"] = json!({"limit": 64 << 20, "reservation": 32 << 20});
        resources["cpu"] = json!({"shares": 300, "quota": 30_000, "period": 60_000, "cpus": "0"});
        resources["pids"] = json!({"limit": 33});
        let pid = bundle.create();
        let read = |(controller, file): &(&str, &str)| {
            let group = format!(
                "/sys/fs/cgroup/{controller}/berth-conformance/{}/{file}",
                bundle.id
            );
            fs::read_to_string(group).expect("a control file")
        };
        let members = format!(
            "/sys/fs/cgroup/pids/berth-conformance/{}/cgroup.procs",
            bundle.id
        );
        assert_eq!(
            fs::read_to_string(members).expect("members").trim(),
            pid.to_string()
        );
        seen.push(files.iter().map(read).collect::<Vec<_>>());
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0][5], "33\n");
}

#[test]
fn namespaces_are_new_or_those_of_the_paths() {
    let kinds = ["mnt", "net", "uts", "pid", "ipc", "cgroup"];
    let script = "for k in mnt net uts pid ipc cgroup; do readlink /proc/self/ns/$k; done";
    let mut seen = Vec::new();
    for runtime in BOTH {
        let mut bundle = Bundle::new(runtime, script);
        bundle.spec["linux"]["namespaces"] = json!([
            {"type": "mount"}, {"type": "pid"}, {"type": "uts"}, {"type": "cgroup"},
            {"type": "ipc", "path": format!("/proc/{}/ns/ipc", std::process::id())},
        ]);
        // Without a network namespace of its own sysfs is the machine's to mount.
        let (code, output) = bundle.run();
        assert_eq!(code, 0);
        let own = |kind: &&str| fs::read_link(format!("/proc/self/ns/{kind}")).expect("link");
        let is_shared = kinds
            .iter()
            .zip(output.lines())
            .map(|(kind, line)| own(kind).as_os_str() == line);
        seen.push(is_shared.collect::<Vec<_>>());
    }
    assert_eq!(seen[0], [false, true, false, false, true, false]);
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn states_tell_the_same() {
    let mut seen = Vec::new();
    for runtime in BOTH {
        let bundle = Bundle::new(runtime, "sleep 1000");
        let pid = bundle.create();
        let mut state = bundle.state();
        assert_eq!(state["pid"], json!(pid));
        assert_eq!(
            state["bundle"],
            json!(fs::canonicalize(bundle.dir.path()).expect("bundle"))
        );
        assert_eq!(state["id"], json!(bundle.id));
        let version = state["ociVersion"].as_str().expect("version").to_owned();
        assert!(version.starts_with("1."), "{version}");
        seen.push((state["status"].take(), state["annotations"].take()));
    }
    assert_eq!(
        seen[0],
        (json!("created"), json!({"org.example.key": "value"}))
    );
    assert_eq!(seen[0], seen[1]);
}

#[test]
fn a_domain_name_is_set_which_this_version_of_runc_cannot() {
    let mut bundle = Bundle::new(Runtime::Ours, "cat /proc/sys/kernel/domainname");
    bundle.spec["domainname"] = json!("example");
    assert_eq!(bundle.run(), (0, "example\n".to_owned()));
}

#[test]
fn features_are_told() {
    let bundle = Bundle::new(Runtime::Ours, "true");
    let features: Value = serde_json::from_str(&bundle.works(&["features"])).expect("JSON");
    assert_eq!(features["linux"]["seccomp"]["enabled"], json!(true));
    let hooks = features["hooks"].as_array().expect("hooks");
    assert_eq!(hooks.len(), 6);
}
