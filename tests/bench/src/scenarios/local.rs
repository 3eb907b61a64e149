//! Volumes and local images: archives out and in, volumes made and used.

use anyhow::{Result, ensure};

use crate::contestants::Contestant;
use crate::fixture::{SMALL, TEXT};
use crate::measure::{Line, Rounds, Row, Samples, Unit, in_turn};
use crate::scenarios::Bench;

/// How often the text of the image (8 MiB) is in the layer that is saved and loaded.
const N_COPIES: usize = 8;

const ARCHIVES: [Line<'_>; 3] = [
    ("save of a layer of 64 MiB", Unit::Milliseconds),
    ("rmi of it", Unit::Milliseconds),
    ("load of it", Unit::Milliseconds),
];
const VOLUMES: [Line<'_>; 3] = [
    ("volume create", Unit::Milliseconds),
    ("run --rm with that volume", Unit::Milliseconds),
    ("volume rm", Unit::Milliseconds),
];

const NAME: &str = "bench-local";

/// Measures this part.
///
/// # Errors
/// Never; lines say what failed.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let script = format!("i=0; while [ $i -lt {N_COPIES} ]; do cp /text /copy$i; i=$((i+1)); done");
    for one in bench.contestants {
        one.remove(&[NAME]);
        // Lines that need it say that it is missing.
        drop(one.output(&["run", "--name", NAME, TEXT, "sh", "-c", &script]));
        drop(one.output(&["commit", NAME, NAME]));
        one.remove(&[NAME]);
    }
    let archives = in_turn(
        bench.contestants,
        Rounds::cold(3),
        &ARCHIVES,
        |one, _round, samples| archive(bench, one, samples),
    );
    let volumes = in_turn(
        bench.contestants,
        Rounds::warm(5),
        &VOLUMES,
        |one, round, samples| volume(one, round, samples),
    );
    for one in bench.contestants {
        drop(one.output(&["rmi", "-f", NAME]));
    }
    Ok([archives, volumes].concat())
}

fn archive(bench: &Bench<'_>, one: &dyn Contestant, samples: &mut Samples) -> Result<()> {
    let file = bench.folder.join(format!("{}-saved.tar", one.name()));
    // One of them writes over no file.
    drop(std::fs::remove_file(&file));
    let path = file.display().to_string();
    nix::unistd::sync();
    samples.time(0, one.timed(&["save", "-o", &path, NAME])?);
    let size = std::fs::metadata(&file)?.len();
    ensure!(size > 64 << 20, "the archive has {size} bytes");
    samples.time(1, one.timed(&["rmi", NAME])?);
    nix::unistd::sync();
    samples.time(2, one.timed(&["load", "-i", &path])?);
    let found = one.output(&["images", "-q", NAME])?;
    ensure!(!found.trim().is_empty(), "the image is not back");
    std::fs::remove_file(&file)?;
    Ok(())
}

fn volume(one: &dyn Contestant, round: usize, samples: &mut Samples) -> Result<()> {
    let name = format!("{NAME}-{round}");
    samples.time(0, one.timed(&["volume", "create", &name])?);
    let bind = format!("{name}:/v");
    samples.time(1, one.timed(&["run", "--rm", "-v", &bind, SMALL, "true"])?);
    samples.time(2, one.timed(&["volume", "rm", &name])?);
    Ok(())
}
