//! Builds that fail, are cut off or are meant ill.

use std::fs;
use std::os::unix::fs::symlink;

use berth_agent_build::{BuildErrorKind, BuildOptions, CopyError};
use berth_agent_engine::{Classified as _, ErrorClass};
use berth_agent_images::{ImageId, Reference};

use crate::machine::{Disk, Folder, Machine};
use crate::options;

#[tokio::test]
async fn a_command_that_fails_is_named_with_its_line_and_code() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nADD root.tar /\n\nRUN echo why >&2; \\\n    exit 7\n");
    let failed = machine.build(&folder, options()).await;
    let error = failed.error();
    assert_eq!((error.exit_code(), error.line()), (Some(7), Some(4)));
    assert_eq!(
        error.to_string(),
        "Dockerfile:4: RUN echo why >&2;     exit 7: the command '/bin/sh -c echo why >&2;     \
         exit 7' returned a non-zero code: 7"
    );
    assert_eq!(failed.output(), "why\n");
    // What was done before is not done again, and nothing of the failed step stays.
    let again = machine.build(&folder, options()).await;
    assert_eq!(again.cached(), ["ADD root.tar /"]);
    assert!(machine.snapshots.list_keys().expect("keys").is_empty());
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named_and_the_ignore_file_is_blamed_if_it_is_to_blame() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nCOPY nope /\n");
    let failed = machine.build(&folder, options()).await;
    assert_eq!(
        failed.error().to_string(),
        "Dockerfile:2: COPY nope /: \"nope\" not found"
    );
    folder.write("nope", "").write(".dockerignore", "nop*\n");
    let failed = machine.build(&folder, options()).await;
    let BuildErrorKind::Copy(CopyError::NotFound { ignored, .. }) = &failed.error().kind else {
        panic!("{}", failed.error());
    };
    assert!(*ignored);
}

#[tokio::test]
async fn links_in_the_context_do_not_reach_the_machine() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nCOPY leak/hostname /x\n");
    symlink("/etc", folder.0.path().join("leak")).expect("link");
    let failed = machine.build(&folder, options()).await;
    assert!(
        matches!(
            failed.error().kind,
            BuildErrorKind::Copy(CopyError::NotFound { .. })
        ),
        "{}",
        failed.error()
    );
}

#[tokio::test]
async fn what_is_not_supported_is_refused_by_name_and_line() {
    let machine = Machine::new();
    for (line, what) in [
        (
            "RUN --mount=type=cache,target=/c true",
            "RUN --mount is not supported by this builder",
        ),
        (
            "ADD https://example.com/x /x",
            "ADD of a remote source is not supported by this builder",
        ),
    ] {
        let folder = Folder::new(&format!("FROM scratch\nADD root.tar /\n{line}\n"));
        let failed = machine.build(&folder, options()).await;
        assert_eq!(
            failed.error().to_string(),
            format!("Dockerfile:3: {line}: {what}")
        );
        assert!(failed.events.is_empty(), "nothing was done");
    }
}

#[tokio::test]
async fn faults_of_the_dockerfile_are_found_before_anything_is_done() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nRUNN x\n");
    let failed = machine.build(&folder, options()).await;
    assert_eq!(
        failed.error().to_string(),
        "Dockerfile:2: RUNN x: unknown instruction: RUNN (did you mean RUN?)"
    );
    let missing = BuildOptions {
        dockerfile: "other".to_owned(),
        ..options()
    };
    let failed = machine.build_from(Vec::new(), missing).await;
    assert_eq!(
        failed.error().to_string(),
        "failed to read dockerfile: open other"
    );
    let name = BuildOptions {
        tags: vec!["UPPER".to_owned()],
        ..options()
    };
    let failed = machine.build(&folder, name).await;
    assert!(
        matches!(failed.error().kind, BuildErrorKind::Name { .. }),
        "{}",
        failed.error()
    );
}

