//! What a request is without what differs from one request to the next: calls of one shape are calls
//! of one endpoint, whatever the protocol.

/// What stands for a part that differs.
const PART: &str = "{}";

/// Digits in a row that are a number and no part of a name.
const MANY_DIGITS: usize = 4;

/// Length from which letters and digits in a row may be an id, and digits in it that make it one.
const ID_LENGTH: usize = 16;
const ID_DIGITS: usize = 4;

/// Length from which hexadecimal digits in a row are an id.
const HEX_LENGTH: usize = 8;

/// The text with `{}` for numbers, ids, and text between single quotation marks; lists of them are one, and
/// the query of a URL is left out.
pub(super) fn shape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // Whether the word that is read is a path or URL, and what stands before the place.
    let (mut path, mut before) = (false, ' ');
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
        let taken = match c {
            '\'' if !is_word(before) => {
                part(&mut out);
                quoted(rest)
            }
            '?' if path => rest.find(char::is_whitespace).unwrap_or(rest.len()),
            _ if word > 0 => {
                let (this, _) = rest.split_at(word);
                named(this, &mut out);
                word
            }
            c => {
                out.push(c);
                if c == ')' && out.ends_with("({}), ({})") {
                    out.truncate(out.len() - ", ({})".len());
                }
                c.len_utf8()
            }
        };
        path = match c {
            c if c.is_whitespace() => false,
            '/' if before.is_whitespace() || before == ':' => true,
            _ => path,
        };
        let (this, behind) = rest.split_at(taken.clamp(c.len_utf8(), rest.len()));
        before = this.chars().next_back().unwrap_or(' ');
        rest = behind;
    }
    out
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

/// Length of a text that begins with a quotation mark, which is doubled or behind a backslash where it does
/// not end it. What was cut ends with the text.
fn quoted(text: &str) -> usize {
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((at, b)) = bytes.next() {
        match b {
            b'\\' => _ = bytes.next(),
            b'\'' if bytes.peek().is_some_and(|(_, b)| *b == b'\'') => _ = bytes.next(),
            b'\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Appends the mark; a list of marks is one.
fn part(out: &mut String) {
    for separator in [", ", ","] {
        if out.strip_suffix(separator).is_some_and(|list| list.ends_with(PART)) {
            out.truncate(out.len() - separator.len());
            return;
        }
    }
    out.push_str(PART);
}

/// Appends letters, digits, `_` and `-`.
fn named(word: &str, out: &mut String) {
    if is_uuid(word) {
        return part(out);
    }
    for (i, piece) in word.split('-').enumerate() {
        if i > 0 {
            out.push('-');
        }
        let digits = piece.bytes().filter(u8::is_ascii_digit).count();
        let hex = piece.len() >= HEX_LENGTH && piece.bytes().all(|b| b.is_ascii_hexdigit());
        let id = piece.len() >= ID_LENGTH && digits >= ID_DIGITS && !piece.contains('_');
        if digits > 0 && (digits == piece.len() || hex || id) {
            part(out);
        } else {
            numbered(piece, out);
        }
    }
}

/// Appends a name, without long numbers in it.
fn numbered(name: &str, out: &mut String) {
    let mut rest = name;
    while !rest.is_empty() {
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, behind) = rest.split_at(letters);
        let digits = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        let (number, behind) = behind.split_at(digits);
        out.push_str(text);
        out.push_str(if digits >= MANY_DIGITS { PART } else { number });
        rest = behind;
    }
}

fn is_uuid(word: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let hex = |piece: &str, length| piece.len() == length && piece.bytes().all(|b| b.is_ascii_hexdigit());
    word.len() == 36
        && word.split('-').count() == lengths.len()
        && word.split('-').zip(lengths).all(|(piece, length)| hex(piece, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_call_to_call_is_left_out() {
        for (text, expected) in [
            ("GET /api/v1/items/17", "GET /api/v1/items/{}"),
            ("GET /api/items/17?id=17&x=a/b", "GET /api/items/{}"),
            ("GET /a?x=1 b?c", "GET /a b?c"),
            ("GET /u/3f2504e0-4f89-11d3-9a0c-0305e82c3301/cart", "GET /u/{}/cart"),
            ("GET /blob/9f86d081884c7d65/raw", "GET /blob/{}/raw"),
            ("GET /o/01ARZ3NDEKTSV4RRFFQ69G5FAV", "GET /o/{}"),
            ("GET session:1234", "GET session:{}"),
            ("HGET user-17 name", "HGET user-{} name"),
            ("PRODUCE orders-v2", "PRODUCE orders-v2"),
            ("GET order12345", "GET order{}"),
            (
                "SELECT * FROM t1 WHERE id = 17 AND name = 'it''s \\' me'",
                "SELECT * FROM t1 WHERE id = {} AND name = {}",
            ),
            ("SELECT a FROM b WHERE c IN (1, 2,3, 'x')", "SELECT a FROM b WHERE c IN ({})"),
            ("INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "INSERT INTO t VALUES ({})"),
            ("SELECT 'cut off", "SELECT {}"),
            ("SELECT name FROM users WHERE id = $1", "SELECT name FROM users WHERE id = ${}"),
            ("don't stop", "don't stop"),
            ("GET /gr\u{fc}n/\u{1f980}7", "GET /gr\u{fc}n/\u{1f980}{}"),
            ("GET /facade/decade", "GET /facade/decade"),
            ("", ""),
        ] {
            assert_eq!(shape(text), expected);
        }
    }

    #[test]
    fn a_shape_is_its_own_shape() {
        for text in ["GET /a/{}/b", "SELECT {} FROM t WHERE x IN ({})", "HGET user-{} name"] {
            assert_eq!(shape(text), text);
        }
    }
}
