//! `cargo xtask demo`: the main job on two sandbox machines, each command shown before it runs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::{cargo, is_root, programs, run as run_command, say, target_directory};
use crate::{clean, packages};

/// What happens to the machines when the show is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// They are removed.
    Remove,
    /// They go on running.
    Keep,
}

/// A title, and lines for the shell; all lines of all scenes run in one shell's environment.
struct Scene {
    title: &'static str,
    lines: &'static [&'static str],
}

const SCENES: &[Scene] = &[
    Scene {
        title: "Make two machines. No hypervisor, no download: each is a part of this host, reached over SSH.",
        lines: &[
            "berth machine create demo",
            "berth machine create --engine-insecure-registry \"$(berth machine ip demo):5000\" demo2",
            "berth machine ls",
        ],
    },
    Scene {
        title: "Point this shell at the first machine.",
        lines: &[
            "berth machine env demo",
            "eval \"$(berth machine env demo)\"",
            "berth info",
        ],
    },
    Scene {
        title: "Build a registry out of the host's own files, and run it in a container.",
        lines: &[
            "cat registry/Dockerfile",
            "berth build -t registry registry",
            "berth run -d --name registry -p 5000:5000 registry",
        ],
    },
    Scene {
        title: "Build a small web server, try it, and push it.",
        lines: &[
            "cat hello/Dockerfile",
            "berth build -t localhost:5000/hello hello",
            "berth run --rm localhost:5000/hello busybox cat /www/index.html",
            "berth push localhost:5000/hello",
            "berth images",
        ],
    },
    Scene {
        title: "Pull it on the second machine over the network, and run it there.",
        lines: &[
            "REGISTRY=\"$(berth machine ip demo):5000\"",
            "berth --machine demo2 pull \"$REGISTRY/hello\"",
            "berth --machine demo2 run -d --name web -p 8080:80 \"$REGISTRY/hello\"",
            "berth --machine demo2 ps",
            "busybox wget -qO- \"http://$(berth machine ip demo2):8080/\"",
            "berth --machine demo2 logs web",
            "berth --machine demo2 exec web busybox uname -n",
        ],
    },
    Scene {
        title: "Clear up the containers.",
        lines: &[
            "berth --machine demo2 stop web",
            "berth --machine demo2 rm web",
            "berth rm -f registry",
            "berth ps -a",
        ],
    },
];

const FAREWELL: Scene = Scene {
    title: "Remove the machines, and everything that they held.",
    lines: &["berth machine rm -y demo demo2"],
};

const REGISTRY_DOCKERFILE: &str = "\
FROM scratch
COPY ld-linux /lib64/ld-linux-x86-64.so.2
COPY libc /lib/x86_64-linux-gnu/libc.so.6
COPY docker-registry /bin/docker-registry
COPY config.yml /etc/registry.yml
VOLUME /var/lib/registry
EXPOSE 5000
ENTRYPOINT [\"/bin/docker-registry\", \"serve\", \"/etc/registry.yml\"]
";

const REGISTRY_CONFIG: &str = "\
version: 0.1
log: {level: warn}
storage: {filesystem: {rootdirectory: /var/lib/registry}}
http: {addr: \":5000\"}
";

const HELLO_DOCKERFILE: &str = "\
FROM scratch
COPY busybox /bin/busybox
RUN [\"/bin/busybox\", \"mkdir\", \"/www\"]
RUN [\"/bin/busybox\", \"sh\", \"-c\", \"echo 'Hello from a container of berth.' >/www/index.html\"]
EXPOSE 80
CMD [\"busybox\", \"httpd\", \"-f\", \"-vv\", \"-h\", \"/www\"]
";

/// Installs, builds and shows.
///
/// # Errors
/// When something is missing, does not build, or a shown command fails; the machines are then
/// left for `cargo xtask clean`.
pub(crate) fn run(ending: Ending) -> Result<()> {
    if !is_root() {
        bail!("sandbox machines are made of namespaces and mounts: run the demo as root");
    }
    packages::install(&[packages::SANDBOX])?;
    say("Building berth and berthd (a few minutes the first time)");
    run_command(cargo().args(["build", "--release"]))?;
    let folder = target_directory().join("demo");
    // An earlier demo that was kept, or killed.
    clean::remove_machines(&folder.join("store"))?;
    write_contexts(&folder)?;
    let mut script = opening(&folder);
    for scene in SCENES {
        script.push_str(&spoken(scene));
    }
    if ending == Ending::Remove {
        script.push_str(&spoken(&FAREWELL));
    }
    // Interrupting the shell is enough: each command shown cleans up after itself.
    run_command(Command::new("bash").args(["-eu", "-c", &script]))?;
    say("");
    match ending {
        Ending::Remove => {
            say("That was the main job. `cargo xtask demo --keep` leaves the machines for you.");
        }
        Ending::Keep => say(&format!(
            "The machines go on running. In your shell:\n\n{}\n`cargo xtask clean` removes them.",
            opening(&folder)
        )),
    }
    Ok(())
}

/// The lines that make a shell fit for the others.
fn opening(folder: &Path) -> String {
    format!(
        "cd {}\nexport PATH={}:$PATH\nexport MACHINE_STORAGE_PATH=$PWD/store\n",
        folder.display(),
        programs("release").display(),
    )
}

/// A scene as a script that shows each line before it does it.
fn spoken(scene: &Scene) -> String {
    let mut script = format!(
        "printf '\\n\\033[1m# %s\\033[0m\\n' {}\n",
        quoted(scene.title)
    );
    for line in scene.lines {
        script.push_str(&format!(
            "printf '\\033[32m$\\033[0m %s\\n' {}\n{line}\n",
            quoted(line)
        ));
    }
    script
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn write_contexts(folder: &Path) -> Result<()> {
    let registry = folder.join("registry");
    let hello = folder.join("hello");
    std::fs::create_dir_all(&registry)?;
    std::fs::create_dir_all(&hello)?;
    for (from, to) in [
        ("/lib64/ld-linux-x86-64.so.2", registry.join("ld-linux")),
        ("/lib/x86_64-linux-gnu/libc.so.6", registry.join("libc")),
        ("/usr/bin/docker-registry", registry.join("docker-registry")),
        ("/bin/busybox", hello.join("busybox")),
    ] {
        copy(from, &to)?;
    }
    std::fs::write(registry.join("Dockerfile"), REGISTRY_DOCKERFILE)?;
    std::fs::write(registry.join("config.yml"), REGISTRY_CONFIG)?;
    std::fs::write(hello.join("Dockerfile"), HELLO_DOCKERFILE)?;
    Ok(())
}

fn copy(from: &str, to: &PathBuf) -> Result<()> {
    use anyhow::Context as _;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {from} to {}", to.display()))?;
    Ok(())
}