#[tokio::test]
async fn contexts_are_removed_after_builds_and_at_the_next_start() {
    let mut machine = Machine::new();
    let folder = Folder::new("FROM scratch\nCOPY nope /\n");
    machine.build(&folder, options()).await.error();
    assert_eq!(fs::read_dir(machine.scratch()).expect("list").count(), 0);
    fs::create_dir_all(machine.scratch().join("context-left/behind")).expect("directory");
    machine.restart();
    assert_eq!(fs::read_dir(machine.scratch()).expect("list").count(), 0);
}

#[tokio::test]
async fn a_hostile_context_stream_stays_in_its_directory() {
    let machine = Machine::new();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().expect("gnu").name[..10].copy_from_slice(b"../../../x");
    header.set_size(0);
    header.set_cksum();
    archive.append(&header, std::io::empty()).expect("entry");
    let bytes = archive.into_inner().expect("archive");
    let text = Some("FROM scratch\nCOPY x /confined\n".to_owned());
    let hostile = BuildOptions {
        dockerfile_text: text,
        ..options()
    };
    let built = machine.build_from(bytes, hostile).await;
    assert_eq!(machine.read(&built.image(), "/confined"), "");
    assert!(!machine.root.path().join("x").exists());
    let cut_off = machine.build_from(vec![b'x'; 700], options()).await;
    let kind = &cut_off.error().kind;
    assert!(
        matches!(kind, BuildErrorKind::Context(_)),
        "{}",
        cut_off.error()
    );
}

#[tokio::test]
async fn a_build_stops_when_its_client_has_gone() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nADD root.tar /\nRUN echo x\n");
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    drop(receiver);
    let mut bytes = Vec::new();
    let nothing = berth_context::Ignore::default();
    berth_context::pack(folder.0.path(), None, &nothing, &mut bytes).expect("packed");
    let result = machine
        .builder
        .build(options(), std::io::Cursor::new(bytes), sender)
        .await;
    assert!(matches!(
        result.expect_err("gone").kind,
        BuildErrorKind::Gone(_)
    ));
}

#[tokio::test]
async fn an_image_removed_in_between_is_built_again() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nADD root.tar /\nRUN echo x > /x\n");
    let tags = vec!["gone".to_owned()];
    let first = machine
        .build(
            &folder,
            BuildOptions {
                tags: tags.clone(),
                ..options()
            },
        )
        .await;
    let nobody = |_: &ImageId| Vec::new();
    machine
        .images
        .remove("gone", false, false, &nobody)
        .expect("removed");
    let again = machine
        .build(&folder, BuildOptions { tags, ..options() })
        .await;
    assert!(again.cached().is_empty(), "{:?}", again.cached());
    assert_ne!(again.image(), first.image());
    assert_eq!(machine.read(&again.image(), "/x"), "x\n");
    let reference = Reference::parse("gone").expect("name").with_default_tag();
    assert_eq!(
        machine
            .images
            .resolve(&reference.familiar())
            .expect("there"),
        again.image()
    );
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing_half_made() {
    let (_disk, root) = Disk::of(16);
    let machine = Machine::on(root);
    let folder = Folder::new("FROM scratch\nCOPY big /big\n");
    // The first does not fit as a context, the second not as a context and a layer.
    for mebibytes in [20, 9] {
        folder.write("big", &"x".repeat(mebibytes << 20));
        let failed = machine.build(&folder, options()).await;
        assert_eq!(
            failed.error().class(),
            ErrorClass::Exhausted,
            "{}",
            failed.error().sentence()
        );
        assert!(
            failed.error().sentence().contains("No space left"),
            "{:?}",
            failed.error()
        );
        assert_eq!(fs::read_dir(machine.scratch()).expect("list").count(), 0);
        assert!(machine.snapshots.list_keys().expect("keys").is_empty());
        assert!(machine.images.list().expect("images").is_empty());
    }
    folder.write("big", "small now");
    let id = machine.build(&folder, options()).await.image();
    assert_eq!(machine.read(&id, "/big"), "small now");
}
