//! The main job: machines, an image from a Dockerfile, a registry, a container.

use berth_tests_support::{Machine, Operator, wait_until};

/// Starts Debian's registry on a machine, listening on all its addresses.
fn serve_registry(machine: &Machine<'_>) {
    let config = "version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: /var/tmp/registry}}\nhttp: {addr: \":5000\"}\n";
    machine
        .ssh(&format!("printf '%s' '{config}' >/etc/registry.yml"))
        .success();
    machine
        .ssh("setsid docker-registry serve /etc/registry.yml >/var/log/registry.log 2>&1 </dev/null &")
        .success();
    wait_until("the registry answers", || {
        machine
            .ssh("busybox wget -qO- http://127.0.0.1:5000/v2/")
            .code()
            == Some(0)
    });
}

#[test]
fn image_built_on_one_machine_runs_on_another() {
    let operator = Operator::new();
    let first = operator.machine("first");
    let registry = format!("{}:5000", first.ip());
    let second = operator.machine_with("second", &["--engine-insecure-registry", &registry]);
    serve_registry(&first);

    let context = operator.home().join("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::copy("/bin/busybox", context.join("busybox")).unwrap();
    std::fs::write(context.join("secret"), "not for the image").unwrap();
    std::fs::write(context.join(".dockerignore"), "secret\n").unwrap();
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch AS base\n\
         COPY busybox /bin/busybox\n\
         RUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n\
         FROM base\n\
         ARG GREETING=hello\n\
         ENV WORD=$GREETING\n\
         WORKDIR /srv\n\
         COPY . context/\n\
         RUN echo \"$WORD from $(pwd)\" >greeting\n\
         USER 1000\n\
         CMD [\"sh\", \"-c\", \"cat greeting; id -u; ls context\"]\n",
    )
    .unwrap();
    let build = [
        "build",
        "--build-arg",
        "GREETING=bonjour",
        "-t",
        "localhost:5000/greet",
        "context",
    ];
    first.berth(&build).success();
    let again = first.berth(&build).exits_with(0);
    let log = format!("{}{}", again.stdout(), again.stderr());
    assert!(
        log.contains("Using cache") || log.contains("CACHED"),
        "built again from cache: {log}"
    );
    first.berth(&["push", "localhost:5000/greet"]).success();

    let image = format!("{registry}/greet");
    second.berth(&["pull", &image]).success();
    let said = second.berth(&["run", "--rm", &image]).success();
    assert_eq!(
        said, "bonjour from /srv\n1000\nDockerfile\nbusybox",
        "and no secret"
    );

    second
        .berth(&[
            "run",
            "-d",
            "--name",
            "kept",
            &image,
            "sh",
            "-c",
            "echo out; echo err >&2; sleep 600",
        ])
        .success();
    let ps = second.berth(&["ps"]).success();
    assert!(
        ps.contains("kept") && ps.contains(&image) && ps.contains("Up "),
        "{ps}"
    );
    assert!(
        !first.berth(&["ps", "-a"]).success().contains("kept"),
        "machines are apart"
    );
    wait_until("the output is in the log", || {
        let logs = second.berth(&["logs", "kept"]).exits_with(0);
        logs.stdout() == "out\n" && logs.stderr() == "err\n"
    });
    second.berth(&["rm", "-f", "kept"]).success();
    second.berth(&["rmi", &image]).success();
    assert!(!second.berth(&["images"]).success().contains("greet"));
    operator
        .berth(&["machine", "rm", "-y", "first", "second"])
        .success();
    assert_eq!(operator.berth(&["machine", "ls", "-q"]).success(), "");
}

#[test]
fn build_error_points_at_the_line() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("base");
    let context = operator.home().join("context");
    std::fs::create_dir(&context).unwrap();
    let write = |dockerfile: &str| std::fs::write(context.join("Dockerfile"), dockerfile).unwrap();

    write("FROM base\n\n# a comment\nRUN exit 7\n");
    let failed = machine.berth(&["build", "context"]).exits_with(7);
    assert!(
        failed.stderr().contains("Dockerfile:4"),
        "{}",
        failed.stderr()
    );

    write("FROM base\nFROBNICATE x\n");
    let failed = machine
        .berth(&["build", "context"])
        .fails_saying(&["Dockerfile:2"]);
    assert!(
        failed.stderr().to_lowercase().contains("frobnicate"),
        "{}",
        failed.stderr()
    );

    write("FROM base\nCOPY missing /\n");
    let _ = machine
        .berth(&["build", "context"])
        .fails_saying(&["Dockerfile:2", "missing"]);
    assert_eq!(
        machine.berth(&["ps", "-aq"]).success(),
        "",
        "no container is left of a failed build"
    );
}

#[test]
fn debian_image_is_a_whole_distribution() {
    let tar = berth_tests_support::debian_root();
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine
        .berth(&["import", &tar.to_string_lossy(), "debian:test"])
        .success();
    let context = operator.home().join("context");
    std::fs::create_dir(&context).unwrap();
    std::fs::write(
        context.join("Dockerfile"),
        "FROM debian:test\nRUN useradd --uid 1234 --create-home sailor && mkdir /data && chown sailor /data\n\
         USER sailor\nVOLUME /data\nRUN touch /data/made\nENTRYPOINT [\"bash\", \"-c\"]\nCMD [\"true\"]\n",
    )
    .unwrap();
    machine
        .berth(&["build", "-t", "sailor", "context"])
        .success();
    let said = machine.berth(&[
        "run",
        "--rm",
        "sailor",
        "id -un; echo $HOME; stat -c %U /data; dpkg --print-architecture",
    ]);
    let said = said.success();
    assert!(said.starts_with("sailor\n/home/sailor\nsailor\n"), "{said}");
}
