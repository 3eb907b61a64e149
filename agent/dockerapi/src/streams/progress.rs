//! Lines of a long piece of work, in the words that Docker's clients show.

use berth_agent_images::{LayerPhase, Progress};
use serde::Serialize;
use serde_json::Value;

/// One line.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(rename = "progressDetail", skip_serializing_if = "Option::is_none")]
    progress_detail: Option<Detail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    progress: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(rename = "errorDetail", skip_serializing_if = "Option::is_none")]
    error_detail: Option<ErrorDetail>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aux: Option<Value>,
}

/// How far something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct Detail {
    #[serde(skip_serializing_if = "is_zero")]
    current: u64,
    #[serde(skip_serializing_if = "is_zero")]
    total: u64,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ErrorDetail {
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i32>,
    message: String,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Line {
    /// A piece of text, with its own ends of lines.
    pub(crate) fn stream(text: impl Into<String>) -> Self {
        Self {
            stream: Some(text.into()),
            ..Self::default()
        }
    }

    /// A sentence.
    pub(crate) fn status(text: impl Into<String>) -> Self {
        Self {
            status: Some(text.into()),
            ..Self::default()
        }
    }

    /// A sentence about something.
    pub(crate) fn status_of(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            id: Some(id.into()),
            ..Self::status(text)
        }
    }

    /// Something for programs.
    pub(crate) fn aux(value: Value) -> Self {
        Self {
            aux: Some(value),
            ..Self::default()
        }
    }

    /// A failure; nothing follows.
    pub(crate) fn error(sentence: &str, code: Option<i32>) -> Self {
        Self {
            error_detail: Some(ErrorDetail {
                code,
                message: sentence.to_owned(),
            }),
            error: Some(sentence.to_owned()),
            ..Self::default()
        }
    }

    /// What a pull or push tells.
    pub(crate) fn of(progress: Progress) -> Self {
        match progress {
            Progress::Status(text) => match text.split_once(": ") {
                // Docker has the tag apart.
                Some((tag, rest)) if rest.starts_with("Pulling from ") => {
                    Self::status_of(tag, rest)
                }
                _ => Self::status(text),
            },
            Progress::Layer {
                id,
                phase,
                current_bytes,
                total_bytes,
            } => Self::layer(id, phase, current_bytes, total_bytes),
        }
    }

    fn layer(id: String, phase: LayerPhase, current: u64, total: u64) -> Self {
        let (word, moves) = words(phase);
        let detail = if moves {
            Detail { current, total }
        } else {
            Detail::default()
        };
        Self {
            progress: (moves && current > 0).then(|| bar(current, total)),
            progress_detail: Some(detail),
            ..Self::status_of(id, word)
        }
    }
}

/// Returns Docker's words for a phase, and whether it is one with numbers.
fn words(phase: LayerPhase) -> (&'static str, bool) {
    match phase {
        LayerPhase::Waiting => ("Pulling fs layer", false),
        LayerPhase::Downloading => ("Downloading", true),
        LayerPhase::Verifying => ("Verifying Checksum", false),
        LayerPhase::Extracting => ("Extracting", true),
        LayerPhase::PullComplete => ("Pull complete", false),
        LayerPhase::AlreadyExists => ("Already exists", false),
        LayerPhase::Preparing => ("Preparing", false),
        LayerPhase::Pushing => ("Pushing", true),
        LayerPhase::Pushed => ("Pushed", false),
        LayerPhase::Mounted => ("Mounted from another repository", false),
    }
}

/// Draws how far it is, for clients that do not draw themselves.
fn bar(current: u64, total: u64) -> String {
    if total == 0 {
        return size(current);
    }
    let done = usize::try_from((current.min(total) * 50) / total).unwrap_or(50);
    let (bar, space) = ("=".repeat(done), " ".repeat(50 - done));
    format!("[{bar}>{space}]  {}/{}", size(current), size(total))
}

/// Writes a number of bytes as Docker's client does.
fn size(bytes: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "four digits are shown")]
    let mut number = bytes as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].iter();
    let mut unit = units.next().unwrap_or(&"B");
    while number >= 1000.0 {
        let Some(next) = units.next() else { break };
        number /= 1000.0;
        unit = next;
    }
    let digits = match number {
        n if n >= 100.0 || bytes < 1000 => 0,
        n if n >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_have_only_what_they_say() {
        let line = Line::of(Progress::Status("1.0: Pulling from library/x".to_owned()));
        assert_eq!(
            json!(line),
            json!({"status": "Pulling from library/x", "id": "1.0"})
        );
        let layer = |phase, current_bytes| {
            json!(Line::of(Progress::Layer {
                id: "abc".to_owned(),
                phase,
                current_bytes,
                total_bytes: 2_000_000,
            }))
        };
        assert_eq!(
            layer(LayerPhase::PullComplete, 2_000_000),
            json!({"status": "Pull complete", "progressDetail": {}, "id": "abc"})
        );
        let half = layer(LayerPhase::Downloading, 1_000_000);
        assert_eq!(
            half["progressDetail"],
            json!({"current": 1_000_000, "total": 2_000_000})
        );
        let drawn = half["progress"].as_str().expect("a bar");
        assert!(drawn.starts_with("[=========================>"), "{drawn}");
        assert!(drawn.ends_with("]  1MB/2MB"), "{drawn}");
        assert_eq!(
            json!(Line::error("broken", Some(5))),
            json!({"errorDetail": {"code": 5, "message": "broken"}, "error": "broken"})
        );
    }

    #[test]
    fn sizes_have_four_digits_at_most() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1_234, "1.23kB"),
            (12_345, "12.3kB"),
            (123_456, "123kB"),
            (10_000_000, "10MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
