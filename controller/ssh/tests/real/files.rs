//! Copies to, from and between hosts, beside what `scp` does.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use berth_controller_ssh::copy::{CopyError, CopyOptions, CopyProgress, End, Side, copy};
use berth_controller_ssh::sftp::Sftp;

use crate::{Host, run};

pub(crate) const SERVES_FILES: &str = "Subsystem sftp internal-sftp";

#[derive(Default)]
pub(crate) struct Heard {
    problems: Mutex<Vec<String>>,
    n_bytes: Mutex<u64>,
}

impl Heard {
    pub(crate) fn problems(&self) -> Vec<String> {
        self.problems.lock().unwrap().clone()
    }
}

impl CopyProgress for Heard {
    fn bytes(&self, n_bytes: u64) {
        *self.n_bytes.lock().unwrap() += n_bytes;
    }

    fn problem(&self, error: &CopyError) {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        let text = format!("{error}: {}", cause.unwrap_or_default());
        self.problems.lock().unwrap().push(text);
    }
}

pub(crate) const ALL: CopyOptions = CopyOptions {
    recursive: true,
    preserve: false,
};

fn here(path: &Path) -> End<'static> {
    End {
        side: Side::Local,
        path: path.as_os_str().as_bytes().to_vec(),
    }
}

pub(crate) fn there<'a>(files: &'a Sftp, path: &Path) -> End<'a> {
    End {
        side: Side::Remote { name: "m", files },
        path: path.as_os_str().as_bytes().to_vec(),
    }
}

async fn good(from: &End<'_>, to: &End<'_>, options: CopyOptions) {
    let heard = Heard::default();
    let copied = copy(from, to, options, &heard).await;
    assert!(copied.is_ok(), "{copied:?} {:?}", heard.problems());
}

/// Makes a tree with all that is awkward about names.
fn tree(root: &Path) {
    fs::create_dir_all(root.join("sub dir/deep")).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    for name in [
        "a b",
        "new\nline",
        "star*?",
        "-dash",
        "sub dir/deep/ü",
        "'q\"uote",
    ] {
        fs::write(root.join(name), name).unwrap();
    }
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not\xffutf8")), "x").unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    let large: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
    fs::write(root.join("large"), large).unwrap();
    symlink("large", root.join("link")).unwrap();
    let script = root.join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o750)).unwrap();
}

/// Says whether two trees have the same content, links followed.
fn assert_same(one: &Path, other: &Path) {
    run(
        "diff",
        &["-r", one.to_str().unwrap(), other.to_str().unwrap()],
    );
}

#[tokio::test]
async fn trees_go_there_and_back_and_between_hosts() {
    let (host, other) = (Host::start(&[SERVES_FILES]), Host::start(&[SERVES_FILES]));
    let (session, second) = (host.session().await, other.session().await);
    let (files, more) = (session.sftp().await.unwrap(), second.sftp().await.unwrap());
    let source = host.path("source");
    fs::create_dir(&source).unwrap();
    tree(&source);
    let (up, across, down) = (host.path("up"), host.path("across"), host.path("down"));
    good(&here(&source), &there(&files, &up), ALL).await;
    assert_same(&source, &up);
    let between = End {
        side: Side::Remote {
            name: "n",
            files: &more,
        },
        path: across.as_os_str().as_bytes().to_vec(),
    };
    good(&there(&files, &up), &between, ALL).await;
    assert_same(&source, &across);
    good(&there(&files, &across), &here(&down), ALL).await;
    assert_same(&source, &down);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&down.join("script")), 0o750);
    // Links were followed, and nothing hidden is left.
    assert!(!down.join("link").is_symlink());
    let hidden = run(
        "find",
        &[host.folder.path().to_str().unwrap(), "-name", ".*berth*"],
    );
    assert_eq!(hidden, "");
}

