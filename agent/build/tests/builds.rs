//! Whole builds on a machine with real layers and images. They need root, for overlayfs and chroot.

mod machine;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use berth_agent_build::{BuildErrorKind, BuildOptions, CopyError};
use berth_agent_engine::{Classified as _, ErrorClass};
use berth_agent_images::{ImageId, Reference};
use machine::{Disk, Folder, Machine};

fn options() -> BuildOptions {
    BuildOptions::default()
}

fn with_args(args: &[(&str, &str)]) -> BuildOptions {
    let build_args = args
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    BuildOptions {
        build_args: build_args.collect(),
        ..options()
    }
}

#[tokio::test]
async fn an_image_is_built_from_nothing_and_runs_commands() {
    let machine = Machine::new();
    let folder = Folder::new(
        "FROM scratch\nADD root.tar /\nWORKDIR /srv/app\nCOPY src ./src/\n\
         ENV GREETING=\"hello world\" EMPTY=\nRUN echo \"$GREETING from $PWD\" > out && cat out\n\
         EXPOSE 80\nVOLUME /data\nUSER app:web\nLABEL a=b\nENTRYPOINT [\"/bin/cat\"]\n\
         CMD [\"out\"]\n",
    );
    folder.write("src/main.c", "int main;");
    let tag = "demo/app:1".to_owned();
    let built = machine
        .build(
            &folder,
            BuildOptions {
                tags: vec![tag],
                ..options()
            },
        )
        .await;
    let id = built.image();
    assert_eq!(built.output(), "hello world from /srv/app\n");
    assert_eq!(
        machine.read(&id, "/srv/app/out"),
        "hello world from /srv/app\n"
    );
    assert_eq!(machine.read(&id, "/srv/app/src/main.c"), "int main;");
    assert_eq!(machine.images.resolve("demo/app:1").expect("tagged"), id);
    let image = machine.images.get(&id).expect("image");
    let root = machine
        .mount(&image)
        .root()
        .metadata(Path::new("/"))
        .expect("root");
    assert_eq!(
        (root.mode, root.uid),
        (0o755, 0),
        "everybody may enter the root directory"
    );
    let config = machine.images.get(&id).expect("image").config.config;
    assert!(config.env.contains(&"GREETING=hello world".to_owned()));
    assert!(config.env.contains(&"EMPTY=".to_owned()));
    assert_eq!(config.working_dir, "/srv/app");
    assert_eq!(config.user, "app:web");
    assert_eq!(config.labels["a"], "b");
    assert_eq!(
        config.entrypoint.as_deref(),
        Some(["/bin/cat".to_owned()].as_slice())
    );
    assert_eq!(config.cmd.as_deref(), Some(["out".to_owned()].as_slice()));
    assert!(config.exposed_ports.contains_key("80/tcp"));
    assert!(config.volumes.contains_key("/data"));
}

#[tokio::test]
async fn a_second_build_does_nothing_again_and_gives_the_same_image() {
    let machine = Machine::new();
    let dockerfile = "FROM scratch\nADD root.tar /\nCOPY a /a\nRUN echo one > /one\nCOPY b /b\n\
                      ENV X=1\n";
    let folder = Folder::new(dockerfile);
    folder.write("a", "1").write("b", "1");
    let first = machine.build(&folder, options()).await.image();
    let again = machine.build(&folder, options()).await;
    assert_eq!(again.image(), first);
    assert_eq!(again.cached().len(), 5);
    // Another content of `b` leaves the steps before it alone, and times do not count.
    folder.write("a", "1").write("b", "2");
    let changed = machine.build(&folder, options()).await;
    assert_eq!(
        changed.cached(),
        ["ADD root.tar /", "COPY a /a", "RUN echo one > /one"]
    );
    assert_ne!(changed.image(), first);
    let fresh = machine
        .build(
            &folder,
            BuildOptions {
                no_cache: true,
                ..options()
            },
        )
        .await;
    assert!(fresh.cached().is_empty());
    assert_ne!(fresh.image(), changed.image());
}

#[tokio::test]
async fn the_value_of_an_argument_decides_whether_a_command_runs_again() {
    let machine = Machine::new();
    let folder = Folder::new(
        "FROM scratch\nADD root.tar /\nARG V=default\nRUN echo before $V\nARG W\n\
         RUN echo \"$V/$W/$http_proxy\" > /v\n",
    );
    let first = machine.build(&folder, options()).await;
    assert_eq!(machine.read(&first.image(), "/v"), "default//\n");
    let given = machine
        .build(&folder, with_args(&[("W", "w"), ("http_proxy", "p")]))
        .await;
    assert_eq!(given.cached(), ["ADD root.tar /", "RUN echo before $V"]);
    assert_eq!(machine.read(&given.image(), "/v"), "default/w/p\n");
    let proxy = machine
        .build(&folder, with_args(&[("W", "w"), ("http_proxy", "q")]))
        .await;
    assert_eq!(
        proxy.image(),
        given.image(),
        "a proxy is no reason to run again"
    );
    assert!(given.warnings().is_empty());
    let stray = machine.build(&folder, with_args(&[("TYPO", "x")])).await;
    assert_eq!(
        stray.warnings(),
        ["[Warning] One or more build-args [TYPO] were not consumed"]
    );
}

