//! Things that break in the middle.

use berth_tests_support::{
    Entry, Fault, FaultyRegistry, Image, Layer, Machine, Operator, busybox_layer, kill, wait_until,
};
use nix::sys::signal::Signal;

/// Bytes that no packing makes smaller, so that a layer is as large as its tar.
fn noise(n_bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    })
    .flatten()
    .take(n_bytes)
    .collect()
}

fn large_image() -> Image {
    let cargo = Layer::new(&[Entry::file("cargo", noise(8 << 20))]);
    Image::new(&[
        busybox_layer(),
        cargo.clone(),
        Layer::new(&[Entry::file("more", noise(3 << 20))]).zstd(),
    ])
}

fn image_count(machine: &Machine<'_>) -> usize {
    machine.berth(&["images", "-aq"]).success().lines().count()
}

#[test]
fn containers_outlive_a_killed_agent() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let count = "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done";
    machine
        .berth(&["run", "-d", "--name", "counts", "box", "sh", "-c", count])
        .success();
    machine
        .berth(&[
            "run",
            "-d",
            "--name",
            "ends",
            "box",
            "sh",
            "-c",
            "until [ -e /go ]; do sleep 0.05; done; echo done; exit 33",
        ])
        .success();
    machine
        .berth(&[
            "run",
            "-d",
            "--rm",
            "--name",
            "vanishes",
            "box",
            "sh",
            "-c",
            "until [ -e /go ]; do sleep 0.05; done",
        ])
        .success();
    let pid = [
        "inspect",
        "-f",
        "{{.State.Pid}} {{.State.StartedAt}}",
        "counts",
    ];
    let before = machine.berth(&pid).success();
    for name in ["ends", "vanishes"] {
        // Two seconds from now, when the agent is down.
        machine
            .berth(&["exec", "-d", name, "sh", "-c", "sleep 1; touch /go"])
            .success();
    }
    // The watcher is held, so that the agent stays down until they have ended.
    let watcher = machine.ssh("pgrep -o -f 'berthd watch'").success();
    machine.ssh(&format!("kill -STOP {watcher}")).success();
    kill(machine.agent_pid(), Signal::SIGKILL);
    wait_until("both have ended", || {
        machine.ssh("pgrep -f 'until'").code() == Some(1)
    });
    machine.ssh(&format!("kill -CONT {watcher}")).success();
    machine.wait_for_agent();

    assert_eq!(
        machine.berth(&pid).success(),
        before,
        "the same process runs on"
    );
    let ended = [
        "inspect",
        "-f",
        "{{.State.Status}} {{.State.ExitCode}}",
        "ends",
    ];
    assert_eq!(machine.berth(&ended).success(), "exited 33");
    assert_eq!(machine.berth(&["logs", "ends"]).success(), "done");
    wait_until("--rm is done late", || {
        !machine.berth(&["ps", "-a"]).success().contains("vanishes")
    });
    let numbers = machine.berth(&["logs", "counts"]).success();
    assert!(
        numbers
            .lines()
            .enumerate()
            .all(|(n, line)| line == n.to_string()),
        "no line lost or doubled"
    );
    machine.berth(&["exec", "counts", "true"]).success();
    machine.berth(&["stop", "-t", "1", "counts"]).success();
}

#[test]
fn pull_goes_on_after_the_agent_was_killed() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let image = large_image();
    let agent = machine.agent_pid();
    let registry = FaultyRegistry::start(
        agent,
        &[("big", &image)],
        Fault::StallAfter { bytes: 2 << 20 },
    );
    let reference = registry.reference("big");
    let pull = machine.start(&["pull", &reference]);
    wait_until("layers are on their way", || {
        registry
            .requests()
            .iter()
            .filter(|request| request.starts_with("GET") && request.contains("/blobs/"))
            .count()
            >= 3
    });
    kill(agent, Signal::SIGKILL);
    let _ = pull.outcome().fails_saying(&[]);
    machine.wait_for_agent();
    assert_eq!(image_count(&machine), 0, "nothing half-made is listed");
    registry.heal();
    machine.berth(&["pull", &reference]).success();
    let sum = machine
        .berth(&["run", "--rm", &reference, "wc", "-c", "/cargo", "/more"])
        .success();
    assert!(sum.contains("8388608") && sum.contains("3145728"), "{sum}");
}

