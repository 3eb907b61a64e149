//! Names for steps: the same name means that doing the step again would give the same image.

use sha2::{Digest as _, Sha256};

/// Collects what a step's result depends on.
#[derive(Debug, Clone)]
pub(crate) struct CacheKey(Sha256);

// === impl CacheKey ===

impl CacheKey {
    /// Begins with the image that the step is done upon, and what kind of step it is.
    pub(crate) fn new(parent: &str, kind: &str) -> Self {
        // The number changes when this agent begins to do steps differently.
        Self(Sha256::new()).with("1").with(parent).with(kind)
    }

    /// Adds a text. Its length goes in too, so that two texts never look like two others.
    pub(crate) fn with(mut self, text: &str) -> Self {
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text);
        self
    }

    pub(crate) fn with_all<'a>(self, texts: impl IntoIterator<Item = &'a String>) -> Self {
        let mut n_texts = 0_u64;
        let key = texts.into_iter().fold(self, |key, text| {
            n_texts += 1;
            key.with(text)
        });
        key.with(&n_texts.to_string())
    }

    pub(crate) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::CacheKey;

    #[test]
    fn texts_do_not_run_into_each_other() {
        let key = |texts: &[&str]| {
            texts
                .iter()
                .fold(CacheKey::new("p", "run"), |key, text| key.with(text))
                .finish()
        };
        assert_ne!(key(&["ab", "c"]), key(&["a", "bc"]));
        assert_ne!(key(&["ab"]), key(&["ab", ""]));
        assert_eq!(key(&["ab"]), key(&["ab"]));
    }
}
