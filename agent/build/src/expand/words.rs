//! Splits an expanded word at spaces that were not quoted.

/// Collects characters into words.
#[derive(Default)]
pub(super) struct Words {
    done: Vec<String>,
    current: String,
}

// === impl Words ===

impl Words {
    /// Makes room for the words of a form inside this text and returns what to put back after it.
    ///
    /// The unfinished word is lost, as in the original, where inner and outer texts share a buffer:
    /// `a${b:-c}` is the text `ac`, but the word `c`. Who wants words and not this takes the text.
    pub(super) fn nested(&mut self) -> Self {
        self.current.clear();
        std::mem::take(self)
    }

    /// Adds a character that ends a word if it is a space.
    pub(super) fn add(&mut self, ch: char) {
        if !ch.is_whitespace() {
            self.current.push(ch);
        } else if !self.current.is_empty() {
            self.done.push(std::mem::take(&mut self.current));
        }
    }

    /// Adds a character that belongs to a word, whatever it is.
    pub(super) fn add_raw(&mut self, ch: char) {
        self.current.push(ch);
    }

    /// Adds the value of a variable, whose spaces end words.
    pub(super) fn add_str(&mut self, text: &str) {
        text.chars().for_each(|ch| self.add(ch));
    }

    /// Adds what was quoted.
    pub(super) fn add_raw_str(&mut self, text: &str) {
        self.current.push_str(text);
    }

    pub(super) fn finish(mut self) -> Vec<String> {
        if !self.current.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}
