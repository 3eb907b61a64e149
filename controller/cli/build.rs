//! Links the program for a fixed address, as that of the agent: a static program that can be loaded
//! anywhere adjusts every pointer of its tables first, which is a fifth of what `--version` takes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // The last of gcc's options about this wins; without `-static` it would link dynamically then.
    for option in ["-static", "-no-pie"] {
        println!("cargo::rustc-link-arg-bins={option}");
    }
}
