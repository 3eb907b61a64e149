//! Volumes, archives of images and prunes, from the program to the kernel of a machine and back.

use berth_tests_support::Operator;

#[test]
fn volumes_keep_what_containers_write() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let berth = |words: &[&str]| machine.berth(words).success();
    assert_eq!(
        berth(&["volume", "create", "--label", "a=1", "data"]),
        "data"
    );
    let options = ["-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m"];
    berth(&[&["volume", "create"], &options[..], &["fast"]].concat());
    let script = "echo 1 > /d/n; grep -c ' /f tmpfs ' /proc/mounts";
    let run = ["run", "--rm", "-v", "data:/d", "-v", "fast:/f", "box"];
    assert_eq!(berth(&[&run[..], &["sh", "-c", script]].concat()), "1");
    assert_eq!(
        berth(&[
            "run",
            "--name",
            "one",
            "-v",
            "data:/d:ro",
            "box",
            "cat",
            "/d/n"
        ]),
        "1"
    );
    let _ = machine
        .berth(&["volume", "rm", "data"])
        .exits_with(1)
        .fails_saying(&["remove data: volume is in use - ["]);
    let format = "{{index .Labels \"a\"}} {{.Driver}}";
    assert_eq!(
        berth(&["volume", "inspect", "-f", format, "data"]),
        "1 local"
    );
    assert_eq!(berth(&["volume", "ls", "-qf", "dangling=true"]), "fast");
    berth(&["rm", "-v", "one"]);
    assert_eq!(berth(&["volume", "rm", "data", "fast"]), "data\nfast");
    assert_eq!(
        machine
            .ssh("grep -c /volumes/ /proc/mounts || true")
            .success(),
        "0"
    );
}

#[test]
fn archives_leave_and_come_back_and_what_is_idle_goes() {
    let operator = Operator::new();
    let machine = operator.machine("m");
    machine.import_busybox("box");
    let berth = |words: &[&str]| machine.berth(words).success();
    berth(&["run", "--name", "one", "box", "sh", "-c", "echo 1 > /own"]);
    let id = berth(&["commit", "one", "grown:1"]);
    assert_eq!(
        berth(&["history", "--no-trunc", "-q", "grown:1"])
            .lines()
            .next(),
        Some(id.as_str())
    );
    let folder = tempfile::tempdir().expect("folder");
    let archive = folder.path().join("images.tar");
    let path = archive.to_str().expect("text");
    berth(&["save", "-o", path, "grown:1", "box"]);
    berth(&["rm", "one"]);
    berth(&["rmi", "grown:1"]);
    let said = berth(&["load", "-qi", path]);
    assert_eq!(said, "Loaded image: grown:1\nLoaded image: box:latest");
    assert_eq!(berth(&["run", "--rm", "grown:1", "cat", "/own"]), "1");
    assert_eq!(berth(&["images", "-q", "--no-trunc", "grown"]), id);
    let said = berth(&["system", "prune", "-af", "--volumes"]);
    assert!(
        said.contains("untagged: grown:1") && said.contains("Total reclaimed space: "),
        "{said}"
    );
    let left = berth(&[
        "system",
        "df",
        "--format",
        "{{.Type}} {{.TotalCount}} {{.Size}}",
    ]);
    assert_eq!(
        left,
        "Images 0 0B\nContainers 0 0B\nLocal Volumes 0 0B\nBuild Cache 0 0B"
    );
}