#[tokio::test]
async fn targets_are_chosen_as_scp_chooses_them() {
    let host = Host::start(&[SERVES_FILES]);
    let session = host.session().await;
    let files = session.sftp().await.unwrap();
    // (what is there, from, to, recursive)
    let cases = [
        ("dir", "file", "dir", false),
        ("dir", "file", "dir/", false),
        ("dir", "file", "dir/new", false),
        ("", "file", "new", false),
        ("", "file", "new/", false),
        ("dir", "tree", "dir", true),
        ("", "tree", "new", true),
        ("", "tree/", "new", true),
        ("dir", "tree", "dir", false),
        ("other", "tree", "other", true),
        ("other", "file", "other", false),
        ("", "absent", "new", false),
        ("dir", "tree/.", "dir", true),
    ];
    for (index, (present, from, to, recursive)) in cases.into_iter().enumerate() {
        for upload in [true, false] {
            let folder = |name: &str| host.path(&format!("{name}-{index}-{upload}"));
            let source = folder("source");
            fs::create_dir_all(source.join("tree/in")).unwrap();
            fs::write(source.join("tree/in/x"), "x").unwrap();
            fs::write(source.join("file"), "f").unwrap();
            let targets = [folder("ours"), folder("theirs")];
            for target in &targets {
                fs::create_dir(target).unwrap();
                match present {
                    "dir" => fs::create_dir(target.join("dir")).unwrap(),
                    "other" => fs::write(target.join("other"), "old").unwrap(),
                    _ => {}
                }
            }
            let from = format!("{}/{from}", source.display());
            let to = |root: &Path| format!("{}/{to}", root.display());
            let (ours, theirs) = (to(&targets[0]), to(&targets[1]));
            let options = CopyOptions {
                recursive,
                ..CopyOptions::default()
            };
            let (from_end, to_end) = if upload {
                (here(Path::new(&from)), there(&files, Path::new(&ours)))
            } else {
                (there(&files, Path::new(&from)), here(Path::new(&ours)))
            };
            let copied = copy(&from_end, &to_end, options, &Heard::default()).await;
            let scp = scp(&host, &from, &theirs, recursive, upload);
            let context = format!("case {index} {from} {ours} upload {upload}: {copied:?}");
            assert_eq!(copied.is_ok(), scp, "{context}");
            // With a name of its own, `.` goes into the target's folder of that name.
            if !from.ends_with("/.") {
                let listing = |root: &Path| {
                    let list = run(
                        "sh",
                        &["-c", &format!("cd {} && find . | sort", root.display())],
                    );
                    list.replace("./new/tree", "./new")
                };
                assert_eq!(listing(&targets[0]), listing(&targets[1]), "{context}");
            }
        }
    }
}

/// Runs the system's scp; returns whether it succeeded.
fn scp(host: &Host, from: &str, to: &str, recursive: bool, upload: bool) -> bool {
    let remote = |path: &str| format!("root@127.0.0.1:{path}");
    let (from, to) = if upload {
        (from.to_owned(), remote(to))
    } else {
        (remote(from), to.to_owned())
    };
    let mut command = Command::new("scp");
    command.args(["-F", "none", "-q", "-o", "StrictHostKeyChecking=no"]);
    command.args(["-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]);
    command.arg("-i").arg(host.sshd.client_key());
    command.arg("-P").arg(host.sshd.port().to_string());
    if recursive {
        command.arg("-r");
    }
    command.arg(from).arg(to).output().unwrap().status.success()
}

#[tokio::test]
async fn patterns_are_resolved_on_the_host_and_names_that_look_like_them_are_found() {
    let host = Host::start(&[SERVES_FILES]);
    let session = host.session().await;
    let files = session.sftp().await.unwrap();
    let source = host.path("source");
    fs::create_dir(&source).unwrap();
    for name in ["a.log", "b.log", ".c.log", "d.txt", "x*"] {
        fs::write(source.join(name), name).unwrap();
    }
    let target = host.path("target");
    fs::create_dir(&target).unwrap();
    let names = || {
        let mut names: Vec<String> = fs::read_dir(&target)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    };
    let quiet = CopyOptions::default();
    good(&there(&files, &source.join("*.log")), &here(&target), quiet).await;
    assert_eq!(names(), ["a.log", "b.log"]);
    good(&there(&files, &source.join("x*")), &here(&target), quiet).await;
    assert_eq!(names(), ["a.log", "b.log", "x*"]);
    let error = copy(
        &there(&files, &source.join("*.log")),
        &here(&host.path("one")),
        quiet,
        &Heard::default(),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, CopyError::NotDirectory(_)), "{error}");
}

#[tokio::test]
async fn permissions_and_times_are_kept_when_asked_for() {
    let host = Host::start(&[SERVES_FILES]);
    let session = host.session().await;
    let files = session.sftp().await.unwrap();
    let source = host.path("source");
    fs::create_dir(&source).unwrap();
    let file = source.join("old");
    fs::write(&file, "old").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o602)).unwrap();
    fs::set_permissions(&source, fs::Permissions::from_mode(0o557)).unwrap();
    run(
        "touch",
        &[
            "-d",
            "2001-02-03 04:05:06",
            file.to_str().unwrap(),
            source.to_str().unwrap(),
        ],
    );
    let keep = CopyOptions {
        recursive: true,
        preserve: true,
    };
    let (up, down) = (host.path("up"), host.path("down"));
    good(&here(&source), &there(&files, &up), keep).await;
    good(&there(&files, &up), &here(&down), keep).await;
    for (path, mode) in [(down.join("old"), 0o602), (down, 0o557)] {
        let found = fs::metadata(&path).unwrap();
        assert_eq!(found.permissions().mode() & 0o777, mode, "{path:?}");
        assert_eq!(
            found.mtime(),
            fs::metadata(&file).unwrap().mtime(),
            "{path:?}"
        );
    }
}

