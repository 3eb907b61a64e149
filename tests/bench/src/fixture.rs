//! The folder of a bench and the images that both contestants get.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::berth::Berth;
use crate::docker::Docker;
use crate::registry::{self, PORT};
use crate::shell::{output, wait_until};

/// The image of the quick commands: a static busybox and nothing else.
pub(crate) const SMALL: &str = "bench-small";

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
    for part in ["docker", "registry"] {
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

/// Gives both the small image, and both registries the large one.
///
/// # Errors
/// When an image cannot be made, pushed or served.
pub(crate) fn provide_images(folder: &Path, docker: &Docker, berth: &Berth) -> Result<()> {
    let small = small_image(folder)?;
    output(docker.command().arg("import").arg(&small).arg(SMALL))?;
    output(berth.command().arg("import").arg(&small).arg(SMALL))?;
    let context = large_context(folder)?;
    for number in 0..N_LARGE {
        make_different(&context, number)?;
        let reference = large(number);
        output(
            docker
                .command()
                .args(["build", "-t", &reference])
                .arg(&context),
        )?;
        output(docker.command().args(["push", &reference]))?;
    }
    let references: Vec<String> = (0..N_LARGE).map(large).collect();
    output(docker.command().args(["rmi", "-f"]).args(&references))?;
    output(docker.command().args(["image", "prune", "-f"]))?;
    let config = registry::write_config(folder)?;
    berth.ssh(&[&format!(
        "setsid docker-registry serve {config} >/dev/null 2>&1 </dev/null &"
    )])?;
    let url = format!("http://127.0.0.1:{PORT}/v2/");
    wait_until("the machine's registry answers", || {
        berth.ssh(&["busybox", "wget", "-qO-", &url]).is_ok()
    })
}

fn small_image(folder: &Path) -> Result<PathBuf> {
    let root = folder.join("small");
    std::fs::create_dir_all(root.join("bin"))?;
    std::fs::copy("/bin/busybox", root.join("bin/busybox")).context("busybox-static is needed")?;
    output(
        Command::new("ln")
            .args(["-sf", "busybox"])
            .arg(root.join("bin/true")),
    )?;
    output(
        Command::new("ln")
            .args(["-sf", "busybox"])
            .arg(root.join("bin/sleep")),
    )?;
    let tar = folder.join("small.tar");
    output(
        Command::new("tar")
            .arg("-C")
            .arg(&root)
            .arg("-cf")
            .arg(&tar)
            .arg("."),
    )?;
    Ok(tar)
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
