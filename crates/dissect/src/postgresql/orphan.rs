//! Answers of which the requests are not known: the connection was joined in the middle, or bytes
//! are missing.
//!
//! Of each such answer the first statement is told, from BindComplete or from the first row on: what
//! stands before may belong to another request, and what follows as well. Only ReadyForQuery and
//! BindComplete tell that another answer begins, and completions of Parse and Close that none is being
//! told.

use remora_model::Incomplete;

use super::connection::{Encryption, Orphan, Postgresql};
use super::exchange::Kind;
use super::server::answered;
use crate::Context;
use crate::sql::pairing::Exchange as _;

impl Postgresql {
    /// A message of such an answer begins.
    pub(super) fn orphan_message(&mut self, kind: u8, at: usize, body: &[u8], whole: bool, cx: &Context<'_>) {
        match kind {
            b'2' => {
                self.orphan.clear();
                self.orphan_at = Orphan::Begun;
            }
            // It may be the end of another answer, but what follows is not in the middle of a query.
            b'1' | b'3' => {
                self.orphan.clear();
                self.orphan_at = Orphan::Begun;
                return;
            }
            // The columns of a statement follow.
            b't' => {
                self.orphan.clear();
                self.orphan_at = Orphan::Over;
            }
            _ => {}
        }
        if self.orphan_at == Orphan::Over {
            return;
        }
        let (hole, began) = (self.hole.is_some(), self.began(at, cx));
        let e = &mut self.orphan;
        e.answer.get_or_insert(began);
        e.answer_hole |= hole;
        if !matches!(kind, b'T' | b'D') {
            answered(e, kind, body, whole);
        }
    }

    /// It ends at `at`.
    pub(super) fn orphan_message_ended(&mut self, kind: u8, at: usize, cx: &mut Context<'_>) {
        match kind {
            b'Z' => {
                self.orphan.clear();
                self.orphan_at = Orphan::Begun;
                self.ready(cx);
            }
            b'C' | b'E' | b's' | b'I' if self.orphan_at != Orphan::Over => {
                self.orphan.answer = self.orphan.answer.map(|seen| seen.until(cx, at));
                self.emit_orphan(cx);
                self.orphan_at = Orphan::Over;
            }
            // Both sides stream from here on.
            b'W' => self.encryption = Encryption::Opaque,
            _ => {}
        }
    }

    /// Reports an answer without its request, if it says anything.
    fn emit_orphan(&mut self, cx: &mut Context<'_>) {
        let e = &mut self.orphan;
        if !e.tag.is_empty() || e.failed {
            if self.orphan_at == Orphan::Middle {
                // A query of several statements is named by its first.
                e.tag.clear();
            }
            e.kind = Kind::Query;
            e.emit(Some(Incomplete::NoRequest), &self.session, cx);
        }
        e.clear();
    }

    /// What comes next may be anywhere in an answer.
    pub(super) fn forget_orphan(&mut self) {
        self.orphan.clear();
        if self.orphan_at == Orphan::Begun {
            self.orphan_at = Orphan::Middle;
        }
    }
}
