//! What clients asked for and what they were promised. An answer is a promise; a question without an
//! answer leaves either outcome open.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether something is the case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fact {
    Yes,
    No,
    /// It was being changed.
    Open,
}

/// What is known of a container.
#[derive(Clone, Debug)]
pub(crate) struct Promise {
    /// Empty: nobody was told.
    pub(crate) id: String,
    /// Names that it may have; more than one while it is renamed.
    pub(crate) names: Vec<String>,
    pub(crate) exists: Fact,
    pub(crate) runs: Fact,
    /// Its supervisor was killed, and it with it.
    pub(crate) is_doomed: bool,
    /// Its output is 1, 2, 3… a line each.
    pub(crate) counts: bool,
    /// Limits of memory in bytes that it may have; empty: nobody has set one.
    pub(crate) limits: Vec<i64>,
    /// It is being frozen or let run on.
    pub(crate) pauses: bool,
}

/// Everything that clients know.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Notes>);

/// The journal's content.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// By the name that they were created with.
    pub(crate) containers: BTreeMap<String, Promise>,
    /// By name.
    pub(crate) images: BTreeMap<String, Fact>,
    /// What went wrong although nobody was killed.
    pub(crate) faults: Vec<String>,
    /// Commands that were answered, by word.
    pub(crate) answered: BTreeMap<&'static str, u64>,
}

impl Journal {
    pub(crate) fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A container is being created.
    pub(crate) fn creating(&self, name: &str, counts: bool) {
        let promise = Promise {
            id: String::new(),
            names: vec![name.to_owned()],
            exists: Fact::Open,
            runs: Fact::No,
            is_doomed: false,
            counts,
            limits: Vec::new(),
            pauses: false,
        };
        self.notes().containers.insert(name.to_owned(), promise);
    }

    /// Changes what is known of a container.
    pub(crate) fn note(&self, name: &str, change: impl FnOnce(&mut Promise)) {
        if let Some(promise) = self.notes().containers.get_mut(name) {
            change(promise);
        }
    }

    /// Changes what is known of an image.
    pub(crate) fn note_image(&self, name: &str, exists: Fact) {
        self.notes().images.insert(name.to_owned(), exists);
    }

    pub(crate) fn answered(&self, word: &'static str) {
        *self.notes().answered.entry(word).or_default() += 1;
    }

    pub(crate) fn fault(&self, text: String) {
        self.notes().faults.push(text);
    }
}
