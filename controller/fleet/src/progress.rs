//! What the operator is told while something takes its time.

/// Where progress goes; the CLI prints it, tests collect it.
///
/// Calls come from any task, for several machines at once.
pub trait Progress: Send + Sync {
    /// A step begins: one line, without a full stop.
    fn step(&self, machine: &str, text: &str);

    /// Something that the operator should know but that does not stop the work.
    fn notice(&self, machine: &str, text: &str);

    /// `done` of `total` bytes of an upload are on their way.
    fn bytes(&self, _machine: &str, _done: u64, _total: u64) {}
}

/// Says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _machine: &str, _text: &str) {}

    fn notice(&self, _machine: &str, _text: &str) {}
}
