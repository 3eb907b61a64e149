//! Containers that really run: this needs root, busybox and the kernel.

mod external;
mod isolation;
mod lifecycle;
mod limits;
mod process;
mod support;
