//! What a server answers: entries and references, and a result in the end.

use remora_model::Span;

use super::ber::{Bad, ENUMERATED, Element, OCTETS, Reader, SEQUENCE, SET};
use super::ldif::Ldif;
use super::message;
use super::names as op;
use crate::kept::Kept;

/// Referrals listed of one answer.
const MAX_REFERRALS: usize = 64;

/// Everything that answers one request.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// Tag of the newest message.
    pub(super) tag: u8,
    pub(super) texts: Kept,
    pub(super) code: Option<i64>,
    pub(super) matched: Span,
    pub(super) message: Span,
    pub(super) referrals: Vec<Span>,
    pub(super) controls: Vec<Span>,
    pub(super) entries: i64,
    pub(super) references: i64,
    /// Object identifier of an extended answer.
    pub(super) oid: Span,
    /// Entries, and what else there is to show.
    pub(super) ldif: Ldif,
}

impl Answer {
    /// Begins anew; buffers stay.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.referrals.clear();
        self.controls.clear();
        self.ldif.clear();
        let Self { texts, referrals, controls, ldif, .. } = std::mem::take(self);
        *self = Self { texts, referrals, controls, ldif, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.texts.memory()
            + self.ldif.memory()
            + (self.referrals.capacity() + self.controls.capacity()) * size_of::<Span>()
    }

    /// Bytes that were left out.
    pub(super) fn cut(&self) -> u64 {
        self.texts.cut + self.ldif.cut
    }

    pub(super) fn text(&self, span: Span) -> &[u8] {
        self.texts.get(span)
    }

    /// Reads one more message. What was read in front of a fault is kept. `asked` is the object
    /// identifier of the extended operation that it may answer.
    pub(super) fn read(&mut self, r: &mut Reader<'_>, asked: &[u8], limit: usize) -> Result<(), Bad> {
        let Some(e) = r.next()? else { return Ok(()) };
        self.tag = e.tag;
        match e.tag {
            op::ENTRY => self.entry(&e, limit)?,
            op::REFERENCE => {
                self.references += 1;
                self.uris(&e, limit)?;
            }
            op::INTERMEDIATE => {
                if let Some(oid) = e.inside().optional(0x80)? {
                    self.oid = self.texts.keep(oid.value, limit);
                }
            }
            _ => self.result(&e, asked, limit)?,
        }
        // Entries may have controls too; those of the result are the last.
        message::controls(r, &mut self.texts, &mut self.controls, limit)
    }

    fn entry(&mut self, e: &Element<'_>, limit: usize) -> Result<(), Bad> {
        self.entries += 1;
        let mut r = e.inside();
        let dn = r.expect(OCTETS)?.value;
        if self.entries > 1 {
            self.ldif.line(b"", limit);
        }
        self.ldif.attribute(b"dn", dn, limit);
        let mut attributes = r.expect(SEQUENCE)?.inside();
        while let Some(attribute) = attributes.next()? {
            let mut attribute = attribute.inside();
            let name = attribute.expect(OCTETS)?.value;
            let mut values = attribute.expect(SET)?.inside();
            let mut any = false;
            while let Some(value) = values.next()? {
                self.ldif.attribute(name, value.value, limit);
                any = true;
            }
            // Types only.
            if !any {
                self.ldif.attribute(name, b"", limit);
            }
        }
        if r.is_done() { Ok(()) } else { Err(Bad) }
    }

    fn uris(&mut self, e: &Element<'_>, limit: usize) -> Result<(), Bad> {
        let mut uris = e.inside();
        while let Some(uri) = uris.next()? {
            if uri.tag != OCTETS {
                return Err(Bad);
            }
            if self.referrals.len() < MAX_REFERRALS {
                let uri = self.texts.keep(uri.value, limit);
                self.referrals.push(uri);
            } else {
                self.texts.cut += uri.value.len() as u64;
            }
        }
        Ok(())
    }

    /// RFC 4511, section 4.1.9, and what a bind or an extended operation has behind it.
    fn result(&mut self, e: &Element<'_>, asked: &[u8], limit: usize) -> Result<(), Bad> {
        let mut r = e.inside();
        self.code = Some(r.number(ENUMERATED)?);
        self.matched = self.texts.keep(r.expect(OCTETS)?.value, limit);
        self.message = self.texts.keep(r.expect(OCTETS)?.value, limit);
        if let Some(referral) = r.optional(0xa3)? {
            self.uris(&referral, limit)?;
        }
        if e.tag == op::BIND_ANSWER {
            // Credentials of SASL.
            r.optional(0x87)?;
        }
        if e.tag == op::EXTENDED_ANSWER {
            if let Some(oid) = r.optional(0x8a)? {
                self.oid = self.texts.keep(oid.value, limit);
            }
            let value = r.optional(0x8b)?;
            match value {
                Some(value) if asked == op::WHO_AM_I => self.ldif.attribute(b"authzId", value.value, limit),
                // The password that the server made up.
                Some(_) if asked == op::PASSWORD_MODIFY => {
                    self.ldif.attribute(b"genPasswd", op::HIDDEN, limit);
                }
                _ => {}
            }
        }
        if r.is_done() { Ok(()) } else { Err(Bad) }
    }
}
