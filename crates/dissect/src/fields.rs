//! The fields of a call while it is put together.

use remora_model::{FieldId, ValueRef, field};

/// Up to `N` fields, on the stack. Absent values are left out, as a call wants it.
pub(crate) struct Fields<'a, const N: usize> {
    list: [(FieldId, ValueRef<'a>); N],
    len: usize,
}

impl<const N: usize> Default for Fields<'_, N> {
    fn default() -> Self {
        // The filling is not read: the list ends before it.
        Self { list: [(field::FAILED, ValueRef::Bool(false)); N], len: 0 }
    }
}

impl<'a, const N: usize> Fields<'a, N> {
    /// Adds a value. `N` is to be as many as the protocol ever adds.
    pub(crate) fn add(&mut self, id: FieldId, value: ValueRef<'a>) {
        debug_assert!(self.len < N, "no room for {}", id.def().name);
        if let Some(slot) = self.list.get_mut(self.len) {
            *slot = (id, value);
            self.len += 1;
        }
    }

    /// Adds a text that is there, be it empty.
    pub(crate) fn text(&mut self, id: FieldId, text: Option<&'a [u8]>) {
        if let Some(text) = text {
            self.add(id, ValueRef::Text(text));
        }
    }

    /// Adds a text that is not empty.
    pub(crate) fn filled(&mut self, id: FieldId, text: &'a [u8]) {
        self.text(id, Some(text).filter(|t| !t.is_empty()));
    }

    /// Adds a number that is there.
    pub(crate) fn int(&mut self, id: FieldId, n: Option<i64>) {
        if let Some(n) = n {
            self.add(id, ValueRef::Int(n));
        }
    }

    /// Adds a list that is not empty.
    pub(crate) fn list(&mut self, id: FieldId, list: &'a [&'a [u8]]) {
        if !list.is_empty() {
            self.add(id, ValueRef::List(list));
        }
    }

    /// The fields added so far.
    pub(crate) fn as_slice(&self) -> &[(FieldId, ValueRef<'a>)] {
        self.list.get(..self.len).unwrap_or_default()
    }
}
