//! Domain names: compression, bounds, and their text form.
//!
//! The text is that of master files (RFC 1035, section 5.1) without the final dot, as every name
//! in Remora's fields: a byte that is not a printable ASCII character is written `\DDD`, and one
//! that means something in a master file has a backslash before it. The root is `.`.

use std::io::Write as _;

/// Octets of a name on the wire, lengths and the root included (RFC 1035, section 2.3.4).
const MAX_OCTETS: usize = 255;

/// Reads the name at `at`, whose own octets must lie before `end`, and hands each label to
/// `label`. Returns where the name's own octets end.
///
/// A compression pointer must lead further back than the piece of the name that holds it began,
/// as RFC 1035 section 4.1.4 demands ("a prior occurrence"), so that no chain can be endless.
fn walk(msg: &[u8], at: usize, end: usize, mut label: impl FnMut(&[u8])) -> Option<usize> {
    let mut pos = at;
    let mut limit = end.min(msg.len());
    let mut piece = at;
    let mut after = None;
    let mut octets = 0;
    loop {
        if pos >= limit {
            return None;
        }
        let len = *msg.get(pos)?;
        match len >> 6 {
            0 if len == 0 => return Some(after.unwrap_or(pos + 1)),
            0 => {
                let len = usize::from(len);
                octets += 1 + len;
                // One more for the root that must follow.
                if octets + 1 > MAX_OCTETS || pos + 1 + len > limit {
                    return None;
                }
                label(msg.get(pos + 1..pos + 1 + len)?);
                pos += 1 + len;
            }
            3 => {
                if pos + 2 > limit {
                    return None;
                }
                let target = usize::from(len & 0x3f) << 8 | usize::from(*msg.get(pos + 1)?);
                if target >= piece {
                    return None;
                }
                after.get_or_insert(pos + 2);
                limit = piece;
                piece = target;
                pos = target;
            }
            // 0x40 was EDNS's extended label (RFC 6891 retired it); 0x80 was never given out.
            _ => return None,
        }
    }
}

/// Appends the name at `at` to `out`; returns where its own octets end. On an error `out` is as
/// it was.
pub(super) fn write(msg: &[u8], at: usize, end: usize, out: &mut Vec<u8>) -> Option<usize> {
    let start = out.len();
    let after = walk(msg, at, end, |label| {
        if out.len() > start {
            out.push(b'.');
        }
        write_label(label, out);
    });
    match after {
        Some(_) if out.len() == start => out.push(b'.'),
        Some(_) => {}
        None => out.truncate(start),
    }
    after
}

/// Like [`write()`], without the text.
pub(super) fn check(msg: &[u8], at: usize, end: usize) -> Option<usize> {
    walk(msg, at, end, |_| {})
}

/// Where the name's own octets end, without looking at what it points to.
pub(super) fn skip(msg: &[u8], at: usize, end: usize) -> Option<usize> {
    let mut pos = at;
    loop {
        if pos >= end || pos - at >= MAX_OCTETS {
            return None;
        }
        let len = *msg.get(pos)?;
        match len >> 6 {
            0 if len == 0 => return Some(pos + 1),
            0 => pos += 1 + usize::from(len),
            3 => return (pos + 2 <= end.min(msg.len())).then_some(pos + 2),
            _ => return None,
        }
    }
}

fn write_label(label: &[u8], out: &mut Vec<u8>) {
    for &b in label {
        match b {
            // What BIND escapes: the separator, the escape itself, quotation marks, grouping,
            // comments, and the two that stand for the origin and for directives.
            b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => out.extend([b'\\', b]),
            0x21..=0x7e => out.push(b),
            _ => drop(write!(out, "\\{b:03}")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(msg: &[u8], at: usize) -> Option<(String, usize)> {
        let mut out = b"kept".to_vec();
        let after = write(msg, at, msg.len(), &mut out);
        assert!(out.starts_with(b"kept"));
        assert_eq!(check(msg, at, msg.len()), after);
        let text = String::from_utf8(out.split_off(4)).unwrap();
        if after.is_none() {
            assert_eq!(text, "", "nothing stays behind after a fault");
        }
        after.map(|after| (text, after))
    }

    #[test]
    fn plain_and_root() {
        assert_eq!(text(b"\x03www\x07example\x00", 0), Some(("www.example".into(), 13)));
        assert_eq!(text(b"\x00", 0), Some((".".into(), 1)));
    }

    #[test]
    fn pointers_lead_back_only() {
        let msg = b"\x07example\x00\x03www\xc0\x00\x01a\xc0\x09\xc0\x13";
        assert_eq!(text(msg, 9), Some(("www.example".into(), 15)));
        assert_eq!(text(msg, 15), Some(("a.www.example".into(), 19)));
        assert_eq!(text(msg, 19), None, "to itself");
        assert_eq!(text(b"\xc0\x02\x00", 0), None, "forwards");
        // A piece that runs into the pointer that led to it: the labels would repeat for ever.
        assert_eq!(text(b"\x01a\xc0\x00", 0), None);
        assert_eq!(text(b"\x01a\x01b\xc0\x00", 2), None);
    }

    #[test]
    fn a_chain_of_pointers_ends() {
        let mut msg = vec![0];
        for i in 0..8000_usize {
            let to = if i == 0 { 0 } else { 1 + 2 * (i - 1) };
            msg.extend((0xc000 | to as u16).to_be_bytes());
        }
        assert_eq!(text(&msg, msg.len() - 2), Some((".".into(), msg.len())));
    }

    #[test]
    fn at_most_255_octets() {
        let mut msg = Vec::new();
        for _ in 0..3 {
            msg.push(63);
            msg.extend([b'x'; 63]);
        }
        let mut fits = msg.clone();
        fits.push(61);
        fits.extend([b'y'; 61]);
        fits.push(0);
        assert_eq!(fits.len(), 255);
        assert!(text(&fits, 0).is_some());
        msg.push(62);
        msg.extend([b'y'; 62]);
        msg.push(0);
        assert_eq!(text(&msg, 0), None);
        // The same by way of a pointer.
        let at = fits.len();
        fits.extend(b"\x01z\xc0\x00");
        assert_eq!(text(&fits, at), None);
    }

    #[test]
    fn odd_bytes_are_escaped_as_in_master_files() {
        assert_eq!(
            text(b"\x0ca.b\\c\"(;)@$ \x04\xc3\xbc\x00z\x00", 0),
            Some((r#"a\.b\\c\"\(\;\)\@\$\032.\195\188\000z"#.into(), 19))
        );
    }

    #[test]
    fn faults() {
        for bad in [&b""[..], b"\x03ab", b"\x01a", b"\x40a\x00", b"\x80a\x00", b"\xc0"] {
            assert_eq!(text(bad, 0), None, "{bad:?}");
        }
        assert_eq!(skip(b"\x01a\xc0\x63", 0, 4), Some(4));
        assert_eq!(skip(b"\x01a\xc0\x63", 0, 3), None);
    }
}
