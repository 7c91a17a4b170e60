//! A message with its AVPs as text.

use std::io::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use remora_model::Span;

use super::dictionary::{self, Kind, TGPP};
use super::header::{self, Avp, Header};
use super::names;
use crate::kept::Kept;

/// AVPs inside AVPs.
const MAX_DEPTH: usize = 16;

/// Seconds from 1900 to 1970 (RFC 868), and from 1970 to 2036, where they begin anew (RFC 5905).
const TO_1970: i64 = 2_208_988_800;
const TO_2036: i64 = 2_085_978_496;

/// What stands in the place of a secret.
const HIDDEN: &[u8] = b"***";

/// A message, as far as it is shown.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) header: Header,
    texts: Kept,
    pub(super) session: Span,
    pub(super) origin_host: Span,
    pub(super) origin_realm: Span,
    pub(super) destination_host: Span,
    pub(super) destination_realm: Span,
    pub(super) user: Span,
    pub(super) called: Span,
    pub(super) context: Span,
    pub(super) subscription: Span,
    pub(super) error: Span,
    pub(super) result: Option<u32>,
    /// Experimental-Result: the vendor, and the code.
    pub(super) experimental: Option<(u32, u32)>,
    pub(super) request_type: Option<i64>,
    pub(super) request_number: Option<i64>,
    /// All AVPs, one per line, those of a group indented.
    pub(super) body: Vec<u8>,
    body_cut: u64,
    /// The AVPs do not end where the message does.
    pub(super) fault: bool,
}

impl Message {
    /// Begins anew; buffers stay.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.body.clear();
        let Self { texts, body, .. } = std::mem::take(self);
        *self = Self { texts, body, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.texts.memory() + self.body.capacity()
    }

    /// Bytes that were left out.
    pub(super) fn cut(&self) -> u64 {
        self.texts.cut + self.body_cut
    }

    pub(super) fn text(&self, span: Span) -> &[u8] {
        self.texts.get(span)
    }

    /// Code and name of how it ended.
    pub(super) fn outcome(&self) -> Option<(u32, Option<&'static str>)> {
        match self.experimental {
            Some((vendor, code)) => {
                Some((code, if vendor == TGPP { names::result_of_3gpp(code) } else { None }))
            }
            None => self.result.map(|code| (code, names::result(code))),
        }
    }

    /// Reads a message, or the beginning of one that is `cut`; false when it has no header.
    pub(super) fn read(&mut self, bytes: &[u8], cut: bool, limit: usize) -> bool {
        self.clear();
        let Ok((header, _)) = header::read(bytes) else { return false };
        self.header = header;
        let end = bytes.len().min(header.length as usize);
        let rest = bytes.get(header::HEADER..end).unwrap_or_default();
        self.avps(rest, cut || end < header.length as usize, 0, 0, limit);
        true
    }

    fn avps(&mut self, mut rest: &[u8], cut: bool, group: u32, depth: usize, limit: usize) {
        loop {
            match header::avp(&mut rest, cut) {
                Ok(Some(avp)) => self.avp(&avp, group, depth, limit),
                Ok(None) => return,
                Err(()) => {
                    self.fault = true;
                    return;
                }
            }
        }
    }

    /// Takes an AVP inside the one with the code `group`, 0 for the message itself.
    fn avp(&mut self, avp: &Avp<'_>, group: u32, depth: usize, limit: usize) {
        if avp.vendor == 0 {
            self.note(avp, group, limit);
        }
        let known = dictionary::find(avp.vendor, avp.code);
        let kind = known.map_or(Kind::Octets, |k| k.kind);
        let start = self.body.len();
        if start < limit {
            self.body.extend(std::iter::repeat_n(b' ', 2 * depth));
            match known {
                Some(known) => self.body.extend(known.name.as_bytes()),
                None if avp.vendor == 0 => drop(write!(self.body, "AVP-{}", avp.code)),
                None => drop(write!(self.body, "AVP-{}-{}", avp.vendor, avp.code)),
            }
            self.body.push(b':');
            if kind != Kind::Group {
                self.body.push(b' ');
                write_value(avp, kind, &mut self.body);
            }
            self.body.push(b'\n');
            if self.body.len() > limit {
                self.body_cut += (self.body.len() - limit) as u64;
                self.body.truncate(limit);
            }
        } else {
            self.body_cut += avp.value.len() as u64;
        }
        if kind == Kind::Group {
            if depth + 1 < MAX_DEPTH {
                self.avps(avp.value, avp.cut, avp.code, depth + 1, limit);
            } else {
                self.body_cut += avp.value.len() as u64;
            }
        }
    }

