//! Images and builds.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use crate::program::{Ended, Place};

#[test]
fn a_pull_ends_with_the_full_name() {
    let place = Place::new();
    let said = place.run(&["pull", "absent"]).success();
    assert!(
        said.starts_with("Using default tag: latest\nlatest: Pulling from"),
        "{said}"
    );
    assert!(
        said.ends_with(
            "Status: Downloaded newer image for absent:latest\ndocker.io/library/absent:latest\n"
        ),
        "{said}"
    );
    assert_eq!(
        place.run(&["pull", "-q", "absent"]).success(),
        "docker.io/library/absent:latest\n"
    );
}

#[test]
fn a_push_takes_the_credentials_of_the_registry() {
    let place = Place::new();
    let login = ["login", "-u", "ann", "--password-stdin", "reg:5000"];
    place.run_with(&login, "secret\n").success();
    let said = place.run(&["push", "reg:5000/app"]).success();
    assert!(
        said.ends_with(
            "0123456789ab: Preparing\n0123456789ab: Pushed\nlatest: digest: sha256:00 size: 528\n"
        ),
        "{said}"
    );
    place.run(&["pull", "other:5000/app"]).success();
    place.run(&["logout", "reg:5000"]).success();
    place.run(&["push", "reg:5000/app"]).success();
    let names: Vec<Option<String>> = place.agent.seen.with(|state| {
        let auths = state.pulled.iter().map(|(_, auth)| auth.clone());
        auths
            .map(|auth| auth.map(|auth| auth.username + ":" + &auth.password))
            .collect()
    });
    assert_eq!(names, [Some("ann:secret".to_owned()), None, None]);
}

#[test]
fn an_archive_is_imported_whole() {
    let place = Place::new();
    let archive = "x".repeat(1_000_000);
    assert_eq!(
        place
            .run_with(&["import", "-", "mine:1"], &archive)
            .success(),
        "sha256:22\n"
    );
    assert_eq!(
        place.agent.seen.with(|state| state.imported.len()),
        archive.len()
    );
    place
        .run(&["import", "/no/such/file"])
        .fails(1, "open /no/such/file");
    place
        .run_with(&["import", "-", "Bad"], "x")
        .fails(1, "invalid reference format");
}

#[test]
fn images_are_listed_and_removed() {
    let place = Place::new();
    let images = place.run(&["images"]).success();
    assert!(
        images.contains("box          latest    abababababab"),
        "{images}"
    );
    assert_eq!(
        place.run(&["image", "ls", "-q"]).success(),
        "abababababab\n"
    );
    place.run(&["tag", "box", "other"]).success();
    let ended = place.run(&["rmi", "used", "box"]);
    assert_eq!(ended.stdout, "Untagged: box:latest\nDeleted: sha256:11\n");
    ended.fails(1, "conflict: unable to remove");
}

#[test]
fn a_build_sends_what_is_not_ignored() {
    let place = Place::new();
    let folder = place.home.path().join("context");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("Dockerfile"), "FROM box\n").unwrap();
    fs::write(folder.join(".dockerignore"), "secret\n").unwrap();
    fs::write(folder.join("secret"), "do-not-send-this").unwrap();
    fs::write(folder.join("kept"), "send-this").unwrap();
    let folder = folder.to_str().unwrap();
    let words = [
        "build",
        "-t",
        "app",
        "--build-arg",
        "A=1",
        "--build-arg",
        "HOME",
        folder,
    ];
    let said = place.run(&words).success();
    assert_eq!(
        said,
        "Step 1/1 : FROM box\n ---> Using cache\n ---> 0123456789ab\nhi\n\
         Successfully built 0123456789ab\nSuccessfully tagged app:latest\n"
    );
    let (options, context) = place.agent.seen.with(|state| state.build.take()).unwrap();
    let context = String::from_utf8_lossy(&context).into_owned();
    assert!(context.contains("send-this") && !context.contains("do-not-send-this"));
    assert_eq!(options.build_args["A"], "1");
    assert_eq!(
        options.build_args["HOME"],
        place.home.path().to_str().unwrap()
    );
    assert_eq!(
        place.run(&["build", "-q", folder]).success(),
        "sha256:0123456789abcdef\n"
    );

    let id = place.home.path().join("id");
    fs::write(&id, "old").unwrap();
    let words = [
        "build",
        "--iidfile",
        id.to_str().unwrap(),
        "--target",
        "broken",
        folder,
    ];
    place.run(&words).fails(7, "Dockerfile:4");
    assert!(!id.exists(), "the id of an older build is no result");
}

#[test]
fn a_dockerfile_can_come_alone() {
    let place = Place::new();
    place.run_with(&["build", "-"], "FROM box\n").success();
    let (options, _) = place.agent.seen.with(|state| state.build.take()).unwrap();
    assert_eq!(options.dockerfile_text.unwrap(), b"FROM box\n");
    place.run_with(&["build", "-"], "\u{1f}").success();
    place
        .run(&["build", "/no/such/folder"])
        .fails(1, "unable to prepare context");
    let empty = place.home.path().to_str().unwrap();
    place
        .run(&["build", empty])
        .fails(1, "there is no Dockerfile");
}

#[test]
fn a_build_takes_the_credentials_of_all_registries() {
    let place = Place::new();
    let programs = place.home.path().join("bin");
    fs::create_dir(&programs).unwrap();
    let helper = programs.join("docker-credential-drawer");
    let script = r#"#!/bin/sh
case $1 in
list) echo '{"https://index.docker.io/v1/":"ann"}' ;;
get) echo '{"ServerURL":"'$(cat)'","Username":"ann","Secret":"hub"}' ;;
esac
"#;
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let docker = place.home.path().join(".docker");
    fs::create_dir(&docker).unwrap();
    // "bob:file" and the helper, which is asked for the hub's alone.
    let config = r#"{"auths": {"https://reg.example:5000/v2/": {"auth": "Ym9iOmZpbGU="}},
        "credHelpers": {"https://index.docker.io/v1/": "drawer"}}"#;
    fs::write(docker.join("config.json"), config).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = place.command(&["build", "-"]);
    let mut child = command
        .env("PATH", path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"FROM box\n")
        .unwrap();
    Ended::of(child).success();
    let (options, _) = place.agent.seen.with(|state| state.build.take()).unwrap();
    let secret = |registry: &str| {
        let auth = &options.registry_auths[registry];
        format!("{}:{}", auth.username, auth.password)
    };
    assert_eq!(options.registry_auths.len(), 2);
    assert_eq!(secret("docker.io"), "ann:hub");
    assert_eq!(secret("reg.example:5000"), "bob:file");
}
