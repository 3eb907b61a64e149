//! Attacks on the runtime by a container: published ways out, with an attacker at work while containers start.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use berth_agent_runtime::{AttachFrom, Running};
use serde_json::json;

use crate::intruder::may_trace;
use crate::support::{
    Container, attach, edit, end, exec_request, read_all, read_until, supervisor_of, within,
};

/// Starts that an attacker gets to spoil.
const STARTS: usize = 12;

/// A container that exchanges names in a volume, at `/v`, for each other.
async fn exchanger(container: &Container, volume: &Path, names: &[&str]) -> Running {
    let program = container.layer().join("intruder");
    fs::copy(env!("CARGO_BIN_EXE_berth-test-intruder"), program).expect("the program");
    let command = [&["/intruder", "exchange"], names].concat();
    let mut request = container.request(&command);
    edit(&mut request, |spec| {
        let mounts = spec["mounts"].as_array_mut().expect("list");
        mounts.push(
            json!({"destination": "/v", "type": "bind", "source": volume, "options": ["rbind"]}),
        );
    });
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "ready").await;
    running
}

/// CVE-2021-30465, CVE-2024-45310: a mount's target is exchanged for a link to the machine while the mount, or the
/// directory for it, is made.
#[tokio::test]
async fn a_target_that_becomes_a_link_while_it_is_mounted_leads_nowhere() {
    let attacker = Container::new();
    let (volume, outside) = (
        attacker.dir.path().join("volume"),
        attacker.dir.path().join("outside"),
    );
    fs::create_dir_all(volume.join("target")).expect("volume");
    fs::create_dir(&outside).expect("outside");
    symlink(&outside, volume.join("link")).expect("link");
    let running = exchanger(&attacker, &volume, &["/v/target", "/v/link"]).await;
    let victim = Container::new();
    let mut n_led_out = 0;
    for round in 0..STARTS {
        let mut request = victim.script("true");
        edit(&mut request, |spec| {
            let mounts = spec["mounts"].as_array_mut().expect("list");
            mounts.push(json!({"destination": "/v", "type": "bind", "source": volume, "options": ["rbind"]}));
            let place = format!("/v/target/mounted-{round}");
            mounts.push(json!({"destination": place, "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]}));
        });
        // A start that loses its target meanwhile fails, which is no way out.
        if let Ok(running) = within(victim.runtime.start(request)).await {
            end(&running).await;
        }
        // What a runtime would do that looks paths up like anybody else.
        for attempt in 0..200 {
            let naive = volume.join(format!("target/naive-{round}-{attempt}"));
            drop(fs::create_dir(naive));
        }
        n_led_out += fs::read_dir(&outside).expect("outside").count();
        for entry in fs::read_dir(&outside)
            .expect("outside")
            .filter_map(Result::ok)
        {
            let name = entry.file_name();
            assert!(
                !name.to_string_lossy().starts_with("mounted"),
                "{} is outside",
                name.display()
            );
            fs::remove_dir(entry.path()).expect("removal");
        }
    }
    running.signal(libc::SIGKILL).await.expect("it runs");
    end(&running).await;
    // Otherwise the attacker was too slow for anything to be shown.
    assert!(n_led_out > 0, "the exchange never led anybody out");
}

/// CVE-2025-31133, CVE-2025-52565: what masks and consoles are made of is exchanged for links meanwhile.
#[tokio::test]
async fn masks_and_console_hold_while_devices_are_exchanged_for_links() {
    let attacker = Container::new();
    let volume = attacker.dir.path().join("volume");
    for name in ["pts", "shm", "mqueue"] {
        fs::create_dir_all(volume.join(name)).expect("volume");
    }
    let bait = attacker.dir.path().join("bait");
    fs::write(&bait, "untouched").expect("bait");
    for name in ["null", "console"] {
        fs::write(volume.join(name), "").expect("file");
        symlink(&bait, volume.join(format!("{name}-link"))).expect("link");
    }
    let names = ["/v/null", "/v/null-link", "/v/console", "/v/console-link"];
    let running = exchanger(&attacker, &volume, &names).await;
    let victim = Container::new();
    let mut n_started = 0;
    for _ in 0..STARTS {
        let script = "stat -c %t:%T /proc/version; ls /sys/class | wc -l; (echo x > /proc/sys/kernel/hostname) || echo refused";
        let mut request = victim.script(script);
        edit(&mut request, |spec| {
            spec["process"]["terminal"] = json!(true);
            spec["linux"]["maskedPaths"] = json!(["/proc/version", "/sys/class"]);
            let mounts = spec["mounts"].as_array_mut().expect("list");
            let dev = mounts
                .iter_mut()
                .find(|mount| mount["destination"] == "/dev")
                .expect("/dev");
            *dev = json!({"destination": "/dev", "type": "bind", "source": volume, "options": ["rbind"]});
        });
        // One that meets a link where its console should be may fail; it may not show what was to be hidden.
        let Ok(started) = within(victim.runtime.start(request)).await else {
            continue;
        };
        n_started += 1;
        let mut attachment = attach(&started, AttachFrom::Start, false).await;
        let output = read_all(&mut attachment.output).await;
        end(&started).await;
        let lines = output.lines().map(str::trim_end);
        let lines: Vec<&str> = lines.filter(|l| !l.contains("can't create")).collect();
        assert_eq!(lines, ["1:3", "0", "refused"], "{output}");
    }
    running.signal(libc::SIGKILL).await.expect("it runs");
    end(&running).await;
    assert!(n_started > 0);
    assert_eq!(fs::read_to_string(&bait).expect("bait"), "untouched");
}

/// A process of the machine, to be written to by mistake.
struct Bystander(Child);

impl Drop for Bystander {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// CVE-2025-52881: a kernel parameter's file is covered by another file of procfs, so that the value goes there.
#[tokio::test]
async fn kernel_parameters_are_not_written_elsewhere_in_procfs() {
    let bystander = Command::new("/bin/sleep")
        .arg("1000")
        .spawn()
        .expect("sleep");
    let bystander = Bystander(bystander);
    let file = format!("/proc/{}/oom_score_adj", bystander.0.id());
    let container = Container::new();
    let mut request = container.request(&["true"]);
    edit(&mut request, |spec| {
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        let mounts = spec["mounts"].as_array_mut().expect("list");
        let place = "/proc/sys/net/ipv4/ip_forward";
        mounts.push(
            json!({"destination": place, "type": "bind", "source": file, "options": ["bind"]}),
        );
    });
    let error = container.fail(request).await.to_string();
    assert!(error.contains("is inside /proc"), "{error}");
    assert_eq!(fs::read_to_string(&file).expect("score"), "0\n");
    // The same value in its own place, without the cover.
    let mut request = container.script("cat /proc/sys/net/ipv4/ip_forward");
    edit(&mut request, |spec| {
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    });
    assert_eq!(container.run(request).await.1, "1\n");
    // A parameter that is the machine's is nobody's to set.
    let mut request = container.request(&["true"]);
    edit(&mut request, |spec| {
        spec["linux"]["sysctl"] = json!({"kernel.panic_on_oops": "1"});
    });
    let error = container.fail(request).await;
    assert!(error.to_string().contains("is the machine's"), "{error}");
}

/// CVE-2019-5736: the runtime's executable, opened from inside by the init that runs it, and then written.
#[tokio::test]
async fn the_executable_of_the_init_is_not_written_from_inside() {
    let container = Container::new();
    let script = "exec 3</proc/1/exe && echo opened; (echo x >> /proc/self/fd/3) && echo written; \
                  (echo x >> /proc/1/exe) && echo written; echo end; sleep 1000";
    let mut request = container.script(script);
    request.init = true;
    // Without this right it cannot even be opened.
    edit(&mut request, |spec| may_trace(&mut spec["process"]));
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    let output = read_until(&mut attachment.output, "end").await;
    assert!(
        output.contains("opened\n") && !output.contains("written"),
        "{output}"
    );
    // It is refused for being in use before it is refused for its mount, which is what counts once it is not.
    let executable = fs::File::open(format!("/proc/{}/exe", running.pid())).expect("executable");
    let mount = nix::sys::statvfs::fstatvfs(&executable).expect("mount");
    assert!(
        mount
            .flags()
            .contains(nix::sys::statvfs::FsFlags::ST_RDONLY)
    );
    running.signal(libc::SIGKILL).await.expect("it runs");
    end(&running).await;
}

/// CVE-2019-5736: commands that are `#!/proc/self/exe`, so that the runtime executes itself inside.
#[tokio::test]
async fn a_runtime_that_executes_itself_inside_is_not_written() {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_berth-test-supervisor"));
    let before = fs::metadata(&program).expect("program");
    let container = Container::new();
    let script = container.layer().join("evil");
    fs::write(&script, "#!/proc/self/exe\n").expect("script");
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("mode");
    // It is our program, which finds no order to follow.
    let (record, _) = container.run(container.request(&["/evil"])).await;
    assert_ne!(record.code, 0);
    let hunt = "n=0; echo up; while [ $n -lt 4000 ]; do n=$((n+1)); for e in /proc/[0-9]*/exe; do \
                case $(readlink $e) in /bin/*|'') ;; *) (echo x >> $e) 2>&1;; esac; done; done";
    let mut request = container.script(hunt);
    edit(&mut request, |spec| may_trace(&mut spec["process"]));
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    read_until(&mut attachment.output, "up").await;
    for _ in 0..STARTS {
        if let Ok(command) = within(running.exec(exec_request(&["/evil"]))).await {
            within(command.handle.wait()).await;
        }
    }
    running.signal(libc::SIGKILL).await.expect("it runs");
    end(&running).await;
    let after = fs::metadata(&program).expect("program");
    assert_eq!(
        (before.len(), before.mtime(), before.mtime_nsec()),
        (after.len(), after.mtime(), after.mtime_nsec())
    );
}

/// CVE-2020-15257: sockets without a file are everybody's in the same network namespace.
#[tokio::test]
async fn no_socket_of_ours_is_reachable_with_the_machines_network() {
    let container = Container::new();
    let mut request = container.script("cat /proc/net/unix; echo end; sleep 1000");
    edit(&mut request, |spec| {
        let list = spec["linux"]["namespaces"].as_array_mut().expect("list");
        list.retain(|entry| entry["type"] != "network");
    });
    let running = container.start(request).await;
    let mut attachment = attach(&running, AttachFrom::Start, false).await;
    let table = read_until(&mut attachment.output, "end").await;
    let supervisor = supervisor_of(&running);
    let mut n_sockets = 0;
    for entry in fs::read_dir(format!("/proc/{supervisor}/fd"))
        .expect("descriptors")
        .filter_map(Result::ok)
    {
        let link = fs::read_link(entry.path()).unwrap_or_default();
        let Some(inode) = link.to_str().and_then(|l| l.strip_prefix("socket:[")) else {
            continue;
        };
        n_sockets += 1;
        let inode = format!(" {} ", inode.trim_end_matches(']'));
        let line = table
            .lines()
            .find(|line| format!("{line} ").contains(&inode));
        let name = line.and_then(|line| line.split_whitespace().nth(7));
        assert!(!name.is_some_and(|name| name.starts_with('@')), "{name:?}");
    }
    assert!(
        n_sockets >= 2,
        "the supervisor has a listener and the agent"
    );
    let socket = container.run_dir().join("supervisor.sock");
    let inside = PathBuf::from(format!("/proc/{}/root{}", running.pid(), socket.display()));
    assert!(socket.exists() && !inside.exists());
    let mode = fs::metadata(container.run_dir()).expect("directory").mode();
    assert_eq!(mode & 0o077, 0);
    running.signal(libc::SIGKILL).await.expect("it runs");
    end(&running).await;
}

/// CVE-2022-24769: programs with inheritable file capabilities gain nothing, whoever the user is.
#[tokio::test]
async fn nothing_is_inheritable_or_ambient_for_any_user() {
    for uid in [0, 1000] {
        let container = Container::new();
        let mut request = container.script("grep -E 'CapInh|CapAmb' /proc/self/status");
        edit(&mut request, |spec| {
            spec["process"]["user"] = json!({"uid": uid, "gid": uid});
            if uid != 0 {
                spec["process"]["capabilities"]["effective"] = json!([]);
                spec["process"]["capabilities"]["permitted"] = json!([]);
            }
        });
        let output = container.run(request).await.1;
        assert_eq!(
            output,
            "CapInh:\t0000000000000000\nCapAmb:\t0000000000000000\n"
        );
    }
}
