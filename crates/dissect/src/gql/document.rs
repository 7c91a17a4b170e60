//! Documents: which operation one has, and what it asks for (GraphQL specification, September
//! 2025, section 2). Reads names and steps over the rest; what does not look like GraphQL is none.

/// Top-level fields that are read of an operation.
pub(super) const FIELDS: usize = crate::texts::LISTED;

/// An operation of a document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Operation<'a> {
    /// `query`, `mutation` or `subscription`; empty until it is known.
    pub(super) kind: &'static str,
    /// Empty where it has none.
    pub(super) name: &'a [u8],
    /// Its first fields, without aliases.
    pub(super) fields: [&'a [u8]; FIELDS],
    pub(super) len: usize,
}

/// A position in a document.
#[derive(Clone, Copy)]
struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

/// What is no document.
struct Bad;

/// Reads the operation with that name, or the first if it is empty. `cut` says that the document
/// may end anywhere. `None` when the text is no document.
pub(super) fn read<'a>(text: &'a [u8], name: &[u8], cut: bool) -> Option<Operation<'a>> {
    let mut reader = Reader { text, at: 0 };
    let mut found: Option<Operation<'a>> = None;
    loop {
        let mut operation = Operation::default();
        let result = reader.definition(&mut operation);
        let asked = !operation.kind.is_empty() && (name.is_empty() || operation.name == name);
        match result {
            // What was read so far is certain.
            Err(Bad) => {
                return (cut && reader.at >= text.len())
                    .then(|| found.or(Some(operation)))?
                    .filter(|o| o.len > 0);
            }
            Ok(false) => return found,
            Ok(true) if asked || (found.is_none() && !operation.kind.is_empty()) => {
                let wanted = found.is_some_and(|f| name.is_empty() || f.name == name);
                if !wanted {
                    found = Some(operation);
                }
            }
            Ok(true) => {}
        }
    }
}

