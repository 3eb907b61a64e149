//! Files of containers through the docker CLI.

use std::fs;

use super::{Docker, end};
use crate::client::IMAGE;
use crate::host::Host;

#[test]
fn files_are_copied_both_ways() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let name = docker.name;
        docker.ok(&["create", "--name", name, IMAGE, "sleep", "600"]);
        let folder = docker.file("folder");
        fs::create_dir_all(folder.join("inner")).expect("folder");
        fs::write(folder.join("inner/file"), "content").expect("file");
        let path = folder.to_str().expect("a path");
        let to = |place: &str| format!("{name}:{place}");
        // Before the start, and while it runs; into a new name, and into a folder.
        docker.ok(&["cp", path, &to("/tmp/new")]);
        docker.ok(&["start", name]);
        assert_eq!(
            docker.ok(&["exec", name, "cat", "/tmp/new/inner/file"]),
            "content"
        );
        docker.ok(&["cp", path, &to("/tmp")]);
        assert_eq!(
            docker.ok(&["exec", name, "cat", "/tmp/folder/inner/file"]),
            "content"
        );
        let back = docker.file("back");
        docker.ok(&["cp", &to("/tmp/folder"), back.to_str().expect("a path")]);
        assert_eq!(
            fs::read_to_string(back.join("inner/file")).expect("copy"),
            "content"
        );
        let error = docker.fails(&["cp", &to("/no/such"), "/tmp/x"], 1);
        assert!(error.contains("/no/such"), "{error}");
        let diff = docker.ok(&["diff", name]);
        let changed: Vec<&str> = diff.lines().collect();
        assert_eq!(changed[..2], ["C /tmp", "A /tmp/folder"], "{diff}");
        docker.ok(&["rm", "-f", name]);
    }
}

#[test]
fn archives_stream_through_pipes() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    docker.ok(&["create", "--name", "pipes", IMAGE]);
    let child = docker.spawn(&["cp", "pipes:/etc/passwd", "-"]);
    let output = child.wait_with_output().expect("archive");
    let mut archive = tar::Archive::new(output.stdout.as_slice());
    let names: Vec<String> = archive
        .entries()
        .expect("archive")
        .map(|entry| {
            entry
                .expect("entry")
                .path()
                .expect("path")
                .display()
                .to_string()
        })
        .collect();
    assert_eq!(names, ["passwd"]);
    let exported = docker.file("all.tar");
    docker.ok(&["export", "-o", exported.to_str().expect("a path"), "pipes"]);
    let mut archive = tar::Archive::new(fs::File::open(&exported).expect("file"));
    let has_busybox = archive.entries().expect("archive").any(|entry| {
        let entry = entry.expect("entry");
        entry.path().expect("path").ends_with("bin/busybox")
    });
    assert!(has_busybox);
}

#[test]
fn a_read_only_root_takes_no_files() {
    let host = Host::new();
    let docker = Docker::with_image(&host);
    docker.ok(&[
        "run",
        "-d",
        "--read-only",
        "--name",
        "fixed",
        IMAGE,
        "sleep",
        "600",
    ]);
    let file = docker.file("file");
    fs::write(&file, "x").expect("file");
    let error = docker.fails(&["cp", file.to_str().expect("a path"), "fixed:/tmp/"], 1);
    assert!(
        error.contains("container rootfs is marked read-only"),
        "{error}"
    );
}

#[test]
fn an_image_of_a_container_has_its_changes() {
    let host = Host::new();
    Docker::with_image(&host);
    for docker in Docker::each(&host) {
        let (name, image) = (docker.name, format!("made:{}", docker.name));
        let script = "echo changed > /tmp/file";
        docker.ok(&["run", "--name", name, IMAGE, "sh", "-c", script]);
        let change = "CMD [\"cat\", \"/tmp/file\"]";
        let id = docker.ok(&[
            "commit", "-a", "ann", "-m", "why", "-c", change, name, &image,
        ]);
        assert_eq!(docker.ok(&["run", "--rm", &image]), "changed");
        let format = "{{.Id}} {{.Author}} {{.Comment}}";
        let inspected = docker.ok(&["image", "inspect", "-f", format, &image]);
        assert_eq!(inspected, format!("{id} ann why"));
        docker.ok(&["rm", name]);
        let child = docker.spawn(&["rmi", &image]);
        let said = end(child);
        assert!(said.out.contains(&format!("Untagged: {image}")), "{said:?}");
    }
}
