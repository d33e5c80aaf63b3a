//! Writes the generated files of `deploy/`.

fn main() -> std::io::Result<()> {
    for (path, text) in deployment::generated() {
        std::fs::write(deployment::root().join(path), text)?;
        println!("{path}");
    }
    Ok(())
}
