//! A statement and its answer as a call.

use remora_model::{Call, FieldId, Incomplete, Protocol, ValueRef, field};

use super::state;
use crate::{Context, seen::Seen};

/// Fields of a call at most.
pub(crate) const MAX_FIELDS: usize = 19;

/// Fields with their values, absent ones among them.
pub(crate) type Candidates<'a> = [(FieldId, Option<ValueRef<'a>>); MAX_FIELDS];

/// What is known of a call beside its fields.
pub(crate) struct Report<'a> {
    pub(crate) protocol: Protocol,
    pub(crate) request: Option<Seen>,
    pub(crate) answer: Option<Seen>,
    pub(crate) failed: bool,
    /// The SQLSTATE of the error, empty where there is none.
    pub(crate) state: &'a [u8],
    pub(crate) why: Option<Incomplete>,
}

impl Report<'_> {
    /// Emits the call with those fields that have a value.
    pub(crate) fn emit(&self, candidates: &Candidates<'_>, cx: &mut Context<'_>) {
        // The filling is not read: `fields` ends before it.
        let mut fields = [(field::FAILED, ValueRef::Bool(false)); MAX_FIELDS];
        let mut len = 0;
        let present = candidates.iter().filter_map(|(id, value)| Some((*id, (*value)?)));
        for (slot, present) in fields.iter_mut().zip(present) {
            *slot = present;
            len += 1;
        }
        cx.emit(&Call {
            failed: self.failed,
            client_error: self.failed && state::blames_client(self.state),
            incomplete: self.why,
            fields: fields.get(..len).unwrap_or_default(),
            ..cx.exchange(self.protocol, self.request, self.answer)
        });
    }
}

/// A text that is not empty.
pub(crate) fn some(text: &[u8]) -> Option<ValueRef<'_>> {
    (!text.is_empty()).then_some(ValueRef::Text(text))
}

/// A list that is not empty.
pub(crate) fn list<'a>(list: &'a [&'a [u8]]) -> Option<ValueRef<'a>> {
    (!list.is_empty()).then_some(ValueRef::List(list))
}

/// Bytes of a message that are not among the `kept` ones.
pub(crate) fn left_out(seen: Option<Seen>, kept: usize) -> u64 {
    let bytes = seen.and_then(|s| u64::try_from(s.bytes).ok()).unwrap_or(0);
    bytes.saturating_sub(kept as u64)
}
