//! Files of containers: copied in and out, committed, compared with the image.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::contestants::Contestant;
use crate::fixture::{SMALL, TEXT};
use crate::measure::{Line, Rounds, Row, Samples, Unit, in_turn};
use crate::scenarios::Bench;

const BIG_MIB: usize = 256;
const N_SMALL: usize = 5000;
/// Files that a container has written before it is committed.
const N_WRITTEN: usize = 2000;

const COPIES: [Line<'_>; 4] = [
    ("cp of a file of 256 MiB in", Unit::MebibytesPerSecond),
    ("cp of a file of 256 MiB out", Unit::MebibytesPerSecond),
    ("cp of 5,000 files of 1 KiB in, files", Unit::PerSecond),
    ("cp of 5,000 files of 1 KiB out, files", Unit::PerSecond),
];
const CHANGES: [Line<'_>; 2] = [
    ("diff of 2,000 new files", Unit::Milliseconds),
    ("commit of 2,000 new files and 8 MiB", Unit::Milliseconds),
];

/// Measures this part.
///
/// # Errors
/// When the files to copy cannot be made; otherwise lines say what failed.
pub(crate) fn measure(bench: &Bench<'_>) -> Result<Vec<Row>> {
    let sources = Sources::make(bench.folder)?;
    for one in bench.contestants {
        one.remove(&["bench-cp"]);
        // Lines that need it say that it is missing.
        drop(one.output(&[
            "run",
            "-d",
            "--stop-signal",
            "KILL",
            "--name",
            "bench-cp",
            SMALL,
            "sleep",
            "600",
        ]));
    }
    let mut rows = Vec::new();
    // Each direction on its own, so that a failure of one does not hide the other.
    for (first, lines) in [(0, &COPIES[..2]), (2, &COPIES[2..])] {
        rows.extend(in_turn(
            bench.contestants,
            Rounds::cold(3),
            lines,
            |one, round, samples| sources.copy(one, first == 0, round, samples),
        ));
    }
    for one in bench.contestants {
        one.remove(&["bench-cp"]);
    }
    rows.extend(changes(bench));
    Ok(rows)
}

/// What is copied, on this host.
struct Sources {
    folder: PathBuf,
}

impl Sources {
    fn make(folder: &Path) -> Result<Self> {
        let folder = folder.join("copies");
        // Left over by a killed bench.
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(folder.join("many"))?;
        std::fs::write(folder.join("big"), vec![b'x'; BIG_MIB << 20])?;
        for number in 0..N_SMALL {
            std::fs::write(folder.join(format!("many/{number}")), [b'y'; 1024])?;
        }
        Ok(Self { folder })
    }

    fn copy(
        &self,
        one: &dyn Contestant,
        is_big: bool,
        round: usize,
        samples: &mut Samples,
    ) -> Result<()> {
        let (what, amount) = if is_big {
            ("big", BIG_MIB)
        } else {
            ("many", N_SMALL)
        };
        let speed = |taken: Duration| amount as f64 / taken.as_secs_f64();
        let source = self.folder.join(what).display().to_string();
        let inside = format!("bench-cp:/{what}{round}");
        nix::unistd::sync();
        samples.number(0, speed(one.timed(&["cp", &source, &inside])?));
        let back = self
            .folder
            .join(format!("back-{}-{what}{round}", one.name()));
        nix::unistd::sync();
        let taken = one.timed(&["cp", &inside, &back.display().to_string()])?;
        samples.number(1, speed(taken));
        let n_bytes = size_of(&back)?;
        ensure!(
            n_bytes == size_of(&self.folder.join(what))?,
            "{n_bytes} bytes came back"
        );
        Ok(())
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        // Best effort: the next bench tries again.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn size_of(path: &Path) -> Result<u64> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let entries = std::fs::read_dir(path)?;
    entries.map(|entry| Ok(entry?.metadata()?.len())).sum()
}

fn changes(bench: &Bench<'_>) -> Vec<Row> {
    let script = format!(
        "mkdir /new; i=0; while [ $i -lt {N_WRITTEN} ]; do echo $i >/new/$i; i=$((i+1)); done; cp /text /copy"
    );
    let name = "bench-changed";
    for one in bench.contestants {
        one.remove(&[name]);
        // Lines that need it say that it is missing.
        drop(one.output(&["run", "--name", name, TEXT, "sh", "-c", &script]));
    }
    let diff = in_turn(
        bench.contestants,
        Rounds::warm(5),
        &CHANGES[..1],
        |one, _round, samples| {
            samples.time(0, one.timed(&["diff", name])?);
            let n_lines = one.output(&["diff", name])?.lines().count();
            ensure!(n_lines > N_WRITTEN, "{n_lines} changes are listed");
            Ok(())
        },
    );
    let commit = in_turn(
        bench.contestants,
        Rounds::warm(3),
        &CHANGES[1..],
        |one, round, samples| {
            let image = format!("bench-commit:{round}");
            samples.time(0, one.timed(&["commit", name, &image])?);
            Ok(())
        },
    );
    for one in bench.contestants {
        one.remove(&[name]);
    }
    [diff, commit].concat()
}
