//! One packet (RFC 2865, section 3).

use std::io::Write as _;

use remora_model::{Pairs, Span};

use super::value::{self, Kind};
use super::{attributes, vendors};

/// Bytes of the header.
pub(super) const HEADER: usize = 20;

/// Bytes of the longest packet.
pub(super) const LONGEST: usize = 4_096;

/// Attribute numbers that are looked at by themselves.
pub(super) const REPLY_MESSAGE: u8 = 18;
const VENDOR_SPECIFIC: u8 = 26;
const EAP_MESSAGE: u8 = 79;

/// Packets from the first byte on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) code: u8,
    pub(super) id: u8,
    pub(super) length: u16,
    pub(super) authenticator: [u8; 16],
}

/// Reads the header, and gives the attributes.
pub(super) fn header(bytes: &[u8]) -> Option<(Header, &[u8])> {
    let ([code, id, high, low], rest) = bytes.split_first_chunk()?;
    let (authenticator, _) = rest.split_first_chunk()?;
    let length = u16::from_be_bytes([*high, *low]);
    // What follows is padding (RFC 2865, section 3).
    let attributes = bytes.get(HEADER..usize::from(length))?;
    Some((Header { code: *code, id: *id, length, authenticator: *authenticator }, attributes))
}

/// The attributes one after the other, as number and value. Ends with `Err` where they do.
pub(super) fn attributes(mut rest: &[u8]) -> impl Iterator<Item = Result<(u8, &[u8]), ()>> {
    std::iter::from_fn(move || {
        let [number, len, ..] = rest else {
            let odd = !rest.is_empty();
            rest = &[];
            return odd.then_some(Err(()));
        };
        let Some(attribute) = rest.get(2..usize::from(*len)) else {
            rest = &[];
            return Some(Err(()));
        };
        rest = rest.get(usize::from(*len)..).unwrap_or_default();
        Some(Ok((*number, attribute)))
    })
}

/// A packet, as far as it is shown.
#[derive(Debug, Default)]
pub(super) struct Packet {
    pub(super) header: Header,
    text: Vec<u8>,
    pairs: Vec<[Span; 2]>,
    /// Number of each attribute in `pairs`; 0 for those of vendors.
    numbers: Vec<u8>,
    /// Reply-Messages, one per line.
    pub(super) reply: Vec<u8>,
    /// What the message of EAP is.
    pub(super) eap: Option<(&'static str, Option<&'static str>)>,
    /// Bytes that were left out.
    pub(super) cut: u64,
    /// The attributes do not end where the packet does.
    pub(super) fault: bool,
}

impl Packet {
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
            + self.pairs.capacity() * size_of::<[Span; 2]>()
            + self.numbers.capacity()
            + self.reply.capacity()
    }

    /// Reads a packet; false when it has no header.
    pub(super) fn read(&mut self, bytes: &[u8], limit: usize) -> bool {
        self.text.clear();
        self.pairs.clear();
        self.numbers.clear();
        self.reply.clear();
        (self.eap, self.cut, self.fault) = (None, 0, false);
        let Some((header, rest)) = header(bytes) else { return false };
        self.header = header;
        for attribute in attributes(rest) {
            match attribute {
                Ok((number, value)) => self.attribute(number, value, limit),
                Err(()) => self.fault = true,
            }
        }
        true
    }

    fn attribute(&mut self, number: u8, value: &[u8], limit: usize) {
        let known = attributes::find(number);
        match number {
            VENDOR_SPECIFIC if value.len() > 4 => return self.vendor(value, limit),
            EAP_MESSAGE if self.eap.is_some() || self.get_all(EAP_MESSAGE).next().is_some() => return,
            EAP_MESSAGE => self.eap = value::eap_name(value),
            REPLY_MESSAGE if self.text.len() < limit => {
                if !self.reply.is_empty() {
                    self.reply.push(b'\n');
                }
                self.reply.extend_from_slice(value);
            }
            _ => {}
        }
        let start = self.text.len();
        match known {
            Some((name, _)) => self.text.extend(name.as_bytes()),
            None => drop(write!(self.text, "Attribute-{number}")),
        }
        let kind = known.map_or(Kind::Octets, |k| k.1);
        self.finish(start, number, Some(number), kind, value, limit);
    }

    /// The attributes of a vendor, which most of them put in as RFC 2865 recommends.
    fn vendor(&mut self, value: &[u8], limit: usize) {
        let Some((vendor, rest)) = value.split_first_chunk() else { return };
        let vendor = u32::from_be_bytes(*vendor);
        if attributes(rest).any(|a| a.is_err()) {
            let start = self.text.len();
            self.vendor_name(vendor);
            self.finish(start, 0, None, Kind::Octets, rest, limit);
            return;
        }
        for (number, value) in attributes(rest).flatten() {
            let start = self.text.len();
            let known = vendors::find(vendor, number);
            match known {
                Some((name, _)) => self.text.extend(name.as_bytes()),
                None => {
                    self.vendor_name(vendor);
                    _ = write!(self.text, "-{number}");
                }
            }
            // Text is what most of them are.
            self.finish(start, 0, None, known.map_or(Kind::Text, |k| k.1), value, limit);
        }
    }

    fn vendor_name(&mut self, vendor: u32) {
        match vendors::name(vendor) {
            Some(name) => self.text.extend(name.as_bytes()),
            None => drop(write!(self.text, "Vendor-{vendor}")),
        }
    }

    /// Adds the value behind the name that begins at `start`.
    fn finish(
        &mut self,
        start: usize,
        number: u8,
        attribute: Option<u8>,
        kind: Kind,
        bytes: &[u8],
        limit: usize,
    ) {
        let middle = self.text.len();
        value::write(attribute, kind, bytes, &mut self.text);
        if self.text.len() > limit {
            self.cut += (self.text.len() - start) as u64;
            self.text.truncate(start);
            return;
        }
        let span = |from: usize, to: usize| Span { start: from as u32, len: (to - from) as u32 };
        self.pairs.push([span(start, middle), span(middle, self.text.len())]);
        self.numbers.push(number);
    }

    /// All attributes by name.
    pub(super) fn pairs(&self) -> Pairs<'_> {
        Pairs { text: &self.text, spans: &self.pairs }
    }

    /// The first value of the attribute with that number.
    pub(super) fn get(&self, number: u8) -> Option<&[u8]> {
        self.get_all(number).next()
    }

    fn get_all(&self, number: u8) -> impl Iterator<Item = &[u8]> {
        let all = self.numbers.iter().zip(&self.pairs);
        all.filter(move |a| *a.0 == number).map(|a| a.1[1].of(&self.text))
    }
}
