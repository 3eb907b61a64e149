//! Ways out of containers that were found in other runtimes, each closed here.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::symlink;

use berth_agent_runtime::{FailureKind, StartError};
use serde_json::json;

use crate::support::{Container, edit, end, exec_request, read_all, supervisor_of, within};

fn message(error: &StartError) -> String {
    error.to_string()
}

#[tokio::test]
async fn no_descriptor_reaches_the_container() {
    let container = Container::new();
    assert_eq!(
        container.run_script("ls /proc/1/fd; true").await,
        "0\n1\n2\n"
    );
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let mut command = within(running.exec(exec_request(&["sh", "-c", "ls /proc/$$/fd; true"])))
        .await
        .unwrap();
    assert_eq!(
        read_all(&mut command.attachment.take().unwrap().output).await,
        "0\n1\n2\n"
    );
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

/// CVE-2024-21626: a working directory that is a descriptor of the runtime.
#[tokio::test]
async fn a_working_directory_cannot_be_a_leaked_descriptor() {
    let container = Container::new();
    for number in 3..20 {
        let mut request = container.script("pwd; ls");
        edit(&mut request, |spec| {
            spec["process"]["cwd"] = json!(format!("/proc/self/fd/{number}"));
        });
        let error = container.fail(request).await;
        assert!(
            matches!(
                error.kind(),
                FailureKind::WorkingDirectory | FailureKind::Other
            ),
            "{error}"
        );
    }
    symlink("/proc/self/fd/7", container.layer().join("link")).unwrap();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let mut request = exec_request(&["ls"]);
    request.process.set_cwd("/link".into());
    assert_eq!(
        within(running.exec(request)).await.unwrap_err().kind(),
        FailureKind::WorkingDirectory
    );
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

/// CVE-2019-5736: overwriting the runtime through `/proc/PID/exe`.
#[tokio::test]
async fn the_supervisors_executable_cannot_be_written_through_procfs() {
    let container = Container::new();
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let parent = supervisor_of(&running);
    let executable = fs::File::open(format!("/proc/{parent}/exe")).unwrap();
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
    let mount = nix::sys::statvfs::fstatvfs(&executable).unwrap().flags();
    assert!(mount.contains(nix::sys::statvfs::FsFlags::ST_RDONLY));
    // Supervisors of other tests run the same file, which is another reason not to write it.
    let path = format!(
        "/proc/self/fd/{}",
        std::os::fd::AsRawFd::as_raw_fd(&executable)
    );
    let error = fs::File::options().write(true).open(path).unwrap_err();
    assert!(
        matches!(
            error.kind(),
            ErrorKind::ReadOnlyFilesystem | ErrorKind::ExecutableFileBusy
        ),
        "{error}"
    );
}

/// CVE-2019-19921, CVE-2023-27561: `/proc` of the image is a link to somewhere else.
#[tokio::test]
async fn procfs_is_not_mounted_through_a_link() {
    for name in ["proc", "sys"] {
        let container = Container::new();
        fs::create_dir(container.layer().join("elsewhere")).unwrap();
        symlink("/elsewhere", container.layer().join(name)).unwrap();
        let error = container.fail(container.request(&["true"])).await;
        assert!(
            message(&error).starts_with(&format!("mounting: /{name}: ")),
            "{error}"
        );
    }
}

/// CVE-2021-30465, CVE-2019-16884: mounts that go through links of the image end up in the image.
#[tokio::test]
async fn mount_targets_that_are_links_stay_inside() {
    let container = Container::new();
    let outside = container.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    symlink(&outside, container.layer().join("absolute")).unwrap();
    symlink("../../../../..", container.layer().join("up")).unwrap();
    let mut request = container.script("cat /absolute/x/passwd; mount | grep -c /x");
    edit(&mut request, |spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        let source = container.layer().join("etc");
        for destination in ["/absolute/x", "/up/up/x"] {
            mounts.push(json!({"destination": destination, "type": "bind", "source": source, "options": ["rbind"]}));
        }
    });
    let (record, output) = container.run(request).await;
    assert_eq!(
        (record.code, output.as_str()),
        (0, "root:x:0:0::/:/bin/sh\n2\n")
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!fs::exists("/x").unwrap());
}

/// CVE-2025-31133, CVE-2025-52565: masks and the console are made of the machine's own files.
#[tokio::test]
async fn masks_hold_although_the_image_brings_its_own_null_and_console() {
    let container = Container::new();
    fs::create_dir(container.layer().join("dev")).unwrap();
    fs::write(container.layer().join("target"), "").unwrap();
    symlink("/proc/sysrq-trigger", container.layer().join("dev/null")).unwrap();
    symlink(
        "/proc/sys/kernel/core_pattern",
        container.layer().join("dev/console"),
    )
    .unwrap();
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let script = "head -c 8 /proc/version | wc -c; ls /sys/class | wc -l; stat -c %t:%T /proc/version; \
                  echo x > /proc/sys/kernel/hostname || echo refused; test -t 0 && echo terminal";
    let mut request = container.script(script);
    edit(&mut request, |spec| {
        spec["process"]["terminal"] = json!(true);
        spec["linux"]["maskedPaths"] = json!(["/proc/version", "/sys/class", "/proc/not/there"]);
        // The image's own /dev, with the links above, instead of a fresh one.
        spec["mounts"]
            .as_array_mut()
            .unwrap()
            .retain(|mount| mount["destination"] != "/dev");
    });
    let (_, output) = container.run(request).await;
    let lines: Vec<&str> = output
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.contains("can't create"))
        .collect();
    assert_eq!(lines, ["0", "0", "1:3", "refused", "terminal"], "{output}");
    assert_eq!(
        fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap(),
        pattern
    );
}

