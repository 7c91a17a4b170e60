//! A dictionary column for values that repeat.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Array};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::values::{Bytes, Fixed};

/// Builds `Dictionary(Int32, Utf8)`. The value of the row before is tried first, because the rows
/// of one flow tend to come together.
pub(super) struct DictionaryColumn {
    keys: Fixed<i32>,
    values: Bytes,
    index: HashTable<i32>,
    ips: HashMap<IpAddr, i32>,
    last: Option<i32>,
    last_ip: Option<IpAddr>,
    last_name: Option<&'static str>,
    hasher: DefaultHashBuilder,
}

impl DictionaryColumn {
    pub(super) fn new() -> Self {
        Self {
            keys: Fixed::new(),
            values: Bytes::new(),
            index: HashTable::new(),
            ips: HashMap::new(),
            last: None,
            last_ip: None,
            last_name: None,
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn nulls(&mut self, n: usize) {
        self.keys.pad(n);
    }

    /// Appends a value; the bytes that it added.
    pub(super) fn append(&mut self, text: &[u8]) -> usize {
        self.last_ip = None;
        self.last_name = None;
        if let Some(last) = self.last
            && value(&self.values, last) == text
        {
            self.keys.push(last);
            return 0;
        }
        let (key, added) = self.intern(text);
        self.last = Some(key);
        self.keys.push(key);
        added
    }

    /// Appends a text that stays where it is, so that the same place means the same text.
    #[inline]
    pub(super) fn append_name(&mut self, text: &'static str) -> usize {
        if let (Some(name), Some(last)) = (self.last_name, self.last)
            && std::ptr::eq(name, text)
        {
            self.keys.push(last);
            return 0;
        }
        let added = self.append(text.as_bytes());
        self.last_name = Some(text);
        added
    }

    /// Appends an address, which is turned into text only the first time.
    pub(super) fn append_ip(&mut self, ip: IpAddr) -> usize {
        if self.last_ip == Some(ip)
            && let Some(last) = self.last
        {
            self.keys.push(last);
            return 0;
        }
        let (key, added) = match self.ips.get(&ip) {
            Some(&key) => (key, 0),
            None => {
                let (key, added) = self.intern(ip.to_string().as_bytes());
                self.ips.insert(ip, key);
                (key, added)
            }
        };
        self.last = Some(key);
        self.last_ip = Some(ip);
        self.last_name = None;
        self.keys.push(key);
        added
    }

    fn intern(&mut self, text: &[u8]) -> (i32, usize) {
        let Self { values, index, hasher, .. } = self;
        let hash = hasher.hash_one(text);
        if let Some(&key) = index.find(hash, |&k| value(values, k) == text) {
            return (key, 0);
        }
        // Checked here, where it is rare, so that texts which become equal by it are one entry.
        if std::str::from_utf8(text).is_err() {
            return self.intern(String::from_utf8_lossy(text).as_bytes());
        }
        if !values.has_room(text.len()) {
            debug_assert!(false, "a dictionary of more than 2 GiB");
            return (0, 0);
        }
        // A batch is sealed long before it has 2^31 different values.
        let key = i32::try_from(index.len()).unwrap_or(i32::MAX);
        values.push(text);
        index.insert_unique(hash, key, |&k| hasher.hash_one(value(values, k)));
        (key, text.len() + 16)
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.index.clear();
        self.ips.clear();
        self.last = None;
        self.last_ip = None;
        self.last_name = None;
        let (keys, nulls) = self.keys.take();
        let values = Arc::new(self.values.take_text());
        let keys = Int32Array::try_new(keys, nulls)?;
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, values)?))
    }
}

#[inline]
fn value(values: &Bytes, key: i32) -> &[u8] {
    values.get(usize::try_from(key).unwrap_or(usize::MAX))
}
