//! The flags of `run` and `create`: what the agent gets, and what is refused before it is asked, in
//! the words of Docker's client.

use berth_proto::v1::{ContainerConfig, HostConfig};

use crate::program::{Place, berth};

/// Creates a container with these flags; returns what the agent was asked for.
fn created(flags: &[&str]) -> (ContainerConfig, HostConfig) {
    let place = Place::new();
    let id = place
        .run(&[&["create"], flags, &["box"]].concat())
        .success();
    let id = id.trim_end();
    let mut config = place
        .agent
        .seen
        .with(|state| state.containers[id].config.clone());
    let host = config.host.take().unwrap();
    (config, host)
}

/// Runs with flags that are refused; each must be with exit code 125 and say why.
fn refused(cases: &[(&[&str], &str)]) {
    let home = tempfile::tempdir().unwrap();
    for (flags, expected) in cases {
        let words = [&["run"], *flags, &["box"]].concat();
        let output = berth(&home, &words).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{flags:?}: {said}");
        let line = said.lines().next().unwrap_or_default();
        assert_eq!(line, format!("berth: {expected}"), "{flags:?}");
    }
}

#[test]
fn every_limit_reaches_the_agent() {
    let (_, host) = created(&[
        "-m=64m",
        "--memory-swap=-1",
        "--memory-reservation",
        "32m",
        "--memory-swappiness=0",
        "--oom-kill-disable",
        "--oom-score-adj",
        "-500",
        "--cpus=.5",
        "-c",
        "512",
        "--cpuset-cpus=0-1",
        "--cpuset-mems=0",
        "--cpu-period=100000",
        "--cpu-quota",
        "50000",
        "--cpu-rt-period=1000000",
        "--cpu-rt-runtime=950000",
        "--pids-limit",
        "-1",
        "--blkio-weight=300",
        "--blkio-weight-device=/dev/sda:200",
        "--device-read-bps=/dev/sda:1mb",
        "--device-write-bps=/dev/sda:2mb",
        "--device-read-iops=/dev/sda:10",
        "--device-write-iops=/dev/sda:20",
        "--ulimit=nproc=5",
        "--ulimit=nofile=1024:2048",
        "--device-cgroup-rule=c 10:229 rwm",
        "--cgroup-parent=/slice",
        "--kernel-memory=50m",
    ]);
    assert_eq!(
        (host.memory_bytes, host.nano_cpus, host.cpu_shares),
        (64 << 20, 500_000_000, 512)
    );
    assert_eq!((host.pids_limit, host.oom_score_adj), (-1, -500));
    let limits = host.resources.unwrap();
    assert_eq!(
        (limits.memory_swap_bytes, limits.memory_reservation_bytes),
        (-1, 32 << 20)
    );
    assert_eq!(
        (limits.memory_swappiness, limits.oom_kill_disable),
        (Some(0), Some(true))
    );
    assert_eq!(
        (limits.cpuset_cpus.as_str(), limits.cpuset_mems.as_str()),
        ("0-1", "0")
    );
    assert_eq!(
        (limits.cpu_period_micros, limits.cpu_quota_micros),
        (100_000, 50_000)
    );
    assert_eq!(limits.cpu_realtime_period_micros, 1_000_000);
    assert_eq!(limits.cpu_realtime_runtime_micros, 950_000);
    assert_eq!(limits.blkio_weight, 300);
    assert_eq!(limits.blkio_weight_device[0].weight, 200);
    assert_eq!(limits.device_read_bps[0].rate, 1 << 20);
    assert_eq!(limits.device_write_bps[0].rate, 2 << 20);
    assert_eq!(limits.device_read_iops[0].rate, 10);
    assert_eq!(limits.device_write_iops[0].path, "/dev/sda");
    let names: Vec<_> = limits.ulimits.iter().map(|limit| &limit.name).collect();
    assert_eq!(names, ["nofile", "nproc"]);
    assert_eq!(limits.device_cgroup_rules, ["c 10:229 rwm"]);
    assert_eq!(limits.cgroup_parent, "/slice");
}

