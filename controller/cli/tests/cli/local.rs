//! Volumes, archives and history of images, and what is thrown away.

use std::fs;

use crate::program::{Ended, Place};

#[test]
fn volumes_are_made_shown_and_removed() {
    let place = Place::new();
    let words = [
        "volume",
        "create",
        "--label",
        "a=1",
        "-o",
        "type=tmpfs",
        "--opt",
        "device=x",
        "v",
    ];
    assert_eq!(place.run(&words).success(), "v\n");
    let made = place.agent.seen.with(|state| state.volumes[0].clone());
    assert_eq!(
        (
            made.options["type"].as_str(),
            made.options["device"].as_str()
        ),
        ("tmpfs", "x")
    );
    assert_eq!(made.labels["a"], "1");
    let listed = place.run(&["volume", "ls"]).success();
    assert_eq!(
        listed,
        "DRIVER    VOLUME NAME\nlocal     v9\nlocal     v10\n"
    );
    assert_eq!(place.run(&["volume", "ls", "-q"]).success(), "v9\nv10\n");
    let shown = place.run(&["volume", "inspect", "data"]).success();
    assert_eq!(
        shown,
        "[\n    {\n        \"CreatedAt\": \"1970-01-01T00:00:00Z\",\n        \"Driver\": \"local\",\n        \
         \"Labels\": {\n            \"a\": \"1\"\n        },\n        \"Mountpoint\": \"/volumes/data/_data\",\n        \
         \"Name\": \"data\",\n        \"Options\": null,\n        \"Scope\": \"local\"\n    }\n]\n"
    );
    assert_eq!(
        place
            .run(&["inspect", "-f", "{{.Mountpoint}}", "data"])
            .success(),
        "/volumes/data/_data\n"
    );
    place
        .run(&["inspect", "nothing"])
        .fails(1, "No such object: nothing");
    let ended = place.run(&["volume", "rm", "v9", "used", "v10"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, "v9\nv10\n"));
    ended.fails(1, "remove used: volume is in use - [0123]");
}

#[test]
fn history_is_a_table_or_ids() {
    let place = Place::new();
    let said = place.run(&["history", "box"]).success();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines[0].starts_with("IMAGE          CREATED   CREATED BY"),
        "{said}"
    );
    assert!(
        lines[1].starts_with("abababababab   N/A       CMD [\"sh\"]"),
        "{said}"
    );
    assert!(
        lines[2].contains("<missing>") && lines[2].contains("4.26MB"),
        "{said}"
    );
    let said = place
        .run(&["image", "history", "-q", "--no-trunc", "box"])
        .success();
    assert_eq!(said, format!("sha256:{}\n<missing>\n", "ab".repeat(32)));
    let said = place
        .run(&["history", "-H=false", "--format", "{{.Size}}", "box"])
        .success();
    assert_eq!(said, "0\n4261502\n");
}

#[test]
fn archives_go_to_files_and_pipes_and_come_from_them() {
    let place = Place::new();
    let file = place.home.path().join("out.tar");
    let path = file.to_str().unwrap();
    assert_eq!(place.run(&["save", "a:1", "b"]).success(), "<a:1><b>");
    assert_eq!(place.run(&["save", "-o", path, "a:1"]).success(), "");
    assert_eq!(fs::read_to_string(&file).unwrap(), "<a:1>");
    let folder = place.home.path().to_str().unwrap();
    place
        .run(&["save", "-o", folder, "a"])
        .fails(1, "failed to save image: cannot write to a directory");
    let nowhere = format!("{folder}/no/x");
    place
        .run(&["save", "-o", &nowhere, "a"])
        .fails(1, "failed to save image: invalid output path");
    let said = "The image box:1 already exists, renaming the old one with ID sha256:55 to empty string\n\
                Loaded image: box:1\nLoaded image ID: sha256:66\n";
    assert_eq!(place.run(&["load", "-i", path]).success(), said);
    assert_eq!(place.run_with(&["load", "-q"], "more").success(), said);
    let seen = place.agent.seen.with(|state| state.imported.clone());
    assert_eq!(seen, b"<a:1>more");
    place.run(&["load", "-i", &nowhere]).fails(1, "no/x");
}

#[test]
fn nothing_is_thrown_away_without_a_yes() {
    let place = Place::new();
    let no = place.run_with(&["image", "prune"], "n\n");
    assert!(
        no.stdout
            .starts_with("WARNING! This will remove all dangling images.\nAre you sure"),
        "{no:?}"
    );
    no.fails(1, "image prune has been cancelled");
    let no = place.run(&["volume", "prune", "-a"]);
    assert!(
        no.stdout
            .starts_with("WARNING! This will remove all local volumes not used by"),
        "{no:?}"
    );
    no.fails(1, "volume prune has been cancelled");
    assert!(place.agent.seen.with(|state| state.pruned.is_empty()));
    let said = place
        .run(&["image", "prune", "-af", "--filter", "until=1h"])
        .success();
    assert_eq!(
        said,
        "Deleted Images:\ndeleted: sha256:33\n\nTotal reclaimed space: 1.5MB\n"
    );
    let said = place.run_with(&["volume", "prune"], "y\n").success();
    assert!(
        said.ends_with("Deleted Volumes:\nloose\n\nTotal reclaimed space: 500kB\n"),
        "{said}"
    );
    let asked = place.agent.seen.with(|state| state.pruned.clone());
    let filters = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        asked,
        [
            ("images", filters(&["until=1h", "dangling=false"])),
            ("volumes", filters(&[]))
        ]
    );
}

#[test]
fn what_everything_takes_is_a_table() {
    let place = Place::new();
    let said = place.run(&["system", "df"]).success();
    assert!(
        said.contains("\nImages          0         0         7MB       7MB (100%)\n"),
        "{said}"
    );
    let said = place.run(&["system", "df", "--format", "json"]).success();
    assert_eq!(said.lines().count(), 4, "{said}");
    place
        .run(&["system", "prune", "--volumes", "--filter", "until=1h"])
        .fails(
            1,
            "The \"until\" filter is not supported with \"--volumes\"",
        );
}

#[test]
fn a_terminal_is_not_written_to() {
    let place = Place::new();
    let pty = nix::pty::openpty(None, None).unwrap();
    let mut command = place.command(&["save", "a:1"]);
    let ended = Ended::of(command.stdout(pty.slave).spawn().unwrap());
    ended.fails(
        1,
        "cowardly refusing to save to a terminal. Use the -o flag or redirect",
    );
}
