//! The network against the kernel, on machines that are network namespaces of their own.

mod lifecycle;
mod support;
mod traffic;