#[tokio::test]
async fn what_is_there_is_replaced_whole_and_keeps_its_permissions_and_links() {
    let host = Host::start(&[SERVES_FILES]);
    let session = host.session().await;
    let files = session.sftp().await.unwrap();
    let (new, old, link) = (host.path("new"), host.path("old"), host.path("link"));
    fs::write(&new, "new").unwrap();
    fs::write(&old, "old and longer").unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&old, &link).unwrap();
    for upload in [true, false] {
        fs::write(&old, "old and longer").unwrap();
        let (from, to) = if upload {
            (here(&new), there(&files, &link))
        } else {
            (there(&files, &new), here(&link))
        };
        good(&from, &to, CopyOptions::default()).await;
        assert!(link.is_symlink());
        assert_eq!(fs::read_to_string(&old).unwrap(), "new");
        assert_eq!(
            fs::metadata(&old).unwrap().permissions().mode() & 0o777,
            0o640
        );
    }
    // A device is written to, not replaced.
    good(
        &there(&files, &new),
        &here(Path::new("/dev/null")),
        CopyOptions::default(),
    )
    .await;
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
}

#[tokio::test]
async fn failures_name_the_file_and_leave_nothing_half() {
    let host = Host::start(&[SERVES_FILES]);
    let session = host.session().await;
    let files = session.sftp().await.unwrap();
    let mount = host.path("small");
    fs::create_dir(&mount).unwrap();
    let _mounted = Mounted::tmpfs(&mount, "64k");
    let large = host.path("large");
    fs::write(&large, vec![7; 1_000_000]).unwrap();
    for upload in [true, false] {
        let (from, to) = if upload {
            (here(&large), there(&files, &mount.join("x")))
        } else {
            (there(&files, &large), here(&mount.join("x")))
        };
        let heard = Heard::default();
        let error = copy(&from, &to, CopyOptions::default(), &heard)
            .await
            .unwrap_err();
        assert!(
            matches!(error, CopyError::Some { n_problems: 1 }),
            "{error}"
        );
        let problem = &heard.problems()[0];
        assert!(problem.contains("small/x"), "{problem}");
        assert_eq!(fs::read_dir(&mount).unwrap().count(), 0, "{problem}");
    }
    // Others go on.
    let tree = host.path("tree");
    fs::create_dir(&tree).unwrap();
    run("mkfifo", &[tree.join("a-fifo").to_str().unwrap()]);
    symlink("nowhere", tree.join("b-dangling")).unwrap();
    fs::write(tree.join("c-file"), "c").unwrap();
    let heard = Heard::default();
    let down = host.path("down");
    let error = copy(&there(&files, &tree), &here(&down), ALL, &heard)
        .await
        .unwrap_err();
    assert!(
        matches!(error, CopyError::Some { n_problems: 2 }),
        "{error} {:?}",
        heard.problems()
    );
    assert_eq!(fs::read_to_string(down.join("c-file")).unwrap(), "c");
    assert!(
        heard.problems()[0].contains("a-fifo"),
        "{:?}",
        heard.problems()
    );
}

#[tokio::test]
async fn nothing_is_copied_onto_or_into_itself() {
    let host = Host::start(&[SERVES_FILES]);
    let tree = host.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("x"), "precious").unwrap();
    let heard = Heard::default();
    copy(&here(&tree), &here(&tree.join("in")), ALL, &heard)
        .await
        .unwrap_err();
    copy(&here(&tree.join("x")), &here(&tree), ALL, &heard)
        .await
        .unwrap_err();
    assert!(
        heard
            .problems()
            .iter()
            .all(|text| text.contains("onto itself"))
    );
    assert_eq!(fs::read_to_string(tree.join("x")).unwrap(), "precious");
}

#[tokio::test]
async fn host_without_sftp_says_so() {
    let host = Host::start(&[]);
    let session = host.session().await;
    let error = session.sftp().await.unwrap_err();
    assert!(
        error.to_string().contains("no files by SFTP")
            || error.to_string().contains("serves no files"),
        "{error}"
    );
}

/// A file system in memory that goes away with this value.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(path: &'a Path, size: &str) -> Self {
        let size = format!("size={size}");
        run(
            "mount",
            &["-t", "tmpfs", "-o", &size, "tmpfs", path.to_str().unwrap()],
        );
        Self(path)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
