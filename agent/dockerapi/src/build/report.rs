//! What a build says, in the words of Docker's classic builder.

use berth_agent_build::{BuildEvent, StepEvent, StepStatus};
use berth_agent_images::{ImageId, Reference};
use serde_json::json;

use crate::streams::progress::Line;

/// Bytes of a quiet build's words that are kept for the case that it fails.
const KEPT: usize = 256 * 1024;

/// Turns events into lines.
#[derive(Debug)]
pub(super) struct Report {
    quiet: bool,
    tags: Vec<String>,
    kept: Vec<Line>,
    kept_bytes: usize,
}

impl Report {
    pub(super) fn new(quiet: bool, tags: Vec<String>) -> Self {
        Self {
            quiet,
            tags,
            kept: Vec::new(),
            kept_bytes: 0,
        }
    }

    /// Returns what is to be said of an event now.
    pub(super) fn event(&mut self, event: BuildEvent) -> Option<Line> {
        let text = match event {
            BuildEvent::Step(step) => words(&step),
            BuildEvent::Output { data, .. } => String::from_utf8_lossy(&data).into_owned(),
            BuildEvent::Warning(sentence) => format!("[Warning] {sentence}\n"),
        };
        if text.is_empty() {
            return None;
        }
        if !self.quiet {
            return Some(Line::stream(text));
        }
        if self.kept_bytes + text.len() <= KEPT {
            self.kept_bytes += text.len();
            self.kept.push(Line::stream(text));
        }
        None
    }

    /// Returns what a quiet build would have said, for it has failed.
    pub(super) fn what_was_kept(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.kept)
    }

    /// Returns what is said at a good end.
    pub(super) fn end(&self, image: &ImageId) -> Vec<Line> {
        if self.quiet {
            return vec![Line::stream(format!("{image}\n"))];
        }
        let mut lines = vec![
            Line::aux(json!({ "ID": image.as_str() })),
            Line::stream(format!("Successfully built {}\n", image.short())),
        ];
        let tags = self
            .tags
            .iter()
            .filter_map(|tag| Reference::parse_definite(tag).ok());
        lines.extend(
            tags.map(|tag| Line::stream(format!("Successfully tagged {}\n", tag.familiar()))),
        );
        lines
    }
}

fn words(step: &StepEvent) -> String {
    let after = |image: &Option<ImageId>| match image {
        Some(image) => format!(" ---> {}\n", image.short()),
        None => String::new(),
    };
    match &step.status {
        StepStatus::Started => {
            let StepEvent {
                number,
                total,
                instruction,
                ..
            } = step;
            format!("Step {number}/{total} : {instruction}\n")
        }
        StepStatus::Cached(image) => format!(" ---> Using cache\n{}", after(image)),
        StepStatus::Finished(image) => after(image),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn image() -> ImageId {
        format!("sha256:{}", "ab".repeat(32))
            .parse()
            .expect("an id")
    }

    fn step(status: StepStatus) -> BuildEvent {
        BuildEvent::Step(StepEvent {
            number: 1,
            total: 2,
            instruction: "FROM box".to_owned(),
            line: 1,
            status,
        })
    }

    fn said(line: Line) -> Value {
        json!(line)
    }

    #[test]
    fn a_build_speaks_as_the_classic_builder() {
        let mut report = Report::new(false, vec!["app".to_owned()]);
        let mut tell = |event| report.event(event).map(said);
        let stream = |text: &str| Some(json!({ "stream": text }));
        assert_eq!(
            tell(step(StepStatus::Started)),
            stream("Step 1/2 : FROM box\n")
        );
        assert_eq!(
            tell(step(StepStatus::Cached(Some(image())))),
            stream(" ---> Using cache\n ---> abababababab\n")
        );
        assert_eq!(tell(step(StepStatus::Finished(None))), None);
        let end: Vec<Value> = report.end(&image()).into_iter().map(said).collect();
        assert_eq!(end[0]["aux"]["ID"], image().as_str());
        assert_eq!(end[1]["stream"], "Successfully built abababababab\n");
        assert_eq!(end[2]["stream"], "Successfully tagged app:latest\n");
    }

    #[test]
    fn a_quiet_build_speaks_only_of_its_end_or_failure() {
        let mut report = Report::new(true, Vec::new());
        assert_eq!(report.event(step(StepStatus::Started)), None);
        let end: Vec<Value> = report.end(&image()).into_iter().map(said).collect();
        assert_eq!(end, [json!({ "stream": format!("{}\n", image()) })]);
        assert_eq!(report.what_was_kept().len(), 1);
    }
}
