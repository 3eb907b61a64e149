//! Layers on their way to or from a registry: a bar each on a terminal, plain lines otherwise.

use std::collections::HashMap;
use std::io;

use berth_proto::v1::LayerProgress;
use berth_proto::v1::layer_progress::Phase;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use super::progress;

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Standard output.
    Output,
    /// Standard error.
    Errors,
    /// Nowhere.
    Nowhere,
}

/// The layers of one transfer.
#[derive(Debug)]
pub(crate) struct Layers {
    place: Place,
    /// On a terminal.
    bars: Option<MultiProgress>,
    layers: HashMap<String, Layer>,
}

#[derive(Debug)]
struct Layer {
    phase: Phase,
    bar: Option<ProgressBar>,
}

// === impl Layers ===

impl Layers {
    /// Shows a transfer at `place`.
    pub(crate) fn at(place: Place) -> Self {
        let target = match place {
            Place::Output if super::output_is_terminal() => Some(ProgressDrawTarget::stdout()),
            Place::Errors if super::errors_are_terminal() => Some(ProgressDrawTarget::stderr()),
            _ => None,
        };
        Self {
            place,
            bars: target.map(MultiProgress::with_draw_target),
            layers: HashMap::new(),
        }
    }

    /// Shows a line that belongs to no layer.
    pub(crate) fn line(&self, text: &str) -> io::Result<()> {
        match (&self.bars, self.place) {
            (_, Place::Nowhere) => Ok(()),
            (Some(bars), _) => bars.println(text),
            (None, Place::Output) => super::line(text),
            (None, Place::Errors) => {
                super::note(text);
                Ok(())
            }
        }
    }

    /// Shows where a layer is.
    pub(crate) fn layer(&mut self, progress: &LayerProgress) -> io::Result<()> {
        let phase = progress.phase();
        let known = self.layers.get(&progress.id).map(|layer| layer.phase);
        if self.bars.is_some() {
            self.bar(progress, phase);
        } else if known != Some(phase) {
            for text in words(known, phase) {
                self.line(&format!("{}: {text}", progress.id))?;
            }
            self.layers
                .insert(progress.id.clone(), Layer { phase, bar: None });
        }
        Ok(())
    }

    fn bar(&mut self, progress: &LayerProgress, phase: Phase) {
        let Some(bars) = &self.bars else { return };
        let layer = self.layers.entry(progress.id.clone()).or_insert_with(|| {
            let bar = ProgressBar::new(0)
                .with_style(progress::layer_style(false))
                .with_prefix(progress.id.clone());
            let bar = bars.add(bar);
            Layer {
                phase: Phase::Unspecified,
                bar: Some(bar),
            }
        });
        let Some(bar) = &layer.bar else { return };
        if layer.phase != phase {
            layer.phase = phase;
            bar.set_message(title(phase));
            bar.set_style(progress::layer_style(
                moves(phase) && progress.total_bytes > 0,
            ));
        }
        bar.set_length(progress.total_bytes);
        bar.set_position(progress.current_bytes);
        if ended(phase) {
            bar.abandon();
        } else {
            bar.tick();
        }
    }

    /// Leaves what is shown as it is.
    pub(crate) fn finish(&mut self) {
        for layer in self.layers.values() {
            if let Some(bar) = &layer.bar {
                bar.abandon();
            }
        }
        self.layers.clear();
    }
}

fn moves(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::Downloading | Phase::Extracting | Phase::Pushing
    )
}

fn ended(phase: Phase) -> bool {
    matches!(
        phase,
        Phase::PullComplete | Phase::AlreadyExists | Phase::Pushed | Phase::Mounted
    )
}

/// The plain lines for a change of phase. Downloading and extracting have none of their own: the
/// line that counts is the one at their end. A layer that waits may turn out to be there already.
fn words(before: Option<Phase>, phase: Phase) -> Vec<&'static str> {
    let mut words = Vec::new();
    let begins = matches!(before, None | Some(Phase::Waiting));
    let pulls = matches!(
        phase,
        Phase::Downloading | Phase::Verifying | Phase::Extracting | Phase::PullComplete
    );
    if begins && pulls {
        words.push("Pulling fs layer");
    }
    match phase {
        Phase::Unspecified | Phase::Downloading | Phase::Pushing | Phase::Waiting => {}
        Phase::Extracting => words.push("Download complete"),
        other => words.push(title(other)),
    }
    words
}

fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Unspecified => "",
        Phase::Waiting => "Waiting",
        Phase::Downloading => "Downloading",
        Phase::Verifying => "Verifying Checksum",
        Phase::Extracting => "Extracting",
        Phase::PullComplete => "Pull complete",
        Phase::AlreadyExists => "Already exists",
        Phase::Preparing => "Preparing",
        Phase::Pushing => "Pushing",
        Phase::Pushed => "Pushed",
        Phase::Mounted => "Mounted",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulled_layer_has_dockers_plain_lines() {
        let mut before = None;
        let mut lines = Vec::new();
        for phase in [
            Phase::Waiting,
            Phase::Downloading,
            Phase::Verifying,
            Phase::Extracting,
            Phase::PullComplete,
        ] {
            lines.extend(words(before, phase));
            before = Some(phase);
        }
        assert_eq!(
            lines,
            [
                "Pulling fs layer",
                "Verifying Checksum",
                "Download complete",
                "Pull complete"
            ]
        );
        assert_eq!(
            words(Some(Phase::Waiting), Phase::AlreadyExists),
            ["Already exists"]
        );
        assert_eq!(words(None, Phase::Downloading), ["Pulling fs layer"]);
    }
}
