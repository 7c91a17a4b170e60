//! What holds for every filter and every row.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Random, Writer, now, row};
use proptest::prelude::*;
use remora_kfl::{Expr, Severity, Target, Type, Value, compile, eval, explain, limits, render_all};
use remora_model::{Timestamp, field};

const TARGETS: [Target; 2] = [Target::Calls, Target::Flows];

/// Compiles, renders whatever is said, and checks what holds for any answer.
fn survives(text: &str) {
    for target in TARGETS {
        match compile(text, target, now()) {
            Ok(filter) => {
                assert_eq!(filter.expr.ty(), Type::Bool);
                let _ = explain(&filter);
                let _ = render_all(&filter.warnings, text);
                for d in &filter.warnings {
                    assert!(d.severity != Severity::Error && d.span.end <= text.len());
                }
            }
            Err(errors) => {
                assert!(!errors.is_empty() && errors.len() <= limits::FINDINGS);
                for d in &errors {
                    assert!(d.severity == Severity::Error && d.span.start <= d.span.end, "{d:?}");
                    assert!(d.span.end <= text.len(), "{d:?}");
                }
                let _ = render_all(&errors, text);
                for d in &errors {
                    // One line each, however long the filter is.
                    let help = d.help.as_deref().unwrap_or_default();
                    assert!(
                        !d.message.contains(char::is_control) && d.message.chars().count() < 300,
                        "{d:?}"
                    );
                    assert!(!help.contains(char::is_control) && help.chars().count() < 300, "{d:?}");
                }
            }
        }
    }
}

#[test]
fn messages_are_short_lines() {
    let long = "x".repeat(2_000);
    for text in [
        long.clone(),
        format!("{long} == \"a\""),
        format!("{long}(1)"),
        format!("path.{long}(1)"),
        format!("path.{long}"),
        format!("path == {}", "1".repeat(2_000)),
        format!("path == 1.1.1.{}", "1".repeat(2_000)),
        format!("\"{long}\""),
        format!("status_code == \"{long}\""),
        format!("\"{long}\" in status_code"),
        format!("dns_questions.contains(\"{long}\n\")"),
        format!("ts > timestamp(\"{long}\")"),
        format!("ts > now() - duration(\"{long}\n\")"),
        format!("ip_in(src.ip, \"{long}\")"),
        format!("path.matches(\"(?P<{long}>\")"),
        format!("dns_questions.exists({long}, path == \"\")"),
        format!("http {long}"),
        "\"\\\n\"".to_owned(),
        "(path\n+\nid) == 5".to_owned(),
    ] {
        assert!(compile(&text, Target::Calls, now()).is_err(), "{text}");
        survives(&text);
    }
}

