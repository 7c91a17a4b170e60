//! One DNS message (RFC 1035, section 4), kept as far as calls show it.

use std::{
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use super::{
    cursor::Cursor,
    rdata,
    types::{self, opcode},
};

/// Octets of the header.
pub(super) const HEADER: usize = 12;

/// Bits of the header's second word.
pub(super) mod flag {
    pub(crate) const QR: u16 = 0x8000;
    pub(crate) const AA: u16 = 0x0400;
    pub(crate) const TC: u16 = 0x0200;
    pub(crate) const RD: u16 = 0x0100;
    pub(crate) const RA: u16 = 0x0080;
    /// Must be zero.
    pub(crate) const Z: u16 = 0x0040;
    pub(crate) const AD: u16 = 0x0020;
    pub(crate) const CD: u16 = 0x0010;
}

/// Class IN.
pub(super) const IN: u16 = 1;

/// mDNS borrows the top bit of the class for "unicast response wanted" and "flush the cache"
/// (RFC 6762, section 18).
pub(super) const CLASS_MASK: u16 = 0x7fff;

/// The fixed part of a message.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Header {
    pub(super) id: u16,
    pub(super) flags: u16,
    /// Entries announced for question, answer, authority and additional.
    pub(super) counts: [u16; 4],
}

impl Header {
    pub(super) fn read(c: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { id: c.u16()?, flags: c.u16()?, counts: [c.u16()?, c.u16()?, c.u16()?, c.u16()?] })
    }

    pub(super) const fn is_response(&self) -> bool {
        self.flags & flag::QR != 0
    }

    pub(super) const fn opcode(&self) -> u8 {
        (self.flags >> 11) as u8 & 15
    }

    /// The lower four bits of the response code.
    pub(super) const fn rcode(&self) -> u16 {
        self.flags & 15
    }
}

/// The part of a record in front of its data.
pub(super) struct RecordHead {
    pub(super) ty: u16,
    pub(super) class: u16,
    pub(super) ttl: u32,
    pub(super) len: usize,
}

impl RecordHead {
    /// Reads what follows the owner's name.
    pub(super) fn read(c: &mut Cursor<'_>) -> Option<Self> {
        Some(Self { ty: c.u16()?, class: c.u16()?, ttl: c.u32()?, len: usize::from(c.u16()?) })
    }
}

/// Where in a message reading had to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Question,
    Answer,
    Authority,
    Additional,
}

/// Part of a message's text.
type Span = Range<usize>;

/// An entry of the question section.
#[derive(Debug)]
struct Question {
    name: Span,
    ty: u16,
    class: u16,
    ty_text: Span,
}

/// An entry of the answer section.
#[derive(Debug)]
struct Answer {
    data: Span,
    ty: Span,
    ttl: Span,
}

/// What a message says, in buffers that are used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) header: Header,
    /// The response code with the upper bits that EDNS adds (RFC 6891, section 6.1.3).
    pub(super) rcode: u16,
    /// The DO bit of EDNS.
    pub(super) dnssec_ok: bool,
    /// The section that could not be read to its end.
    pub(super) fault: Option<Section>,
    /// Records whose data does not fit their type, and stray octets behind the message.
    pub(super) oddities: u32,
    /// Octets of text that were left out for the budget.
    pub(super) cut: u64,
    text: Vec<u8>,
    questions: Vec<Question>,
    answers: Vec<Answer>,
    rcode_text: Span,
    subnet: Option<Span>,
}

