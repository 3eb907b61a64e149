//! The journal of `create`, kept in the store.
