//! What comes out of a build.

use std::path::Path;

use berth_agent_build::BuildOptions;

use crate::machine::{Folder, Machine};
use crate::{options, with_args};

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
