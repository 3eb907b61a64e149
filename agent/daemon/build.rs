//! Links the program for a fixed address.
//!
//! A static program that can be loaded anywhere has to adjust every pointer of its tables when it
//! starts, and thereby copies them: 0.4 MB that each supervisor would hold for itself, two thirds of
//! all its memory, besides the time that each start takes. Code at a fixed address needs no change and
//! is shared by all. The stack, the heap and whatever is mapped still lie at random addresses.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The last of gcc's options about this wins; without `-static` it would link dynamically then.
    for option in ["-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={option}");
    }
}