const WORDS: &[&str] = &[
    "http",
    "status_code",
    "path",
    "request.headers",
    "dns_questions",
    "ts",
    "x",
    "and",
    "or",
    "not",
    "in",
    "true",
    "null",
    "==",
    "!=",
    "<",
    ">=",
    "=",
    "&&",
    "||",
    "&",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "?",
    ":",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ".",
    "\"",
    "'",
    "\"a\"",
    "'b'",
    "r\"\\d\"",
    "5",
    "0x",
    "5m",
    "1.5",
    "10.0.0.1",
    "9223372036854775808",
    "\\",
    "\n",
    "// c\n",
    "#",
    "has(",
    "size(",
    "now()",
    "duration(\"5m\")",
    "timestamp(",
    "exists(x,",
    ".contains(",
    ".matches(",
    "map_get(",
    "ip_in(",
    "cidr(",
    "ü",
    "“",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in any::<String>()) {
        survives(&text);
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_words_panic(words in proptest::collection::vec(0..WORDS.len(), 0..40), spaced in any::<bool>()) {
        let words: Vec<&str> = words.into_iter().map(|i| WORDS[i]).collect();
        survives(&words.join(if spaced { " " } else { "" }));
    }

    /// A filter that was broken by one edit is refused or accepted, and never worse.
    #[test]
    fn no_damaged_filter_panics(seed in any::<u64>(), at in any::<prop::sample::Index>(), with in any::<char>()) {
        let mut random = Random(seed);
        let mut text: Vec<char> = Writer::new(&mut random, Target::Calls).condition(3).chars().collect();
        let at = at.index(text.len());
        if with.is_alphabetic() { text[at] = with } else { text.remove(at); }
        survives(&text.into_iter().collect::<String>());
    }

    /// The normalised text says the same, and is its own normal form.
    #[test]
    fn normalised_text_means_the_same(seed in any::<u64>(), flows in any::<bool>()) {
        let target = TARGETS[usize::from(flows)];
        let text = Writer::new(&mut Random(seed), target).condition(4);
        let filter = match compile(&text, target, now()) {
            Ok(filter) => filter,
            Err(errors) => {
                // Constants that are out of range are the one thing that the writer may get wrong.
                let allowed = ["division by zero", "out of range"];
                prop_assert!(errors.iter().all(|e| allowed.iter().any(|a| e.message.contains(a))), "{text}\n{}", render_all(&errors, &text));
                return Ok(());
            }
        };
        let again = compile(&filter.normalised, target, Timestamp(0)).map_err(|e| {
            TestCaseError::fail(format!("{text}\n{}", render_all(&e, &filter.normalised)))
        })?;
        prop_assert_eq!(&again.expr, &filter.expr, "{}\n{}", text, filter.normalised);
        prop_assert_eq!(&again.normalised, &filter.normalised);
        prop_assert_eq!(&again.fields, &filter.fields);
        prop_assert_eq!(again.protocols, filter.protocols);
        prop_assert_eq!(again.time_range, filter.time_range);
    }

    /// A row that matches lies within what the filter is said to imply.
    #[test]
    fn implications_hold(seed in any::<u64>(), flows in any::<bool>()) {
        let target = TARGETS[usize::from(flows)];
        let mut random = Random(seed);
        let text = Writer::new(&mut random, target).condition(3);
        let Ok(filter) = compile(&text, target, now()) else { return Ok(()) };
        for _ in 0..16 {
            let (protocol, row) = row(&mut random, target, 4);
            let answer = eval(&filter.expr, &|id| row.get(&id).cloned());
            let negated = eval(&Expr::Not(Box::new(filter.expr.clone())), &|id| row.get(&id).cloned());
            prop_assert_eq!(negated, answer.map(|b| !b));
            if answer != Some(true) {
                continue;
            }
            if let Some(protocols) = &filter.protocols {
                prop_assert!(protocols.contains(&protocol), "{text} matches {protocol:?}: {row:?}");
            }
            if let (Some(range), Some(Value::Time(ts))) = (filter.time_range, row.get(&field::TS)) {
                prop_assert!(range.from.is_none_or(|from| from <= *ts), "{text}");
                prop_assert!(range.until.is_none_or(|until| *ts < until), "{text}");
            }
        }
    }
}

fn refused(text: &str, why: &str) {
    let errors = compile(text, Target::Calls, now()).expect_err(why);
    assert!(
        errors.iter().any(|e| e.message.contains(why)),
        "{}",
        render_all(&errors, &text[..text.len().min(200)])
    );
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in
        [("(", ")"), ("!", ""), ("-", ""), ("!(", ")"), ("not ", ""), ("[", "]"), ("has(", ")")]
    {
        let text = format!("{}http{}", open.repeat(2_000), close.repeat(2_000));
        refused(&text, "nested deeper");
        survives(&text);
    }
    refused(&"http ? http : ".repeat(500), "nested deeper");
    refused(&format!("1{} > 0", " + id".repeat(1_000)), "nested deeper");
    refused(&format!("path{} == \"\"", ".x".repeat(1_000)), "nested deeper");
    survives(&"(".repeat(limits::TEXT_BYTES));
}

#[test]
fn long_filters_are_accepted_up_to_the_limits() {
    let chain = vec!["status_code == 500"; 700].join(" || ");
    assert!(compile(&chain, Target::Calls, now()).is_ok());
    let set: Vec<String> = (0..2_000).map(|i| i.to_string()).collect();
    assert!(compile(&format!("id in [{}]", set.join(", ")), Target::Calls, now()).is_ok());

    refused(&"x".repeat(limits::TEXT_BYTES + 1), "is the limit");
    refused(&vec!["a"; limits::NODES].join("+"), "nested deeper");
    refused(&vec!["tls"; 3_000].join("||"), "parts");
    let list = format!("[{}]", vec!["\"a\""; 90].join(","));
    refused(&format!("{list}.all(a, {list}.all(b, path == a + b))"), "parts");
    refused(&vec!["path.matches(\"a\")"; limits::REGEXES + 1].join(" || "), "regular expressions");
}

#[test]
fn what_is_too_long_once_written_out_is_refused() {
    let networks = vec!["\"::/0\""; 2_000].join(",");
    refused(&format!("ip_in(src.ip, [{networks}])"), "written out");
    let escapes = "\u{1}".repeat(limits::TEXT_BYTES / 2);
    refused(&format!("path == \"{escapes}\""), "written out");
}

#[test]
fn many_errors_are_cut_off() {
    let errors = compile(&vec!["status"; 1_000].join(" || "), Target::Calls, now()).unwrap_err();
    assert_eq!(errors.len(), limits::FINDINGS);
    let notes = vec!["request.headers[\"A\"] == \"b\""; 100].join(" || ");
    assert_eq!(compile(&notes, Target::Calls, now()).unwrap().warnings.len(), limits::FINDINGS);
}