#[test]
fn every_isolation_reaches_the_agent() {
    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("profile.json");
    std::fs::write(&profile, "{ \"defaultAction\": \"SCMP_ACT_ALLOW\" }").unwrap();
    let seccomp = format!("seccomp={}", profile.display());
    let (_, host) = created(&[
        "--security-opt",
        &seccomp,
        "--security-opt=systempaths=unconfined",
        "--security-opt=no-new-privileges",
        "--pid=host",
        "--ipc=shareable",
        "--uts=host",
        "--userns=host",
        "--cgroupns=private",
        "--sysctl=net.core.somaxconn=100",
        "--device=/dev/fuse:r",
        "--init=false",
        "--runtime=runc",
        "--isolation=default",
        "--gpus=all",
    ]);
    assert_eq!(
        host.security_opt,
        [
            "seccomp={\"defaultAction\":\"SCMP_ACT_ALLOW\"}",
            "no-new-privileges"
        ]
    );
    assert_eq!(host.masked_paths.unwrap().paths, [""; 0]);
    assert_eq!(host.readonly_paths.unwrap().paths, [""; 0]);
    assert_eq!(
        [host.pid_mode, host.ipc_mode, host.uts_mode],
        ["host", "shareable", "host"]
    );
    assert_eq!([host.userns_mode, host.cgroupns_mode], ["host", "private"]);
    assert_eq!(host.sysctls["net.core.somaxconn"], "100");
    assert_eq!(host.devices, ["/dev/fuse:/dev/fuse:r"]);
    assert_eq!(host.init, Some(false));
    assert_eq!([host.runtime, host.isolation], ["runc", "default"]);
    assert_eq!(host.device_requests[0].count, -1);
}

#[test]
fn every_wish_about_the_network_reaches_the_agent() {
    let (config, host) = created(&[
        "--net=name=one,alias=a",
        "--network=two",
        "--ip=10.0.0.2",
        "--ip6=fd00::2",
        "--mac-address=92:d0:c6:0a:29:33",
        "--link-local-ip=169.254.1.1",
        "--link=db:store",
        "--dns-opt=ndots:2",
        "--dns-search=corp.example",
        "--dns=1.1.1.1",
        "--add-host=h=[::1]",
        "-p=8080:80",
        "--expose=90",
        "--domainname=example",
    ]);
    assert_eq!(host.network_mode, "one");
    let [one, two] = config.networks.as_slice() else {
        panic!("{:?}", config.networks)
    };
    assert_eq!((one.network.as_str(), two.network.as_str()), ("one", "two"));
    assert_eq!(
        (&one.aliases, &two.aliases),
        (&vec!["a".to_owned()], &Vec::new())
    );
    assert_eq!(
        [one.ipv4_address.as_str(), &one.ipv6_address],
        ["10.0.0.2", "fd00::2"]
    );
    assert_eq!(one.mac_address, "92:d0:c6:0a:29:33");
    assert_eq!(one.link_local_ips, ["169.254.1.1"]);
    assert_eq!(
        (&one.links, &host.links),
        (&host.links, &vec!["db:store".to_owned()])
    );
    assert_eq!(host.dns_options, ["ndots:2"]);
    assert_eq!(host.dns_search, ["corp.example"]);
    assert_eq!(host.extra_hosts, ["h:::1"]);
    assert_eq!(config.exposed_ports, ["80/tcp", "90/tcp"]);
    assert_eq!(config.domainname, "example");
    let (config, host) = created(&["--network=container:web"]);
    assert_eq!(
        (config.networks.len(), host.network_mode.as_str()),
        (0, "container:web")
    );
}

