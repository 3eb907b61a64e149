//! Generates the Rust side of `proto/berth/v1/*.proto` with a compiler written in Rust, so that
//! building needs no `protoc` on the machine.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "system",
        "images",
        "containers",
        "build",
        "security",
        "files",
        "volumes",
        "networks",
    ]
    .map(|f| format!("berth/v1/{f}.proto"));
    for file in &files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