impl<'a> Reader<'a> {
    /// Steps over what means nothing: white space, commas and comments.
    fn skip(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => self.at += 1,
                0xef if self.text.get(self.at..)?.starts_with(b"\xef\xbb\xbf") => self.at += 3,
                b'#' => {
                    let rest = self.text.get(self.at..)?;
                    self.at += rest.iter().position(|b| matches!(b, b'\n' | b'\r')).unwrap_or(rest.len());
                }
                b => return Some(*b),
            }
        }
    }

    /// A name; empty where there is none.
    fn name(&mut self) -> &'a [u8] {
        self.skip();
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.first().is_some_and(u8::is_ascii_digit) {
            return b"";
        }
        let len = rest.iter().position(|b| !b.is_ascii_alphanumeric() && *b != b'_').unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn take(&mut self, b: u8) -> bool {
        let there = self.skip() == Some(b);
        self.at += usize::from(there);
        there
    }

    /// A definition. `Ok(false)`: there is no more.
    fn definition(&mut self, operation: &mut Operation<'a>) -> Result<bool, Bad> {
        match self.skip() {
            None => return Ok(false),
            Some(b'"') => self.string()?,
            _ => {}
        }
        if self.skip() == Some(b'{') {
            operation.kind = "query";
            self.selections(operation)?;
            return Ok(true);
        }
        let kind = match self.name() {
            b"query" => "query",
            b"mutation" => "mutation",
            b"subscription" => "subscription",
            b"fragment" => "",
            _ => return Err(Bad),
        };
        let name = self.name();
        if kind.is_empty() {
            if name.is_empty() || self.name() != b"on" || self.name().is_empty() {
                return Err(Bad);
            }
            self.directives()?;
            self.selections(&mut Operation::default())?;
            return Ok(true);
        }
        if self.skip() == Some(b'(') {
            self.group()?;
        }
        self.directives()?;
        operation.kind = kind;
        operation.name = name;
        self.selections(operation)?;
        Ok(true)
    }

    fn directives(&mut self) -> Result<(), Bad> {
        while self.take(b'@') {
            if self.name().is_empty() {
                return Err(Bad);
            }
            if self.skip() == Some(b'(') {
                self.group()?;
            }
        }
        Ok(())
    }

    /// A selection set: the names of its fields, and what they select stepped over.
    fn selections(&mut self, operation: &mut Operation<'a>) -> Result<(), Bad> {
        if !self.take(b'{') {
            return Err(Bad);
        }
        let mut any = false;
        while !self.take(b'}') {
            any = true;
            if self.skip() == Some(b'.') {
                if !self.text.get(self.at..).unwrap_or_default().starts_with(b"...") {
                    self.at = self.text.len().min(self.at + 3);
                    return Err(Bad);
                }
                self.at += 3;
                // The name of a fragment, a type condition, or nothing.
                if self.name() == b"on" && self.name().is_empty() {
                    return Err(Bad);
                }
            } else {
                let mut name = self.name();
                if self.take(b':') {
                    name = self.name();
                }
                if name.is_empty() {
                    return Err(Bad);
                }
                if let Some(slot) = operation.fields.get_mut(operation.len) {
                    *slot = name;
                    operation.len += 1;
                }
                if self.skip() == Some(b'(') {
                    self.group()?;
                }
            }
            self.directives()?;
            if self.skip() == Some(b'{') {
                self.group()?;
            }
        }
        if any { Ok(()) } else { Err(Bad) }
    }

    /// Steps over what stands between brackets, whichever open here.
    fn group(&mut self) -> Result<(), Bad> {
        let mut depth = 0_usize;
        loop {
            match self.skip().ok_or(Bad)? {
                b'{' | b'(' | b'[' => depth += 1,
                b'}' | b')' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        self.at += 1;
                        return Ok(());
                    }
                }
                b'"' => {
                    self.string()?;
                    continue;
                }
                // Punctuators, names and numbers (section 2.1).
                b'!' | b'$' | b'&' | b'.' | b':' | b'=' | b'@' | b'|' | b'_' | b'-' | b'+' => {}
                b if b.is_ascii_alphanumeric() => {}
                _ => return Err(Bad),
            }
            self.at += 1;
        }
    }

    /// Steps over a string, or a block of it.
    fn string(&mut self) -> Result<(), Bad> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"\"\"\"") {
            let mut from = 3;
            loop {
                let Some(i) = memchr::memmem::find(rest.get(from..).unwrap_or_default(), b"\"\"\"") else {
                    self.at = self.text.len();
                    return Err(Bad);
                };
                from += i + 3;
                if rest.get(from - 4) != Some(&b'\\') {
                    self.at += from;
                    return Ok(());
                }
            }
        }
        let mut from = 1;
        loop {
            match rest.get(from) {
                None => {
                    self.at = self.text.len();
                    return Err(Bad);
                }
                Some(b'"') => {
                    self.at += from + 1;
                    return Ok(());
                }
                Some(b'\n') => return Err(Bad),
                Some(b'\\') => from += 2,
                Some(_) => from += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str, name: &str) -> Option<String> {
        read(text.as_bytes(), name.as_bytes(), false).map(|o| {
            let fields: Vec<_> = o.fields[..o.len].iter().map(|f| String::from_utf8_lossy(f)).collect();
            format!("{} {} {}", o.kind, String::from_utf8_lossy(o.name), fields.join(","))
        })
    }

    const LONG: &str = "# all\n query Shop($id: ID! = \"x\\\"}\", $n: [Int!] = [1]) @cached(ttl: 3) {\n  shop(id: $id, f: {a: \"\"\"}\\\"\"\"\"\"\"}) { name, items { id } }\n  mine: user @include(if: true) { id } ...Rest ... on Query { other } count }\
        fragment Rest on Query @x { a b } mutation Buy { buy { id } }";

    #[test]
    fn operations_are_read() {
        for (text, name, expected) in [
            ("{ a b { c } }", "", "query  a,b"),
            ("{a}", "", "query  a"),
            ("query{a:b(x:1){c}}", "", "query  b"),
            (LONG, "", "query Shop shop,user,count"),
            (LONG, "Buy", "mutation Buy buy"),
            (LONG, "Missing", "query Shop shop,user,count"),
            ("\u{feff}subscription Ticks { ticks }", "", "subscription Ticks ticks"),
            ("fragment F on T { x } query Q { ...F y }", "", "query Q y"),
        ] {
            assert_eq!(show(text, name).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_languages_are_refused() {
        for text in [
            "",
            "up",
            "{}",
            "{__name__=\"up\"}",
            "{job=~\"a|b\"} |= \"error\"",
            "{ a",
            "query",
            "query Q",
            "{ a } }",
            "select * from t",
            "{\"query\":{\"match_all\":{}}}",
            "query { a(x: ; ) }",
            "{ 1 }",
            "{ a: }",
            "{ a . b }",
            "mutationX { a }",
            "{ a \"b\" }",
            "{ a(x: \"y\n\") }",
        ] {
            assert_eq!(show(text, ""), None, "{text}");
        }
    }

    #[test]
    fn what_is_cut_gives_what_is_certain() {
        for n in 0..LONG.len() {
            if let Some(operation) = read(&LONG.as_bytes()[..n], b"", true) {
                assert!(operation.kind == "query" && operation.len > 0 || n > 250);
            }
        }
    }
}