#[test]
fn files_logs_health_and_life_reach_the_agent() {
    let (config, host) = created(&[
        "-v=/anonymous",
        "-v=data:/data:ro",
        "--mount=type=tmpfs,target=/t,tmpfs-size=1m",
        "--volumes-from=other:ro",
        "--tmpfs=/run:size=1m",
        "--storage-opt=size=1g",
        "--log-driver=json-file",
        "--log-opt=max-size=1m",
        "--health-cmd=true",
        "--health-interval=5s",
        "--health-timeout=1s",
        "--health-start-period=1m",
        "--health-start-interval=500ms",
        "--health-retries=2",
        "--restart=on-failure:3",
        "--annotation=a=b",
        "--group-add=audio",
        "--disable-content-trust",
        "--stop-timeout=-1",
    ]);
    assert_eq!(config.volumes, ["/anonymous"]);
    assert_eq!(host.binds, ["data:/data:ro"]);
    assert_eq!(host.mounts[0].tmpfs_size_bytes, 1 << 20);
    assert_eq!(host.volumes_from, ["other:ro"]);
    assert_eq!(host.tmpfs, ["/run:size=1m"]);
    assert_eq!(host.storage_opt["size"], "1g");
    let log = host.log.unwrap();
    assert_eq!(
        (log.driver.as_str(), log.options["max-size"].as_str()),
        ("json-file", "1m")
    );
    let health = config.healthcheck.unwrap();
    assert_eq!(health.test, ["CMD-SHELL", "true"]);
    assert_eq!(
        (health.interval_nanos, health.timeout_nanos, health.retries),
        (5_000_000_000, 1_000_000_000, 2)
    );
    assert_eq!(
        (health.start_period_nanos, health.start_interval_nanos),
        (60_000_000_000, 500_000_000)
    );
    let policy = host.restart_policy.unwrap();
    assert_eq!(
        (policy.name.as_str(), policy.maximum_retry_count),
        ("on-failure", 3)
    );
    assert_eq!(host.annotations["a"], "b");
    assert_eq!(host.group_add, ["audio"]);
    assert_eq!(config.stop_timeout_seconds, Some(-1));
    let (config, _) = created(&["--no-healthcheck"]);
    assert_eq!(config.healthcheck.unwrap().test, ["NONE"]);
}

#[test]
fn the_streams_that_are_attached_are_told() {
    let (config, _) = created(&["-i", "-a", "stderr"]);
    assert!(config.attach_stdin && config.stdin_once && config.attach_stderr);
    assert!(!config.attach_stdout);
    let (config, _) = created(&[]);
    assert!(!config.attach_stdin && config.attach_stdout && config.attach_stderr);
    let place = Place::new();
    let id = place.run(&["run", "-di", "box", "cat"]).success();
    let config = place
        .agent
        .seen
        .with(|state| state.containers[id.trim_end()].config.clone());
    assert!(config.open_stdin && !config.stdin_once && !config.attach_stdout);
}

#[test]
fn the_last_of_a_repeated_flag_counts_and_values_may_look_like_flags() {
    let (config, host) = created(&["-m", "1g", "-m", "2g", "-w", "-odd", "--rm", "--rm=false"]);
    assert_eq!(host.memory_bytes, 2 << 30);
    assert_eq!(config.working_dir, "-odd");
    assert!(!host.auto_remove);
}