    /// Keeps what has a field of its own.
    fn note(&mut self, avp: &Avp<'_>, group: u32, limit: usize) {
        let number = number(avp.value);
        let target = match (avp.code, group) {
            (263, 0) => &mut self.session,
            (264, 0) => &mut self.origin_host,
            (296, 0) => &mut self.origin_realm,
            (293, 0) => &mut self.destination_host,
            (283, 0) => &mut self.destination_realm,
            (1, 0) => &mut self.user,
            (30, _) => &mut self.called,
            (461, 0) => &mut self.context,
            (281, 0) => &mut self.error,
            // The first of several.
            (444, 443) if self.subscription.len == 0 => &mut self.subscription,
            (268, 0) => return self.result = number,
            (416, 0) => return self.request_type = number.map(i64::from),
            (415, 0) => return self.request_number = number.map(i64::from),
            (266, 297) => return self.experimental = Some((number.unwrap_or(0), self.code())),
            (298, 297) => return self.experimental = Some((self.vendor(), number.unwrap_or(0))),
            _ => return,
        };
        *target = self.texts.keep(avp.value, limit);
    }

    fn code(&self) -> u32 {
        self.experimental.map_or(0, |e| e.1)
    }

    fn vendor(&self) -> u32 {
        self.experimental.map_or(0, |e| e.0)
    }
}

/// Four bytes as a number.
fn number(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_be_bytes)
}

/// Appends a value. What is not as its type demands is shown as bytes.
fn write_value(avp: &Avp<'_>, kind: Kind, out: &mut Vec<u8>) {
    let start = out.len();
    if avp.cut && kind != Kind::Secret || written(avp, kind, out).is_none() {
        out.truncate(start);
        octets(avp.value, out);
    }
}

fn written(avp: &Avp<'_>, kind: Kind, out: &mut Vec<u8>) -> Option<()> {
    let value = avp.value;
    match kind {
        Kind::Octets | Kind::Text => octets(value, out),
        Kind::Int | Kind::Uint => {
            let n = match value.len() {
                4 if kind == Kind::Int => i128::from(number(value)?.cast_signed()),
                4 => i128::from(number(value)?),
                8 if kind == Kind::Int => i128::from(i64::from_be_bytes(value.try_into().ok()?)),
                8 => i128::from(u64::from_be_bytes(value.try_into().ok()?)),
                _ => return None,
            };
            let name =
                i64::try_from(n).ok().filter(|_| avp.vendor == 0).and_then(|n| names::value(avp.code, n));
            match name {
                Some(name) => _ = write!(out, "{name} ({n})"),
                None => _ = write!(out, "{n}"),
            }
        }
        Kind::Float => match value.len() {
            4 => _ = write!(out, "{}", f32::from_be_bytes(value.try_into().ok()?)),
            _ => _ = write!(out, "{}", f64::from_be_bytes(value.try_into().ok()?)),
        },
        Kind::Address => {
            let (family, address) = value.split_first_chunk()?;
            match u16::from_be_bytes(*family) {
                1 => ip4(address, out)?,
                2 => ip6(address, out)?,
                // E.164, as text.
                _ => octets(address, out),
            }
        }
        Kind::Ip4 => ip4(value, out)?,
        Kind::Ip6 => ip6(value, out)?,
        Kind::Time => {
            let ntp = i64::from(number(value)?);
            // RFC 6733, section 4.3.1: the times before 1968 are those after 2036.
            let seconds = if ntp & 0x8000_0000 == 0 { ntp + TO_2036 } else { ntp - TO_1970 };
            crate::sql::rows::print_date(out, seconds.div_euclid(86_400));
            let day = seconds.rem_euclid(86_400);
            _ = write!(out, "T{:02}:{:02}:{:02}Z", day / 3_600, day / 60 % 60, day % 60);
        }
        Kind::Secret => out.extend(HIDDEN),
        Kind::Group => return None,
    }
    Some(())
}

fn ip4(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    _ = write!(out, "{}", Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?));
    Some(())
}

fn ip6(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    _ = write!(out, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?));
    Some(())
}

/// Text as it is where it fits a line, else hexadecimal digits.
fn octets(value: &[u8], out: &mut Vec<u8>) {
    if std::str::from_utf8(value).is_ok_and(|t| !t.contains(|c: char| c.is_control())) {
        out.extend_from_slice(value);
        return;
    }
    let digit = |n: u8| b"0123456789abcdef".get(usize::from(n & 15)).copied().unwrap_or(b'0');
    out.extend(value.iter().flat_map(|b| [digit(b >> 4), digit(*b)]));
}
