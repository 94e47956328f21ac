//! `size`: what the client costs a board, next to what is recorded in `docs/size.md`.
//!
//! Each program of `firmware/size` is linked with and without the client. The difference is the price;
//! memory that the caller chooses the size of is not in it.

mod elf;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;

use elf::Program;
use table::Row;

/// Name in the table and for the compiler.
const TARGETS: [(&str, &str); 2] =
    [("thumbv6m", "thumbv6m-none-eabi"), ("thumbv7m", "thumbv7m-none-eabi")];

/// What is measured: name in the table, program, features, and the features of the same program
/// without the client.
const MEASURED: [(&str, &str, &str, &str); 11] = [
    ("everything", "size", "mqtt,full", ""),
    ("3.1.1 and 5, QoS 0 to 2", "size", "mqtt,v311,v5,qos2", ""),
    ("5 only, QoS 0 to 2", "size", "mqtt,v5,qos2", ""),
    ("5 only, QoS 0 and 1", "size", "mqtt,v5,qos1", ""),
    ("5 only, QoS 0", "size", "mqtt,v5", ""),
    ("3.1.1 only, QoS 0 to 2", "size", "mqtt,v311,qos2", ""),
    ("3.1.1 only, QoS 0 and 1", "size", "mqtt,v311,qos1", ""),
    ("3.1.1 only, QoS 0", "size", "mqtt,v311", ""),
    ("everything, over TLS", "size", "mqtt,full,tls", ""),
    ("engine alone: everything", "engine", "engine,full", ""),
    ("engine alone: 3.1.1 and 5, QoS 0 to 2", "engine", "engine,v311,v5,qos2", ""),
];

/// Variables of the caller's choosing.
const CALLERS: [&str; 2] = ["GIVEN", "BUFFERS"];

/// Measures, prints, and compares or records. The error says what is wrong.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<(), String> {
    let record = match arguments {
        [] => false,
        [flag] if flag == "--record" => true,
        _ => return Err("usage: cargo run -p xtask -- size [--record]".into()),
    };
    let path = root.join("docs/size.md");
    let document = std::fs::read_to_string(&path).map_err(|e| format!("docs/size.md: {e}"))?;
    let rows = measure(root)?;
    print!("{}", table::show(&rows));
    if record {
        let document = table::record(&document, &rows).ok_or("docs/size.md: no place for sizes")?;
        return std::fs::write(&path, document).map_err(|e| format!("docs/size.md: {e}"));
    }
    let recorded = table::recorded(&document);
    let complaints: Vec<_> = rows.iter().filter_map(|row| row.complaint(&recorded)).collect();
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!("{}\nIf it is worth that much: just size --record", complaints.join("\n")))
}

fn measure(root: &Path) -> Result<Vec<Row>, String> {
    let mut rows = Vec::new();
    for (name, target) in TARGETS {
        let mut without = Vec::new();
        for (what, program, features, base) in MEASURED {
            let base = match without.iter().find(|(of, _)| *of == (program, base)) {
                Some((_, (flash, ram))) => (*flash, *ram),
                None => {
                    let built = link(root, target, program, base)?;
                    without.push(((program, base), (built.flash, built.ram)));
                    (built.flash, built.ram)
                }
            };
            let built = link(root, target, program, features)?;
            if program == "engine" && !built.panics().is_empty() {
                let which = built.panics().join(" ");
                return Err(format!("{name}: the engine can panic, in {which}"));
            }
            let given: u32 = CALLERS.iter().map(|variable| built.size_of(variable)).sum();
            rows.push(Row {
                target: name.into(),
                what: what.into(),
                flash: i64::from(built.flash) - i64::from(base.0),
                ram: i64::from(built.ram) - i64::from(given) - i64::from(base.1),
            });
        }
    }
    Ok(rows)
}

/// Builds one program and reads it.
fn link(root: &Path, target: &str, program: &str, features: &str) -> Result<Program, String> {
    let directory = root.join("firmware/size");
    let output: PathBuf = directory.join("target");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .current_dir(&directory)
        .args(["build", "--quiet", "--locked", "--release", "--target", target])
        .args(["--bin", program, "--features", features])
        .arg("--target-dir")
        .arg(&output)
        .status()
        .map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err(format!("firmware/size does not build for {target} with '{features}'"));
    }
    let file = output.join(target).join("release").join(program);
    let bytes = std::fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    Program::read(&bytes).ok_or(format!("{}: not a program", file.display()))
}
