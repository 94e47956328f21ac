use std::path::Path;

use super::{check_file, check_tree, is_production};

/// `fn name() { <lines statements> }`.
fn function(name: &str, lines: usize) -> String {
    format!("fn {name}() {{\n{}}}\n", "    work();\n".repeat(lines))
}

fn production(text: &str) -> Vec<String> {
    found(text, true)
}

fn found(text: &str, production: bool) -> Vec<String> {
    check_file(text, production).into_iter().map(|(line, what)| format!("{line}: {what}")).collect()
}

#[test]
fn a_function_of_60_lines_passes_and_61_fails() {
    assert_eq!(production(&function("f", 60)), [""; 0]);
    let offences = production(&function("f", 61));
    assert_eq!(offences.len(), 1);
    assert!(offences[0].starts_with("1: function `f` of 61 lines"), "{offences:?}");
}

#[test]
fn methods_trait_defaults_and_nested_functions_count_too() {
    let body = function("f", 61);
    for text in [
        format!("impl S {{\n{body}}}\n"),
        format!("trait T {{\n{body}}}\n"),
        format!("mod m {{\n{body}}}\n"),
    ] {
        let offences = production(&text);
        assert_eq!(offences.len(), 1, "{text}");
        assert!(offences[0].starts_with("2: "), "{offences:?}");
    }
    let nested = format!("fn outer() {{\n{body}}}\n");
    assert_eq!(production(&nested).len(), 2);
}

#[test]
fn a_reason_excuses_a_long_function() {
    let long = function("f", 61);
    for text in [
        format!("// long: one table\n{long}"),
        format!("// long: one table\n/// Docs.\n#[inline]\n{long}"),
        format!("/// Docs.\n// long: one table\n#[inline]\n{long}"),
        format!("fn f() {{\n    // long: one table\n{}}}\n", "    work();\n".repeat(61)),
        format!("fn f() {{ // long: one table\n{}}}\n", "    work();\n".repeat(61)),
    ] {
        assert_eq!(production(&text), [""; 0], "{text}");
    }
}

#[test]
fn an_excuse_needs_a_reason_and_a_place_just_above() {
    let long = function("f", 61);
    for text in [
        format!("// long:\n{long}"),
        format!("// long: one table\n\n{long}"),
        format!("// long: one table\nfn g() {{}}\n{long}"),
        format!("fn f() {{\n{}    // long: late\n}}\n", "    work();\n".repeat(61)),
    ] {
        assert_eq!(production(&text).len(), 1, "{text}");
    }
}

#[test]
fn a_file_of_420_lines_passes_and_421_fails() {
    assert_eq!(production(&"const _: () = ();\n".repeat(420)), [""; 0]);
    let offences = production(&"const _: () = ();\n".repeat(421));
    assert_eq!(offences, ["1: file of 421 lines, limit 420"]);
    // A comment counts as much as code.
    assert_eq!(production(&"// reason\n".repeat(421)).len(), 1);
}

#[test]
fn blank_lines_and_test_modules_do_not_count() {
    let code = "const _: () = ();\n\n".repeat(420);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", function("long_story", 200));
    assert_eq!(production(&format!("{code}{tests}")), [""; 0]);
    let some = tests.replace("cfg(test)", "cfg(all(test, feature = \"x\"))");
    assert_eq!(production(&format!("{code}{some}")), [""; 0]);
    let not_tests =
        format!("#[cfg(any(test, feature = \"x\"))]\nmod m {{\n{}}}\n", function("f", 1));
    assert_eq!(production(&format!("{code}{not_tests}")).len(), 1);
}

#[test]
fn test_files_have_no_size_limit() {
    assert_eq!(found(&function("story", 500), false), [""; 0]);
    for path in ["proto/src/wire/tests.rs", "client/tests/lost_puback.rs", "proto/benches/wire.rs"]
    {
        assert!(!is_production(Path::new(path)), "{path}");
    }
    for path in ["proto/src/wire/mod.rs", "proto/src/contests.rs", "xtask/src/main.rs"] {
        assert!(is_production(Path::new(path)), "{path}");
    }
}

#[test]
fn braces_in_strings_chars_and_comments_do_not_confuse() {
    let text = "fn f<'a>(x: &'a str) { let _ = (\"{{\", '{', r#\"{\"#, b'{'); /* { */ } // {\n";
    assert_eq!(production(text), [""; 0]);
}

#[test]
fn leftovers_are_found_in_tests_too() {
    let cases = [
        (concat!("fn f() { to", "do!() }\n"), "`todo!` left in"),
        ("fn f() { g(|| { unimplemented!(\"later\") }) }\n", "`unimplemented!` left in"),
        ("fn f() { dbg!(1); }\n", "`dbg!` left in"),
        ("#[test]\n#[ignore]\nfn f() {}\n", "`#[ignore]`: a test that never runs"),
        ("#[test]\n#[ignore = \"slow\"]\nfn f() {}\n", "`#[ignore]`: a test that never runs"),
        (concat!("// TO", "DO: later\n"), concat!("`TO", "DO` left in")),
        (concat!("/// FIX", "ME\nfn f() {}\n"), concat!("`FIX", "ME` left in")),
    ];
    for (text, what) in cases {
        let offences = found(text, false);
        assert_eq!(offences.len(), 1, "{text}: {offences:?}");
        assert!(offences[0].ends_with(what), "{text}: {offences:?}");
    }
}

#[test]
fn innocent_relatives_of_leftovers_pass() {
    let text = "#[allow(dead_code)]\nfn todo(ignore: bool) -> bool { !ignore && \"dbg!\" != \"#[ignore]\" }\n";
    assert_eq!(found(text, false), [""; 0]);
}

#[test]
fn a_file_that_does_not_parse_is_an_offence() {
    let offences = production("fn f( {\n");
    assert_eq!(offences.len(), 1);
    assert!(offences[0].contains("cannot be parsed"), "{offences:?}");
}

#[test]
fn a_tree_is_walked_without_build_output() {
    let root = std::env::temp_dir().join(format!("tidy-{}", std::process::id()));
    for (path, text) in [
        ("src/main.rs", "fn main() { dbg!(1); }\n"),
        ("target/debug/out.rs", "fn f() { dbg!(1); }\n"),
        (".hidden/x.rs", "fn f() { dbg!(1); }\n"),
        ("src/notes.txt", "dbg!"),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let report = check_tree(&root).unwrap();
    std::fs::remove_dir_all(&root).unwrap();
    assert_eq!(report.files, 1);
    let lines: Vec<String> = report.offences.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["src/main.rs:1: `dbg!` left in"]);
}