/// A volume over `/proc` must not leave the real one reachable unmasked.
#[tokio::test]
async fn masks_refuse_a_procfs_that_is_none() {
    let container = Container::new();
    let volume = container.dir.path().join("volume");
    fs::create_dir_all(volume.join("scsi")).unwrap();
    let mut request = container.request(&["true"]);
    edit(&mut request, |spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.push(
            json!({"destination": "/proc", "type": "bind", "source": volume, "options": ["rbind"]}),
        );
    });
    let error = container.fail(request).await;
    assert!(
        message(&error).contains("cannot be mounted because it is inside /proc"),
        "{error}"
    );
}

/// CVE-2022-29162: capabilities that programs inherit.
#[tokio::test]
async fn capabilities_are_those_asked_for_and_none_is_inheritable() {
    let container = Container::new();
    let script = "grep -E 'Cap(Inh|Eff|Bnd|Amb)|NoNewPrivs|Seccomp:' /proc/self/status";
    let output = container.run_script(script).await;
    assert_eq!(
        output,
        "CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nCapAmb:\t0000000000000000\n\
         NoNewPrivs:\t0\nSeccomp:\t2\n"
    );
    let running = container.start(container.request(&["sleep", "1000"])).await;
    let mut command = within(running.exec(exec_request(&["sh", "-c", script])))
        .await
        .unwrap();
    let seen = read_all(&mut command.attachment.take().unwrap().output).await;
    assert!(
        seen.contains("CapInh:\t0000000000000000\nCapEff:\t00000000a80425fb")
            && seen.contains("Seccomp:\t2")
    );
    running.signal(libc::SIGKILL).await.unwrap();
    end(&running).await;
}

#[tokio::test]
async fn the_filter_and_no_new_privileges_are_in_force() {
    let container = Container::new();
    let mut request = container.script("unshare -U true 2>&1; grep NoNewPrivs /proc/self/status");
    edit(&mut request, |spec| {
        spec["process"]["noNewPrivileges"] = json!(true);
    });
    let (_, output) = container.run(request).await;
    assert_eq!(
        output,
        "unshare: unshare(0x10000000): Operation not permitted\nNoNewPrivs:\t1\n"
    );
    let mut request = container.script("grep Seccomp: /proc/self/status");
    request.seccomp = None;
    assert!(container.run(request).await.1.ends_with("Seccomp:\t0\n"));
}

#[tokio::test]
async fn the_machine_is_not_visible() {
    let container = Container::new();
    let script = "echo $$; hostname; ls /proc | grep -c '^[0-9]'; cat /proc/self/mountinfo";
    let output = container.run_script(script).await;
    let lines: Vec<&str> = output.lines().collect();
    assert_eq!(&lines[..2], ["1", "inside"]);
    assert!(lines[2].parse::<u32>().unwrap() <= 4, "{output}");
    assert!(
        !output.contains(container.dir.path().to_str().unwrap()),
        "{output}"
    );
    assert!(
        lines[3..].iter().all(|line| !line.contains(" - ext4 ")),
        "{output}"
    );
}

#[tokio::test]
async fn kernel_parameters_are_the_containers_own() {
    let container = Container::new();
    let mut request = container.script("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax");
    edit(&mut request, |spec| {
        spec["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4097"});
    });
    assert_eq!(container.run(request).await.1, "1\n4097\n");
    let mut request = container.request(&["true"]);
    edit(&mut request, |spec| {
        spec["linux"]["sysctl"] = json!({"net/../kernel/core_pattern": "|/x"});
    });
    assert!(
        message(&container.fail(request).await)
            .starts_with("setting kernel parameter: net/../kernel")
    );
}

#[tokio::test]
async fn control_groups_are_read_only_and_in_a_namespace_if_asked() {
    let container = Container::new();
    let mut request = container
        .script("echo 1 > /sys/fs/cgroup/pids/pids.max || echo refused; cat /proc/self/cgroup");
    edit(&mut request, |spec| {
        spec["linux"]["namespaces"]
            .as_array_mut()
            .unwrap()
            .push(json!({"type": "cgroup"}));
    });
    let (_, output) = container.run(request).await;
    assert!(output.contains("refused"), "{output}");
    assert!(
        output
            .lines()
            .filter(|line| line.contains(':') && !line.contains("create"))
            .all(|line| line.ends_with(":/")),
        "{output}"
    );
}

#[tokio::test]
async fn a_failed_step_is_named_with_its_object() {
    let container = Container::new();
    let mut request = container.request(&["true"]);
    edit(&mut request, |spec| {
        spec["mounts"].as_array_mut().unwrap().push(
            json!({"destination": "/x", "type": "bind", "source": "/no/such/place", "options": ["rbind"]}),
        );
    });
    let error = container.fail(request).await;
    assert_eq!(
        message(&error),
        "mounting: /no/such/place at /x: No such file or directory (os error 2)"
    );
    assert_eq!(error.kind(), FailureKind::Other);
}
