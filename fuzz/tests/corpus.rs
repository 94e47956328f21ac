//! Every input kept in `corpus/`, through the target it is for.

use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut inputs = 0;
    for file in std::fs::read_dir(root.join("corpus").join(target)).expect("a corpus") {
        let path = file.expect("a directory entry").path();
        let data = std::fs::read(&path).expect("a readable input");
        // Shown if it panics.
        println!("{}", path.display());
        run(&data);
        inputs += 1;
    }
    assert!(inputs >= 10, "only {inputs} inputs for {target}");
}

#[test]
fn decode() {
    replay("decode", everlink_fuzz::decode::run);
}

#[test]
fn framer() {
    replay("framer", everlink_fuzz::framer::run);
}

#[test]
fn topics() {
    replay("topics", everlink_fuzz::topics::run);
}

#[test]
fn session() {
    replay("session", everlink_fuzz::session::run);
}

#[test]
fn sn_decode() {
    replay("sn_decode", everlink_fuzz::sn_decode::run);
}
