//! Who is working with what: leases against removal, and locks against doing things twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Content that is being worked with, which must not be removed although nothing refers to it yet.
#[derive(Debug, Default, Clone)]
pub(crate) struct Leases {
    counts: Arc<Mutex<HashMap<String, usize>>>,
}

/// Keeps its keys until it is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    leases: Leases,
    keys: Vec<String>,
}

/// Layers that are not removed while this exists.
#[derive(Debug)]
pub struct KeptLayers {
    pub(crate) _lease: Lease,
}

/// The leases while nobody can take new ones.
#[derive(Debug)]
pub(crate) struct Held<'a>(MutexGuard<'a, HashMap<String, usize>>);

impl Leases {
    pub(crate) fn take<K: ToString>(&self, keys: impl IntoIterator<Item = K>) -> Lease {
        let keys: Vec<String> = keys.into_iter().map(|key| key.to_string()).collect();
        let mut counts = self.lock();
        for key in &keys {
            *counts.entry(key.clone()).or_default() += 1;
        }
        drop(counts);
        Lease {
            leases: self.clone(),
            keys,
        }
    }

    /// Stops new leases while something is checked and removed. Whoever takes one afterwards sees
    /// that it is gone.
    pub(crate) fn hold(&self) -> Held<'_> {
        Held(self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held<'_> {
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut counts = self.leases.lock();
        for key in &self.keys {
            if let Some(count) = counts.get_mut(key) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(key);
                }
            }
        }
    }
}

/// One lock for each key that somebody works with.
#[derive(Debug, Default)]
pub(crate) struct KeyedLocks {
    locks: Mutex<HashMap<String, Weak<tokio::sync::Mutex<()>>>>,
}

impl KeyedLocks {
    pub(crate) async fn lock(&self, key: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            locks.retain(|_key, lock| lock.strong_count() > 0);
            match locks.get(key).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::default();
                    locks.insert(key.to_owned(), Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::Leases;

    #[test]
    fn a_key_is_kept_until_its_last_lease_ends() {
        let leases = Leases::default();
        let first = leases.take(["a"]);
        let second = leases.take(["a", "b"]);
        drop(first);
        assert!(leases.hold().has("a"));
        drop(second);
        assert!(!leases.hold().has("a"));
        assert!(!leases.hold().has("b"));
    }
}
