//! Sets of keys with values in one text, so that a column repeats them for little.

use std::fmt::Write as _;

/// `pairs` as `key=value,key=value`, sorted by key. What could be taken for punctuation (`,`, `=`,
/// `%` and control characters) is percent-encoded; labels never have any of it. Whole pairs are left
/// out beyond `max` bytes; the second value is true then. Nothing when there are no pairs.
pub fn encode(pairs: &[(String, String)], max: usize) -> (Option<String>, bool) {
    let mut sorted: Vec<&(String, String)> = pairs.iter().collect();
    sorted.sort();
    let (mut out, mut cut) = (String::new(), false);
    for (key, value) in sorted {
        let before = out.len();
        if before > 0 {
            out.push(',');
        }
        escape(key, &mut out);
        out.push('=');
        escape(value, &mut out);
        if out.len() > max {
            out.truncate(before);
            cut = true;
        }
    }
    ((!out.is_empty()).then_some(out), cut)
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        if matches!(c, ',' | '=' | '%') || c.is_ascii_control() {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{:02X}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(k: &str, v: &str) -> (String, String) {
        (k.to_owned(), v.to_owned())
    }

    #[test]
    fn sets_are_sorted_escaped_and_bounded() {
        let set = [pair("tier", "web"), pair("app.kubernetes.io/name", "shop")];
        assert_eq!(encode(&set, 100), (Some("app.kubernetes.io/name=shop,tier=web".to_owned()), false));
        assert_eq!(encode(&set, 30), (Some("app.kubernetes.io/name=shop".to_owned()), true));
        assert_eq!(encode(&set, 10), (Some("tier=web".to_owned()), true));
        assert_eq!(encode(&[pair("a", "1,b=2%\n")], 100).0.as_deref(), Some("a=1%2Cb%3D2%25%0A"));
        assert_eq!(encode(&[], 100), (None, false));
    }
}
