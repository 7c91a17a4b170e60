//! The user's guide, docs/kfl.md: its examples compile, its table of functions is whole, and its
//! limits are the limits.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use remora_kfl::{FUNCTIONS, Target, compile, limits, render_all};

fn guide() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/kfl.md")).unwrap()
}

#[test]
fn every_example_compiles_without_a_warning() {
    let guide = guide();
    let mut examples = 0;
    for block in guide.split("\n```kfl").skip(1) {
        let (head, rest) = block.split_once('\n').unwrap();
        let text = rest.split("\n```").next().unwrap();
        let target = match head.trim() {
            "" => Target::Calls,
            "flows" => Target::Flows,
            other => panic!("a block of filters is `kfl` or `kfl flows`, not `kfl {other}`"),
        };
        let filter =
            compile(text, target, common::now()).unwrap_or_else(|e| panic!("{}", render_all(&e, text)));
        assert!(filter.warnings.is_empty(), "{}", render_all(&filter.warnings, text));
        assert!(!filter.is_empty());
        examples += 1;
    }
    assert!(examples > 12, "only {examples} examples were found");
}

#[test]
fn every_function_is_in_the_table_and_its_example_compiles() {
    let guide = guide();
    for f in FUNCTIONS {
        let row = format!("| `{}` | {} |", f.example, f.meaning);
        assert!(guide.contains(&row), "docs/kfl.md lacks the row\n{row}");
        assert!(f.example.contains(&format!("{}(", f.name)));
        let compiled = compile(f.example, Target::Calls, common::now());
        compiled.unwrap_or_else(|e| panic!("{}", render_all(&e, f.example)));
    }
}

#[test]
fn the_limits_are_as_written() {
    let line = format!(
        "Limits: {} KiB of text, {} levels of nesting, {} parts, {} regular expressions of at most {} MiB each",
        limits::TEXT_BYTES / 1024,
        limits::DEPTH,
        limits::NODES,
        limits::REGEXES,
        limits::REGEX_BYTES >> 20
    );
    assert!(guide().contains(&line), "{line}");
}

#[test]
fn the_error_shown_is_the_error_given() {
    let guide = guide();
    let shown = guide.split("\n```text\n").nth(1).unwrap().split("\n```").next().unwrap();
    let text = "http && status == 500";
    let given = compile(text, Target::Calls, common::now()).unwrap_err();
    assert_eq!(shown, render_all(&given, text));
}

/// The examples in the field catalogue are parts of filters.
#[test]
fn the_examples_of_the_catalogue_compile() {
    for def in remora_model::field::CATALOGUE {
        let target = if def.in_calls() { Target::Calls } else { Target::Flows };
        let alone = compile(def.example, target, common::now());
        let compared = format!("{} == {}", def.name, def.example);
        let ok = match alone {
            Ok(_) => true,
            Err(_) => compile(&compared, target, common::now())
                .map_err(|e| panic!("{}: {}", def.name, render_all(&e, &compared)))
                .is_ok_and(|f| f.warnings.is_empty()),
        };
        assert!(ok, "{}", def.name);
    }
}
