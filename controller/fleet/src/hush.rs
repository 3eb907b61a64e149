//! The secrets that this process has looked up, for whatever prints beside the veil of a machine:
//! a plugin may say anything at any time.

use std::sync::{Mutex, PoisonError};

use crate::secret::Secrets;

static KNOWN: Mutex<Vec<Secrets>> = Mutex::new(Vec::new());

/// From now on, these are found by [`hushed`].
pub(crate) fn remember(secrets: &Secrets) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if !secrets.is_empty() && !known.contains(secrets) {
        known.push(secrets.clone());
    }
}

/// Returns `text` with references in the place of all secrets that this process has looked up for
/// any machine; nothing when there are none in it.
#[must_use]
pub fn hushed(text: &str) -> Option<String> {
    let known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut hushed = None;
    for secrets in known.iter() {
        let now = hushed.as_deref().unwrap_or(text);
        hushed = secrets.veiled(now).or(hushed);
    }
    hushed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;
    use crate::secret;

    #[tokio::test]
    async fn what_was_looked_up_is_found_in_any_text() {
        let folder = tempfile::tempdir().unwrap();
        let mut references = Vec::new();
        for (name, value) in [("one", "first-of-all"), ("two", "second-of-all")] {
            let path = folder.path().join(name);
            fs::write(&path, value).unwrap();
            references.push(format!("file:{}", path.display()));
        }
        let text = "it is first-of-all, then second-of-all";
        assert_eq!(hushed(text), None);
        for reference in &references {
            let of_one = BTreeMap::from([("x-token".to_owned(), reference.clone())]);
            secret::look_up(&of_one).await.unwrap();
        }
        let [one, two] = references.as_slice() else {
            unreachable!()
        };
        assert_eq!(hushed(text), Some(format!("it is {one}, then {two}")));
        assert_eq!(hushed("nothing of it"), None);
    }
}