#[test]
fn cut_connections_are_taken_up_where_they_broke() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let image = large_image();
    let fault = Fault::CutAfter {
        bytes: 1 << 20,
        times: 3,
    };
    let registry = FaultyRegistry::start(machine.agent_pid(), &[("big", &image)], fault);
    machine
        .berth(&["pull", &registry.reference("big")])
        .success();
    let requests = registry.requests();
    assert!(
        requests.iter().any(|request| request.contains(" from ")),
        "{requests:?}"
    );
    assert!(
        machine
            .berth(&[
                "run",
                "--rm",
                &registry.reference("big"),
                "wc",
                "-c",
                "/cargo"
            ])
            .success()
            .starts_with("8388608")
    );
}

#[test]
fn wrong_content_is_refused() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    let image = large_image();
    let registry = FaultyRegistry::start(machine.agent_pid(), &[("bad", &image)], Fault::Corrupt);
    let _ = machine
        .berth(&["pull", &registry.reference("bad")])
        .exits_with(1)
        .fails_saying(&["sha256:"]);
    assert_eq!(image_count(&machine), 0);
    registry.heal();
    machine
        .berth(&["pull", &registry.reference("bad")])
        .success();
    let _ = machine
        .berth(&["pull", &registry.reference("absent")])
        .exits_with(1);
}

#[test]
fn hostile_layers_stay_inside_their_image() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine
        .ssh("mkdir -p /srv/precious && echo safe >/srv/precious/file")
        .success();
    let climbs = Image::new(&[
        busybox_layer(),
        Layer::new(&[Entry::file(
            "../../../../../../srv/precious/file",
            "climbed",
        )]),
    ]);
    let follows = Image::new(&[
        busybox_layer(),
        Layer::new(&[
            Entry::directory("srv"),
            Entry::directory("srv/precious"),
            Entry::symlink("out", "/srv/precious"),
            Entry::file("out/file", "followed"),
            Entry::symlink("up", "../../../../../../srv/precious"),
            Entry::file("up/file", "followed"),
        ]),
    ]);
    let links = Image::new(&[
        busybox_layer(),
        Layer::new(&[Entry::hardlink("stolen", "/srv/precious/file")]),
    ]);
    let devices = Image::new(&[
        busybox_layer(),
        Layer::new(&[Entry::character_device("dev/disk", 254, 0)]),
    ]);
    let images = [
        ("climbs", &climbs),
        ("follows", &follows),
        ("links", &links),
        ("devices", &devices),
    ];
    let registry = FaultyRegistry::start(machine.agent_pid(), &images, Fault::None);
    for (name, _) in images {
        // Some are refused and some are tamed; neither may touch the machine.
        let pulled = machine.berth(&["pull", &registry.reference(name)]);
        if pulled.code() == Some(0) {
            let _ = machine.berth(&[
                "run",
                "--rm",
                &registry.reference(name),
                "ls",
                "-laR",
                "/out",
                "/up",
                "/stolen",
            ]);
        }
        assert_eq!(
            machine.ssh("cat /srv/precious/file").success(),
            "safe",
            "{name}"
        );
    }
    let follows = registry.reference("follows");
    assert_eq!(
        machine
            .berth(&["run", "--rm", &follows, "cat", "/srv/precious/file"])
            .success(),
        "followed",
        "inside the image"
    );
    let device = machine.berth(&[
        "run",
        "--rm",
        &registry.reference("devices"),
        "head",
        "-c1",
        "/dev/disk",
    ]);
    assert!(device.code() != Some(0), "a layer's device is out of reach");
    machine.berth(&["version"]).success();
}

#[test]
fn full_disk_is_said_and_survived() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    // The agent's data on a file system that is too small.
    machine.ssh("pkill -f '[b]erthd watch'; pkill -f '[b]erthd serve'; mount -t tmpfs -o size=12m none /var/lib/berth").success();
    operator.berth(&["machine", "provision", "m"]).success();
    let image = large_image();
    let registry = FaultyRegistry::start(machine.agent_pid(), &[("big", &image)], Fault::None);
    let reference = registry.reference("big");
    let _ = machine
        .berth(&["pull", &reference])
        .exits_with(1)
        .fails_saying(&["no space left"]);
    assert_eq!(image_count(&machine), 0);
    machine.berth(&["ps"]).success();
    machine
        .ssh("mount -o remount,size=200m /var/lib/berth")
        .success();
    machine.berth(&["pull", &reference]).success();
    assert!(
        machine
            .berth(&["run", "--rm", &reference, "wc", "-c", "/cargo"])
            .success()
            .starts_with("8388608")
    );
}
