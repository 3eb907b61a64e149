//! The programs together, as their users run them: see `tests/`.
