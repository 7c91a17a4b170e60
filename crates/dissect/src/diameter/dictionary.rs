//! The AVPs: number, type and name, as IANA ("Authentication, Authorization, and Accounting
//! Parameters") and 3GPP (TS 29.230) assign them.

use std::sync::LazyLock;

/// The vendor 3GPP.
pub(super) const TGPP: u32 = 10_415;

/// Types of values (RFC 6733, sections 4.2 and 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text where it is readable, else hexadecimal digits.
    Octets,
    Text,
    Int,
    Uint,
    Float,
    Group,
    Address,
    /// An IPv4 address as RADIUS has it.
    Ip4,
    /// The same for IPv6.
    Ip6,
    /// Seconds since 1900.
    Time,
    /// Never shown.
    Secret,
}

/// An AVP.
#[derive(Clone, Copy, Debug)]
pub(super) struct Avp {
    code: u32,
    pub(super) kind: Kind,
    pub(super) name: &'static str,
}

/// One per line, in ascending order: code, type, name.
static IETF: LazyLock<Vec<Avp>> = LazyLock::new(|| parse(include_str!("avps/ietf.txt")));
static OF_3GPP: LazyLock<Vec<Avp>> = LazyLock::new(|| parse(include_str!("avps/3gpp.txt")));

fn parse(text: &'static str) -> Vec<Avp> {
    text.lines().filter_map(line).collect()
}

fn line(line: &'static str) -> Option<Avp> {
    let mut words = line.split(' ');
    let (code, kind, name) = (words.next()?.parse().ok()?, words.next()?, words.next()?);
    let kind = match kind {
        "octets" => Kind::Octets,
        "text" => Kind::Text,
        "int" => Kind::Int,
        "uint" => Kind::Uint,
        "float" => Kind::Float,
        "group" => Kind::Group,
        "address" => Kind::Address,
        "ip4" => Kind::Ip4,
        "ip6" => Kind::Ip6,
        "time" => Kind::Time,
        "secret" => Kind::Secret,
        _ => return None,
    };
    Some(Avp { code, kind, name })
}

/// The AVP with that code of that vendor; 0 is the IETF.
pub(super) fn find(vendor: u32, code: u32) -> Option<Avp> {
    let table = match vendor {
        0 => &*IETF,
        TGPP => &*OF_3GPP,
        _ => return None,
    };
    let at = table.binary_search_by_key(&code, |a| a.code).ok()?;
    table.get(at).copied()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_read_and_in_order() {
        let files = [(&IETF, include_str!("avps/ietf.txt")), (&OF_3GPP, include_str!("avps/3gpp.txt"))];
        for (table, text) in files {
            assert_eq!(table.len(), text.lines().count());
            assert!(table.is_sorted_by(|a, b| a.code < b.code));
        }
        assert_eq!(find(0, 263).unwrap().name, "Session-Id");
        assert_eq!(find(TGPP, 1450).unwrap().kind, Kind::Secret);
        assert!(find(0, 9_999).is_none() && find(9, 1).is_none());
    }
}
