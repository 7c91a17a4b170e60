//! Prepared statements by name or number, so that an execution can show its text.

use hashbrown::HashMap;

/// What is known of a prepared thing.
pub(crate) trait Held: Default {
    /// Bytes of memory held.
    fn memory(&self) -> usize;
}

/// A bounded map. When it is full, what was not used for longest is forgotten.
#[derive(Debug)]
pub(crate) struct Statements<V> {
    /// With the time of the last use.
    all: HashMap<Box<[u8]>, (u64, V)>,
    clock: u64,
    memory: usize,
}

impl<V: Held> Statements<V> {
    pub(crate) fn new() -> Self {
        Self { all: HashMap::new(), clock: 0, memory: 0 }
    }

    /// What is known of `key`.
    pub(crate) fn get(&mut self, key: &[u8]) -> Option<&V> {
        self.clock += 1;
        let (used, value) = self.all.get_mut(key)?;
        *used = self.clock;
        Some(value)
    }

    /// Changes what is known of `key`. Nothing happens where nothing is known.
    pub(crate) fn update(&mut self, key: &[u8], change: impl FnOnce(&mut V)) {
        if let Some((_, value)) = self.all.get_mut(key) {
            self.memory -= value.memory().min(self.memory);
            change(value);
            self.memory += value.memory();
        }
    }

    /// Changes what is known of every one; it may get less.
    pub(crate) fn update_all(&mut self, mut change: impl FnMut(&mut V)) {
        self.all.values_mut().for_each(|(_, value)| change(value));
    }

    /// Sets what is known of `key`: `fill` gets what was known before, to use its buffers again.
    /// Says how many others had to be forgotten to stay within `count` entries and `bytes`.
    pub(crate) fn put(&mut self, key: &[u8], count: usize, bytes: usize, fill: impl FnOnce(&mut V)) -> u64 {
        self.clock += 1;
        if !self.all.contains_key(key) {
            self.all.insert(key.into(), (0, V::default()));
            self.memory += key.len();
        }
        if let Some((used, value)) = self.all.get_mut(key) {
            *used = self.clock;
            self.memory -= value.memory().min(self.memory);
            fill(value);
            self.memory += value.memory();
        }
        let mut forgotten = 0;
        while self.all.len() > count.max(1) || self.memory > bytes && self.all.len() > 1 {
            let oldest = self.all.iter().min_by_key(|(_, (used, _))| *used).map(|(k, _)| k.clone());
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
            forgotten += 1;
        }
        forgotten
    }

    /// Forgets `key`.
    pub(crate) fn remove(&mut self, key: &[u8]) {
        if let Some((_, value)) = self.all.remove(key) {
            self.memory -= (value.memory() + key.len()).min(self.memory);
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.all.clear();
        self.memory = 0;
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.memory + self.all.capacity() * size_of::<(Box<[u8]>, (u64, V))>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Held for Vec<u8> {
        fn memory(&self) -> usize {
            self.len()
        }
    }

    fn put(s: &mut Statements<Vec<u8>>, key: &str, text: &[u8]) -> u64 {
        s.put(key.as_bytes(), 3, 12, |v| {
            v.clear();
            v.extend_from_slice(text);
        })
    }

    #[test]
    fn the_least_used_is_forgotten() {
        let mut s = Statements::new();
        assert_eq!(["1", "2", "3"].map(|k| put(&mut s, k, b"ab")), [0; 3]);
        assert!(s.get(b"1").is_some());
        assert_eq!(put(&mut s, "4", b"cd"), 1);
        assert!(s.get(b"2").is_none() && s.get(b"1").is_some());
        assert_eq!(put(&mut s, "4", b"123456789"), 2, "too many bytes");
        assert_eq!(s.get(b"4"), Some(&b"123456789".to_vec()));
        s.update(b"4", Vec::clear);
        assert_eq!(s.memory, 1);
        s.remove(b"4");
        assert_eq!(s.memory, 0);
    }
}