impl Message {
    /// Reads `bytes`, keeping at most about `budget` octets of text. False when there is not even
    /// a header; any other fault keeps what stood before it and is told in [`fault`](Self::fault).
    pub(super) fn read(&mut self, bytes: &[u8], budget: usize) -> bool {
        self.clear();
        let mut c = Cursor::new(bytes);
        let Some(header) = Header::read(&mut c) else { return false };
        // Text is seldom longer than what it tells, and then grows. Buffers that take turns soon have one size.
        self.text.reserve(bytes.len().min(budget).next_power_of_two());
        self.header = header;
        self.rcode = header.rcode();
        self.fault = self.sections(&mut c, header.counts, budget).err();
        if self.fault.is_none() && c.rest().iter().any(|b| *b != 0) {
            self.oddities += 1;
        }
        let start = self.text.len();
        types::write_rcode(self.rcode, &mut self.text);
        self.rcode_text = start..self.text.len();
        true
    }

    /// Adds the answers of a further message of the same response (a zone transfer).
    pub(super) fn append(&mut self, bytes: &[u8], budget: usize) {
        let mut c = Cursor::new(bytes);
        let Some(header) = Header::read(&mut c) else { return };
        let rcode = self.rcode;
        // The question may be repeated (RFC 5936, section 2.2.1) and is kept once.
        let repeated = self.questions.len();
        let fault = self.sections(&mut c, header.counts, budget).err();
        self.questions.truncate(repeated.max(1));
        if self.fault.is_none() {
            self.fault = fault;
        }
        if rcode == 0 && header.rcode() != 0 {
            self.rcode = header.rcode();
            let start = self.text.len();
            types::write_rcode(self.rcode, &mut self.text);
            self.rcode_text = start..self.text.len();
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.questions.clear();
        self.answers.clear();
        self.rcode_text = 0..0;
        self.subnet = None;
        self.header = Header::default();
        self.rcode = 0;
        self.dnssec_ok = false;
        self.fault = None;
        self.oddities = 0;
        self.cut = 0;
    }

    fn sections(&mut self, c: &mut Cursor<'_>, counts: [u16; 4], budget: usize) -> Result<(), Section> {
        // The sections of an UPDATE are other things than questions and answers (RFC 2136), but
        // the first is written like a question and the others like records. DSO has none
        // (RFC 8490, section 5.4).
        if self.header.opcode() == opcode::DSO {
            c.rest();
            return Ok(());
        }
        let [questions, answers, authority, additional] = counts;
        for _ in 0..questions {
            self.question(c, budget).ok_or(Section::Question)?;
        }
        let keep = self.header.is_response() && self.header.opcode() != opcode::UPDATE;
        for _ in 0..answers {
            self.answer(c, keep, budget).ok_or(Section::Answer)?;
        }
        for _ in 0..authority {
            skip_record(c).ok_or(Section::Authority)?;
        }
        for _ in 0..additional {
            self.additional(c).ok_or(Section::Additional)?;
        }
        Ok(())
    }

    fn question(&mut self, c: &mut Cursor<'_>, budget: usize) -> Option<()> {
        let start = self.text.len();
        c.name(&mut self.text)?;
        let name = start..self.text.len();
        let (ty, class) = (c.u16()?, c.u16()? & CLASS_MASK);
        types::write_type(ty, &mut self.text);
        let ty_text = name.end..self.text.len();
        if start > 0 && self.text.len() > budget {
            self.cut += (self.text.len() - start) as u64;
            self.text.truncate(start);
        } else {
            self.questions.push(Question { name, ty, class, ty_text });
        }
        Some(())
    }

    fn answer(&mut self, c: &mut Cursor<'_>, keep: bool, budget: usize) -> Option<()> {
        c.skip_name()?;
        let head = RecordHead::read(c)?;
        let data = c.part(head.len)?;
        if !keep {
            return Some(());
        }
        let start = self.text.len();
        // An OPT record belongs into the additional section; addresses are IN's.
        let foreign = matches!(head.ty, types::A | types::AAAA) && head.class & CLASS_MASK != IN;
        if !rdata::write(if foreign { 0 } else { head.ty }, data, &mut self.text) {
            self.oddities += 1;
        }
        let data = start..self.text.len();
        types::write_type(head.ty, &mut self.text);
        let ty = data.end..self.text.len();
        drop(write!(self.text, "{}", head.ttl));
        let ttl = ty.end..self.text.len();
        if self.text.len() > budget {
            self.cut += (self.text.len() - start) as u64;
            self.text.truncate(start);
        } else {
            self.answers.push(Answer { data, ty, ttl });
        }
        Some(())
    }

    fn additional(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        c.skip_name()?;
        let head = RecordHead::read(c)?;
        let mut data = c.part(head.len)?;
        if head.ty == types::OPT {
            // RFC 6891, section 6.1.3: extended RCODE, version, flags.
            self.rcode = self.header.rcode() | (head.ttl >> 24 << 4) as u16;
            self.dnssec_ok = head.ttl & 0x8000 != 0;
            while data.left() > 0 {
                let code = data.u16()?;
                let len = usize::from(data.u16()?);
                let mut option = data.part(len)?;
                if code == 8 && self.client_subnet(&mut option).is_none() {
                    self.oddities += 1;
                }
            }
        }
        Some(())
    }

    /// The client subnet option (RFC 7871, section 6), written as dig does:
    /// `address/source prefix/scope prefix`.
    fn client_subnet(&mut self, c: &mut Cursor<'_>) -> Option<()> {
        let (family, source, scope) = (c.u16()?, c.u8()?, c.u8()?);
        let bytes = c.rest();
        let start = self.text.len();
        match family {
            1 => {
                let mut octets = [0; 4];
                octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
                drop(write!(self.text, "{}/{source}/{scope}", Ipv4Addr::from(octets)));
            }
            2 => {
                let mut octets = [0; 16];
                octets.get_mut(..bytes.len())?.copy_from_slice(bytes);
                drop(write!(self.text, "{}/{source}/{scope}", Ipv6Addr::from(octets)));
            }
            _ => return None,
        }
        self.subnet = Some(start..self.text.len());
        Some(())
    }

    fn span(&self, span: &Span) -> &[u8] {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// Names asked for.
    pub(super) fn questions(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.questions.iter().map(|q| self.span(&q.name))
    }

    /// Types asked for.
    pub(super) fn question_types(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.questions.iter().map(|q| self.span(&q.ty_text))
    }

    /// Type of the first question.
    pub(super) fn asks_for(&self) -> Option<u16> {
        self.questions.first().map(|q| q.ty)
    }

    /// Data of the answers.
    pub(super) fn answers(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.answers.iter().map(|a| self.span(&a.data))
    }

    /// Types of the answers.
    pub(super) fn answer_types(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.answers.iter().map(|a| self.span(&a.ty))
    }

    /// Times to live of the answers in seconds.
    pub(super) fn answer_ttls(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.answers.iter().map(|a| self.span(&a.ttl))
    }

    /// Name of the response code.
    pub(super) fn rcode_name(&self) -> &[u8] {
        self.span(&self.rcode_text)
    }

    /// The client subnet, where EDNS carries one.
    pub(super) fn subnet(&self) -> Option<&[u8]> {
        self.subnet.as_ref().map(|s| self.span(s))
    }

    /// True when both ask the same. Case does not matter, and resolvers that mix it to make
    /// forging harder get it back as they sent it or not.
    pub(super) fn same_questions(&self, other: &Self) -> bool {
        self.questions.len() == other.questions.len()
            && self.questions.iter().zip(&other.questions).all(|(a, b)| {
                a.ty == b.ty
                    && a.class == b.class
                    && self.span(&a.name).eq_ignore_ascii_case(other.span(&b.name))
            })
    }

    /// Octets of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.text.capacity()
            + self.questions.capacity() * size_of::<Question>()
            + self.answers.capacity() * size_of::<Answer>()
    }
}

/// Steps over a record.
pub(super) fn skip_record(c: &mut Cursor<'_>) -> Option<RecordHead> {
    c.skip_name()?;
    let head = RecordHead::read(c)?;
    c.take(head.len)?;
    Some(head)
}

#[cfg(test)]
mod tests;
