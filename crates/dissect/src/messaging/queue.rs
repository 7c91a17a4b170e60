//! Messages that wait for what belongs to them, and spent ones whose buffers are used again.

use std::collections::VecDeque;

/// Spent messages that are kept, and how large they may be.
const SPARE: usize = 32;
const SPARE_BYTES: usize = 8 << 10;

/// Something that holds memory.
pub(crate) trait Held: Default {
    /// Bytes that it holds, its own size included. Does not change while it waits in a [`Queue`].
    fn memory(&self) -> usize;
}

/// Messages in the order in which they were put in.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<Box<T>>,
    spare: Vec<Box<T>>,
    held: usize,
    spare_held: usize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), spare: Vec::new(), held: 0, spare_held: 0 }
    }
}

impl<T: Held> Queue<T> {
    /// A message to fill, used before where there is one: it has to be emptied first.
    pub(crate) fn fresh(&mut self) -> Box<T> {
        let message = self.spare.pop().unwrap_or_default();
        self.spare_held = self.spare_held.saturating_sub(message.memory());
        message
    }

    /// Gives a spent message back.
    pub(crate) fn recycle(&mut self, message: Box<T>) {
        let memory = message.memory();
        if self.spare.len() < SPARE && memory <= SPARE_BYTES {
            self.spare_held += memory;
            self.spare.push(message);
        }
    }

    pub(crate) fn push(&mut self, message: Box<T>) {
        self.held += message.memory();
        self.waiting.push_back(message);
    }

    /// Takes the message at `i` out.
    pub(crate) fn take(&mut self, i: usize) -> Option<Box<T>> {
        let message = self.waiting.remove(i)?;
        self.held = self.held.saturating_sub(message.memory());
        Some(message)
    }

    /// Where the oldest message is that `wanted` wants.
    pub(crate) fn find(&self, mut wanted: impl FnMut(&T) -> bool) -> Option<usize> {
        self.waiting.iter().position(|m| wanted(m))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.waiting.iter().map(|m| &**m)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.waiting.iter_mut().map(|m| &mut **m)
    }

    pub(crate) fn get_mut(&mut self, i: usize) -> Option<&mut T> {
        self.waiting.get_mut(i).map(|m| &mut **m)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes that those that wait hold.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Bytes that it holds altogether.
    pub(crate) fn memory(&self) -> usize {
        let slots = self.waiting.capacity() + self.spare.capacity();
        self.held + self.spare_held + slots * size_of::<Box<T>>()
    }
}
