//! What a client asks.

use remora_model::Span;

use super::ber::{BOOLEAN, Bad, ENUMERATED, Element, INTEGER, OCTETS, Reader, SEQUENCE, SET, int};
use super::ldif::Ldif;
use super::message;
use super::names::{self, HIDDEN};
use super::{filter, names as op};
use crate::kept::Kept;

/// Attributes and controls listed of one message.
const MAX_LIST: usize = 256;

/// A request, as far as it is shown.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// Message id and tag of the operation.
    pub(super) id: i32,
    pub(super) tag: u8,
    pub(super) texts: Kept,
    /// The entry that it is about, or who binds.
    pub(super) dn: Span,
    pub(super) version: Option<i64>,
    pub(super) auth: Option<&'static str>,
    pub(super) mechanism: Span,
    pub(super) scope: Option<&'static str>,
    pub(super) filter: Span,
    pub(super) attributes: Vec<Span>,
    pub(super) new_rdn: Span,
    pub(super) new_superior: Span,
    /// Object identifier of an extended operation.
    pub(super) oid: Span,
    pub(super) controls: Vec<Span>,
    /// Of a request to abandon: which.
    pub(super) abandoned: Option<i32>,
    pub(super) ldif: Ldif,
}

impl Request {
    /// Begins anew; buffers stay.
    pub(super) fn clear(&mut self) {
        self.texts.clear();
        self.attributes.clear();
        self.controls.clear();
        self.ldif.clear();
        let Self { texts, attributes, controls, ldif, .. } = std::mem::take(self);
        *self = Self { texts, attributes, controls, ldif, ..Self::default() };
    }

    pub(super) fn memory(&self) -> usize {
        self.texts.memory()
            + self.ldif.memory()
            + (self.attributes.capacity() + self.controls.capacity()) * size_of::<Span>()
    }

    /// Bytes that were left out.
    pub(super) fn cut(&self) -> u64 {
        self.texts.cut + self.ldif.cut
    }

    pub(super) fn text(&self, span: Span) -> &[u8] {
        self.texts.get(span)
    }

    /// Reads the operation and its controls. What was read in front of a fault is kept.
    pub(super) fn read(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        let Some(operation) = r.next()? else { return Ok(()) };
        self.operation(&operation, limit)?;
        message::controls(r, &mut self.texts, &mut self.controls, limit)
    }

    fn operation(&mut self, e: &Element<'_>, limit: usize) -> Result<(), Bad> {
        let mut r = e.inside();
        match e.tag {
            op::BIND => self.bind(&mut r, limit)?,
            op::UNBIND => return if e.value.is_empty() { Ok(()) } else { Err(Bad) },
            op::SEARCH => self.search(&mut r, limit)?,
            op::MODIFY => self.modify(&mut r, limit)?,
            op::ADD => self.add(&mut r, limit)?,
            op::DELETE => {
                self.dn = self.texts.keep(e.value, limit);
                self.change(b"delete", limit);
                return Ok(());
            }
            op::MODIFY_DN => self.modify_dn(&mut r, limit)?,
            op::COMPARE => self.compare(&mut r, limit)?,
            op::ABANDON => {
                self.abandoned = Some(i32::try_from(int(e.value)?).map_err(|_| Bad)?);
                return Ok(());
            }
            op::EXTENDED => self.extended(&mut r, limit)?,
            _ => return Err(Bad),
        }
        if r.is_done() { Ok(()) } else { Err(Bad) }
    }

    fn bind(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        self.version = Some(r.number(INTEGER)?);
        self.dn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        let Some(auth) = r.next()? else { return if r.is_done() { Ok(()) } else { Err(Bad) } };
        self.auth = Some(match auth.tag {
            // RFC 4513, section 5.1.
            0x80 if auth.value.is_empty() && self.dn.len == 0 => "anonymous",
            0x80 if auth.value.is_empty() => "unauthenticated",
            0x80 => "simple",
            // LDAPv2 (RFC 1777, section 4.1).
            0x81 | 0x82 => "kerberos",
            0xa3 => {
                let mut inside = auth.inside();
                self.mechanism = self.texts.keep(inside.expect(OCTETS)?.value, limit);
                inside.optional(OCTETS)?;
                "sasl"
            }
            // Microsoft's own.
            0x89..=0x8b => "sicily",
            _ => return Err(Bad),
        });
        Ok(())
    }

