//! SPDX licence expressions, as far as Cargo manifests use them.
//!
//! <https://spdx.github.io/spdx-spec/v2.3/SPDX-license-expressions/>; `/` is Cargo's old `OR`.

/// Whether an expression can be fulfilled with the allowed licences alone.
///
/// # Errors
/// What is wrong with the expression.
pub(crate) fn allows(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Result<bool, String> {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let verdict = any_of(&mut words, allowed, 0)?;
    match words.next() {
        None => Ok(verdict),
        Some(word) => Err(format!("unexpected `{word}` in `{expression}`")),
    }
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

/// Parentheses may be nested this deep.
const DEEPEST: usize = 16;

fn any_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool, depth: usize) -> Result<bool, String> {
    let mut verdict = all_of(words, allowed, depth)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= all_of(words, allowed, depth)?;
    }
    Ok(verdict)
}

fn all_of(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool, depth: usize) -> Result<bool, String> {
    let mut verdict = one(words, allowed, depth)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed, depth)?;
    }
    Ok(verdict)
}

fn one(words: &mut Words<'_>, allowed: &dyn Fn(&str) -> bool, depth: usize) -> Result<bool, String> {
    match words.next() {
        None => Err("the expression ends too early".into()),
        Some("(") if depth >= DEEPEST => Err("too many parentheses".into()),
        Some("(") => {
            let verdict = any_of(words, allowed, depth + 1)?;
            match words.next() {
                Some(")") => Ok(verdict),
                _ => Err("a parenthesis is not closed".into()),
            }
        }
        Some(word @ (")" | "AND" | "OR" | "WITH")) => Err(format!("unexpected `{word}`")),
        Some(licence) => match words.next_if_eq(&"WITH") {
            None => Ok(allowed(licence)),
            Some(_) => {
                let exception = words.next().ok_or("WITH needs an exception")?;
                Ok(allowed(&format!("{licence} WITH {exception}")))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::allows;

    fn check(expression: &str) -> Result<bool, String> {
        allows(expression, &|licence| {
            ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].contains(&licence)
        })
    }

    #[test]
    fn expressions_are_evaluated() {
        assert_eq!(check("MIT"), Ok(true));
        assert_eq!(check("GPL-3.0"), Ok(false));
        assert_eq!(check("GPL-3.0 OR MIT"), Ok(true));
        assert_eq!(check("GPL-3.0/MIT"), Ok(true));
        assert_eq!(check("MIT AND GPL-3.0"), Ok(false));
        assert_eq!(check("(MIT OR GPL-3.0) AND Apache-2.0"), Ok(true));
        // AND binds closer than OR.
        assert_eq!(check("MIT OR Apache-2.0 AND GPL-3.0"), Ok(true));
        assert_eq!(check("Apache-2.0 WITH LLVM-exception"), Ok(true));
        assert_eq!(check("GPL-2.0 WITH Classpath-exception-2.0"), Ok(false));
    }

    #[test]
    fn broken_expressions_are_errors() {
        for expression in ["", "MIT OR", "(MIT", "MIT)", "MIT MIT", "AND", "MIT WITH", &"(".repeat(40)] {
            assert!(check(expression).is_err(), "{expression}");
        }
    }
}