#[tokio::test]
async fn stages_give_files_to_each_other_and_unneeded_ones_are_not_built() {
    let machine = Machine::new();
    let folder = Folder::new(
        "ARG BASE=base\nFROM scratch AS base\nADD root.tar /\n\
         FROM ${BASE} AS builder\nRUN mkdir -p /out/sub && echo made > /out/sub/file\n\
         FROM base AS broken\nRUN exit 9\n\
         FROM scratch\nCOPY --from=builder --chown=5:6 /out /result\nCOPY --from=0 /etc/passwd /\n",
    );
    let built = machine.build(&folder, options()).await;
    let id = built.image();
    assert_eq!(machine.read(&id, "/result/sub/file"), "made\n");
    assert!(machine.read(&id, "/passwd").starts_with("root:"));
    let image = machine.images.get(&id).expect("image");
    let owner = machine
        .mount(&image)
        .root()
        .metadata(Path::new("/result/sub/file"))
        .expect("there");
    assert_eq!((owner.uid, owner.gid), (5, 6));
    assert_eq!(
        image.layers.len(),
        2,
        "nothing of the other stages is in the image"
    );
    let target = BuildOptions {
        target: "builder".to_owned(),
        ..options()
    };
    let builder = machine.build(&folder, target).await;
    assert_eq!(machine.read(&builder.image(), "/out/sub/file"), "made\n");
    let missing = BuildOptions {
        target: "nope".to_owned(),
        ..options()
    };
    let error = machine.build(&folder, missing).await;
    assert_eq!(
        error.error().to_string(),
        "target stage \"nope\" could not be found"
    );
}

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
async fn ignored_control_files_are_not_seen_by_instructions() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nCOPY . /\n");
    folder
        .write(".dockerignore", "Dockerfile\n.dockerignore\nroot.tar\n")
        .write("kept", "1");
    let id = machine.build(&folder, options()).await.image();
    let image = machine.images.get(&id).expect("image");
    let names = machine
        .mount(&image)
        .root()
        .root()
        .expect("root")
        .names()
        .expect("names");
    assert_eq!(names, ["kept"]);
}

#[tokio::test]
async fn here_documents_are_commands_scripts_and_files() {
    let machine = Machine::new();
    let folder = Folder::new(
        "FROM scratch\nADD root.tar /\nENV NAME=me\nRUN <<EOF\nset -e\necho plain > /plain\nEOF\n\
         RUN <<SCRIPT\n#!/bin/cat\nthis text\nSCRIPT\n\
         RUN cat <<A > /cat\n\tfrom $NAME\nA\n\
         COPY <<one <<'two' /docs/\nI am $NAME\none\nraw $NAME\ntwo\n",
    );
    let built = machine.build(&folder, options()).await;
    let id = built.image();
    assert_eq!(machine.read(&id, "/plain"), "plain\n");
    assert_eq!(built.output(), "#!/bin/cat\nthis text\n");
    assert_eq!(machine.read(&id, "/cat"), "\tfrom me\n");
    assert_eq!(machine.read(&id, "/docs/one"), "I am me\n");
    assert_eq!(machine.read(&id, "/docs/two"), "raw $NAME\n");
    let image = machine.images.get(&id).expect("image");
    let names = machine
        .mount(&image)
        .root()
        .root()
        .expect("root")
        .names()
        .expect("names");
    assert!(
        !names
            .iter()
            .any(|name| name.to_string_lossy().contains("heredoc")),
        "the script left no trace: {names:?}"
    );
}

#[tokio::test]
async fn triggers_of_the_base_run_first_and_are_not_inherited() {
    let machine = Machine::new();
    let base = Folder::new(
        "FROM scratch\nADD root.tar /\nONBUILD COPY app /app\nONBUILD RUN cat /app > /copy\n",
    );
    let tags = vec!["base".to_owned()];
    machine
        .build(&base, BuildOptions { tags, ..options() })
        .await
        .image();
    let folder = Folder::new("FROM base\nRUN echo done\n");
    folder.write("app", "payload");
    let id = machine.build(&folder, options()).await.image();
    assert_eq!(machine.read(&id, "/copy"), "payload");
    assert_eq!(
        machine
            .images
            .get(&id)
            .expect("image")
            .config
            .config
            .on_build,
        None
    );
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
async fn labels_from_outside_and_the_base_command_rules() {
    let machine = Machine::new();
    let base = Folder::new("FROM scratch\nADD root.tar /\nCMD [\"old\"]\n");
    let tags = vec!["withcmd".to_owned()];
    machine
        .build(&base, BuildOptions { tags, ..options() })
        .await
        .image();
    let folder = Folder::new("FROM withcmd\nENTRYPOINT [\"new\"]\n");
    let labels = [("k".to_owned(), "v $x".to_owned())].into();
    let id = machine
        .build(
            &folder,
            BuildOptions {
                labels,
                ..options()
            },
        )
        .await
        .image();
    let config = machine.images.get(&id).expect("image").config.config;
    assert_eq!(
        config.cmd, None,
        "the base's command was for the base's entry point"
    );
    assert_eq!(config.labels["k"], "v $x");
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

#[tokio::test(flavor = "multi_thread")]
async fn builds_at_the_same_time_do_not_disturb_each_other() {
    let machine = Machine::new();
    let folder = Folder::new("FROM scratch\nADD root.tar /\nCOPY f /f\nRUN cat /f > /g\n");
    folder.write("f", "same");
    let other = Folder::new("FROM scratch\nADD root.tar /\nCOPY f /f\nRUN cat /f > /g\n");
    other.write("f", "other");
    let tagged = |name: &str| BuildOptions {
        tags: vec![name.to_owned()],
        ..options()
    };
    let (one, two, three) = tokio::join!(
        machine.build(&folder, tagged("one")),
        machine.build(&folder, tagged("two")),
        machine.build(&other, tagged("three")),
    );
    assert_eq!(machine.read(&one.image(), "/g"), "same");
    assert_eq!(machine.read(&two.image(), "/g"), "same");
    assert_eq!(machine.read(&three.image(), "/g"), "other");
    assert!(machine.snapshots.list_keys().expect("keys").is_empty());
}