    fn search(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        self.dn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        self.scope = Some(match r.number(ENUMERATED)? {
            0 => "base",
            1 => "one",
            2 => "sub",
            3 => "children",
            _ => return Err(Bad),
        });
        // Aliases, limits of size and time, types only.
        if !(0..=3).contains(&r.number(ENUMERATED)?) || r.number(INTEGER)? < 0 || r.number(INTEGER)? < 0 {
            return Err(Bad);
        }
        r.expect(BOOLEAN)?;
        let Some(element) = r.next()? else { return if r.is_done() { Ok(()) } else { Err(Bad) } };
        let start = self.texts.here();
        let written = filter::write(&element, &mut self.texts, limit);
        self.filter = self.texts.since(start);
        written?;
        let mut list = r.expect(SEQUENCE)?.inside();
        while let Some(attribute) = list.next()? {
            if attribute.tag != OCTETS {
                return Err(Bad);
            }
            self.attribute(attribute.value, limit);
        }
        Ok(())
    }

    /// Adds to the list of attributes, if it is not there.
    fn attribute(&mut self, name: &[u8], limit: usize) {
        if self.attributes.iter().any(|a| self.texts.get(*a) == name) {
            return;
        }
        if self.attributes.len() < MAX_LIST {
            let span = self.texts.keep(name, limit);
            self.attributes.push(span);
        } else {
            self.texts.cut += name.len() as u64;
        }
    }

    /// Begins the change that is shown.
    fn change(&mut self, what: &[u8], limit: usize) {
        self.ldif.attribute(b"dn", self.texts.get(self.dn), limit);
        self.ldif.attribute(b"changetype", what, limit);
    }

    fn modify(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        self.dn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        self.change(b"modify", limit);
        let mut changes = r.expect(SEQUENCE)?.inside();
        while let Some(change) = changes.next()? {
            let mut change = change.inside();
            let what: &[u8] = match change.number(ENUMERATED)? {
                0 => b"add",
                1 => b"delete",
                2 => b"replace",
                // RFC 4525.
                3 => b"increment",
                _ => return Err(Bad),
            };
            let mut attribute = change.expect(SEQUENCE)?.inside();
            let name = attribute.expect(OCTETS)?.value;
            self.attribute(name, limit);
            self.ldif.attribute(what, name, limit);
            self.values(name, &mut attribute, limit)?;
            self.ldif.line(b"-", limit);
        }
        Ok(())
    }

    fn values(&mut self, name: &[u8], r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        let mut values = r.expect(SET)?.inside();
        while let Some(value) = values.next()? {
            self.ldif.attribute(name, value.value, limit);
        }
        Ok(())
    }

    fn add(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        self.dn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        self.change(b"add", limit);
        let mut attributes = r.expect(SEQUENCE)?.inside();
        while let Some(attribute) = attributes.next()? {
            let mut attribute = attribute.inside();
            let name = attribute.expect(OCTETS)?.value;
            self.attribute(name, limit);
            self.values(name, &mut attribute, limit)?;
        }
        Ok(())
    }

    fn modify_dn(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        self.dn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        self.change(b"modrdn", limit);
        self.new_rdn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        self.ldif.attribute(b"newrdn", self.texts.get(self.new_rdn), limit);
        let delete = r.expect(BOOLEAN)?.value.iter().any(|&b| b != 0);
        self.ldif.attribute(b"deleteoldrdn", if delete { b"1" } else { b"0" }, limit);
        if let Some(superior) = r.optional(0x80)? {
            self.new_superior = self.texts.keep(superior.value, limit);
            self.ldif.attribute(b"newsuperior", superior.value, limit);
        }
        Ok(())
    }

    fn compare(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        self.dn = self.texts.keep(r.expect(OCTETS)?.value, limit);
        let mut assertion = r.expect(SEQUENCE)?.inside();
        let name = assertion.expect(OCTETS)?.value;
        self.attribute(name, limit);
        self.ldif.attribute(name, assertion.expect(OCTETS)?.value, limit);
        Ok(())
    }

    fn extended(&mut self, r: &mut Reader<'_>, limit: usize) -> Result<(), Bad> {
        let oid = r.expect(0x80)?.value;
        self.oid = self.texts.keep(oid, limit);
        let value = r.optional(0x81)?;
        if let Some(value) = value.filter(|_| oid == names::PASSWORD_MODIFY) {
            // RFC 3062, section 2: whose, the old one, the new one.
            if let Some(sequence) = Reader::new(value.value, true).next()?
                && let Some(user) = sequence.inside().optional(0x80)?
            {
                self.dn = self.texts.keep(user.value, limit);
            }
            self.ldif.attribute(b"newPassword", HIDDEN, limit);
        }
        Ok(())
    }
}
