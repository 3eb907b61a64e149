//! The folder of a bench and the images that all contestants get.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::contestants::{Berth, Contestant, Docker, Podman};
use crate::registry::{self, PORT};
use crate::shell::{output, wait_until};

/// The image of the quick commands: a static busybox and nothing else.
pub(crate) const SMALL: &str = "bench-small";

/// The image of what writes a lot: the small one and [`TEXT_MIB`] of log lines in `/text`.
pub(crate) const TEXT: &str = "bench-text";

/// Size of `/text` in MiB.
pub(crate) const TEXT_MIB: usize = 8;

/// How many images there are to pull. No two share a layer, and none is removed during the bench:
/// ext4 is several times slower at making files for a while after it has removed many.
pub(crate) const N_LARGE: usize = 4;

/// Returns the reference of an image that is pulled: a Debian and two layers of programs, about
/// 200 MB unpacked.
pub(crate) fn large(number: usize) -> String {
    format!("localhost:{PORT}/bench-large:{number}")
}

/// Returns an empty folder below the target folder.
///
/// # Errors
/// When it cannot be emptied or made.
pub(crate) fn fresh_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program
        .ancestors()
        .nth(3)
        .context("not started from a target folder")?;
    // A machine has a /tmp of its own, and must see what is served from here.
    if target.starts_with("/tmp") {
        bail!(
            "{} is below /tmp, which sandbox machines do not share: set CARGO_TARGET_DIR to another folder",
            target.display()
        );
    }
    let folder = target.join("bench");
    Podman::clear(&folder);
    detach_mounts_below(&folder)?;
    for part in ["docker", "podman", "registry"] {
        match std::fs::remove_dir_all(folder.join(part)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot empty {}", folder.display()));
            }
            _ => {}
        }
    }
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A bench that was killed leaves mounts of containers.
fn detach_mounts_below(folder: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mounts")?;
    let points: Vec<&Path> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1).map(Path::new))
        .filter(|point| {
            ["docker", "podman"]
                .iter()
                .any(|part| point.starts_with(folder.join(part)))
        })
        .collect();
    for point in points.into_iter().rev() {
        output(Command::new("umount").arg("--lazy").arg(point))?;
    }
    Ok(())
}

/// Gives everybody the images that are only run.
///
/// # Errors
/// When an image cannot be made or imported.
pub(crate) fn provide_small_images(folder: &Path, contestants: &[&dyn Contestant]) -> Result<()> {
    let small = busybox_image(folder, "small", 0)?;
    let text = busybox_image(folder, "text", TEXT_MIB)?;
    for contestant in contestants {
        contestant.output(&["import", &small, SMALL])?;
        contestant.output(&["import", &text, TEXT])?;
    }
    Ok(())
}

/// Gives all registries the large images.
///
/// # Errors
/// When an image cannot be made, pushed or served.
pub(crate) fn provide_large_images(folder: &Path, docker: &Docker, berth: &Berth) -> Result<()> {
    let docker: &dyn Contestant = docker;
    let context = large_context(folder)?;
    let context_path = context.display().to_string();
    for number in 0..N_LARGE {
        make_different(&context, number)?;
        let reference = large(number);
        docker.output(&["build", "-t", &reference, &context_path])?;
        docker.output(&["push", &reference])?;
    }
    let references: Vec<String> = (0..N_LARGE).map(large).collect();
    let references: Vec<&str> = references.iter().map(String::as_str).collect();
    docker.output(&[&["rmi", "-f"], references.as_slice()].concat())?;
    docker.output(&["image", "prune", "-f"])?;
    let config = registry::write_config(folder)?;
    berth.ssh(&[&format!(
        "setsid docker-registry serve {config} >/dev/null 2>&1 </dev/null &"
    )])?;
    let url = format!("http://127.0.0.1:{PORT}/v2/");
    wait_until("the machine's registry answers", || {
        berth.ssh(&["busybox", "wget", "-qO-", &url]).is_ok()
    })
}

/// Makes the tar of a root filesystem with busybox and so many MiB of log lines in `/text`.
fn busybox_image(folder: &Path, name: &str, text_mib: usize) -> Result<String> {
    let root = folder.join(name);
    std::fs::create_dir_all(root.join("bin"))?;
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is needed")?;
    for applet in ["sh", "true", "sleep", "cat", "httpd", "mkdir", "cp"] {
        let link = root.join("bin").join(applet);
        output(Command::new("ln").args(["-sf", "busybox"]).arg(link))?;
    }
    std::fs::write(root.join("answer"), "here\n")?;
    if text_mib > 0 {
        let line = format!(
            "{:<127}\n",
            "2026-01-01 12:00:00 INFO request=42 path=/index"
        );
        std::fs::write(root.join("text"), line.repeat(text_mib * 8192))?;
    }
    let tar = folder.join(format!("{name}.tar"));
    output(
        Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg("."),
    )?;
    Ok(tar.display().to_string())
}

fn large_context(folder: &Path) -> Result<PathBuf> {
    let context = folder.join("large");
    std::fs::create_dir_all(&context)?;
    let debian = context.join("debian.tar");
    if !debian.exists() {
        output(
            Command::new("mmdebstrap")
                .args(["--quiet", "--variant=minbase", "bookworm"])
                .arg(&debian),
        )?;
    }
    std::fs::write(
        context.join("Dockerfile"),
        "FROM scratch\nADD debian.tar /\nCOPY docker-registry /opt/\nCOPY containerd /opt/\nCMD [\"true\"]\n",
    )?;
    Ok(context)
}

/// Changes each layer of the large image a little.
fn make_different(context: &Path, number: usize) -> Result<()> {
    for program in ["/usr/bin/docker-registry", "/usr/bin/containerd"] {
        let mut bytes = std::fs::read(program)?;
        bytes.extend_from_slice(&number.to_le_bytes());
        let name = Path::new(program).file_name().unwrap_or_default();
        std::fs::write(context.join(name), bytes)?;
    }
    std::fs::write(context.join("number"), number.to_string())?;
    let mut append = Command::new("tar");
    append
        .arg("-C")
        .arg(context)
        .args(["--append", "-f", "debian.tar", "number"])
        .current_dir(context);
    output(&mut append).map(drop)
}