#[test]
fn bad_values_are_refused_with_the_flags_names() {
    refused(&[
        (
            &["-m", "4x"],
            "invalid argument \"4x\" for \"-m, --memory\" flag: invalid suffix: 'x'",
        ),
        (
            &["--memory=1z"],
            "invalid argument \"1z\" for \"-m, --memory\" flag: invalid suffix: 'z'",
        ),
        (
            &["--cpus", "x"],
            "invalid argument \"x\" for \"--cpus\" flag: failed to parse x as a rational number",
        ),
        (
            &["-c", "x"],
            "invalid argument \"x\" for \"-c, --cpu-shares\" flag: strconv.ParseInt: parsing \
             \"x\": invalid syntax",
        ),
        (
            &["-e", "="],
            "invalid argument \"=\" for \"-e, --env\" flag: invalid environment variable: =",
        ),
        (
            &["-l", "=x"],
            "invalid argument \"=x\" for \"-l, --label\" flag: invalid label '=x': empty name",
        ),
        (
            &["--mount", "type=bind"],
            "invalid argument \"type=bind\" for \"--mount\" flag: target is required",
        ),
        (
            &["--detach=maybe"],
            "invalid argument \"maybe\" for \"-d, --detach\" flag: strconv.ParseBool: parsing \
             \"maybe\": invalid syntax",
        ),
        (
            &["-a", "foo"],
            "invalid argument \"foo\" for \"-a, --attach\" flag: valid streams are STDIN, STDOUT \
             and STDERR",
        ),
        (
            &["--health-interval", "5"],
            "invalid argument \"5\" for \"--health-interval\" flag: time: missing unit in \
             duration \"5\"",
        ),
        (
            &["--sysctl", "foo"],
            "invalid argument \"foo\" for \"--sysctl\" flag: sysctl 'foo' is not allowed",
        ),
        (
            &["--ulimit", "bogus=1"],
            "invalid argument \"bogus=1\" for \"--ulimit\" flag: invalid ulimit type: bogus",
        ),
        (
            &["--shm-size", "-1"],
            "invalid argument \"-1\" for \"--shm-size\" flag: invalid size: '-1'",
        ),
    ]);
}

#[test]
fn flags_that_do_not_go_together_are_refused() {
    refused(&[
        (
            &["--rm", "--restart", "always"],
            "conflicting options: cannot specify both --restart and --rm",
        ),
        (
            &["--restart", "on-failure:x"],
            "invalid restart policy format: maximum retry count must be an integer",
        ),
        (
            &["--health-cmd", "x", "--no-healthcheck"],
            "--no-healthcheck conflicts with --health-* options",
        ),
        (
            &["--health-retries", "-1"],
            "--health-retries cannot be negative",
        ),
        (
            &["--network-alias", "x"],
            "network-scoped aliases are only supported for user-defined networks",
        ),
        (
            &["--network", "name=a,alias=x", "--network-alias", "y"],
            "conflicting options: cannot specify both --network-alias and per-network alias",
        ),
        (
            &["--network", "a", "--network", "host"],
            "conflicting options: cannot attach both user-defined and non-user-defined \
             network-modes",
        ),
        (&["--network="], "no name set for network"),
        (&["--mac-address", "zz"], "zz is not a valid mac address"),
        (&["--pid", "foo:"], "--pid: invalid PID mode"),
        (
            &["--log-driver", "none", "--log-opt", "a=b"],
            "invalid logging opts for driver none",
        ),
        (&["--storage-opt", "x"], "invalid storage option"),
        (
            &["--security-opt", "foo"],
            "Invalid --security-opt: \"foo\"",
        ),
        (
            &["--memory-swappiness", "200"],
            "invalid value: 200. Valid memory swappiness range is 0-100",
        ),
        (
            &["--pull", "foo"],
            "invalid pull option: 'foo': must be one of \"always\", \"missing\" or \"never\"",
        ),
        (
            &["--env-file", "/nope"],
            "open /nope: no such file or directory",
        ),
        (&["-p", "x"], "invalid containerPort: x"),
    ]);
}

#[test]
fn a_conflict_of_streams_is_no_error_of_the_engine() {
    let place = Place::new();
    place.run(&["run", "-d", "-a", "stdin", "box"]).fails(
        1,
        "conflicting options: cannot specify both --attach and --detach",
    );
}

#[test]
fn a_container_whose_input_alone_is_attached_says_its_id() {
    let place = Place::new();
    let ended = place.run_with(&["run", "-i", "-a", "stdin", "box", "cat"], "x");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ended.stdout.lines().next().unwrap().len(), 64, "{ended:?}");
}
