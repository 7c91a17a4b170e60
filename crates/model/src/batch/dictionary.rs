//! A dictionary column for values that repeat.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;

use arrow::array::{ArrayRef, DictionaryArray, Int32Builder, StringArray, StringBuilder};
use arrow::datatypes::Int32Type;
use arrow::error::ArrowError;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

/// Builds `Dictionary(Int32, Utf8)`. The value of the row before is tried first, because the rows
/// of one flow tend to come together.
pub(super) struct DictionaryColumn {
    keys: Int32Builder,
    values: StringBuilder,
    index: HashTable<i32>,
    ips: HashMap<IpAddr, i32>,
    last: Option<i32>,
    last_ip: Option<IpAddr>,
    hasher: DefaultHashBuilder,
}

impl DictionaryColumn {
    pub(super) fn new() -> Self {
        Self {
            keys: Int32Builder::new(),
            values: StringBuilder::new(),
            index: HashTable::new(),
            ips: HashMap::new(),
            last: None,
            last_ip: None,
            hasher: DefaultHashBuilder::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        arrow::array::ArrayBuilder::len(&self.keys)
    }

    pub(super) fn nulls(&mut self, n: usize) {
        self.keys.append_nulls(n);
    }

    /// Appends a value; the bytes that it added.
    pub(super) fn append(&mut self, text: &str) -> usize {
        self.last_ip = None;
        if let Some(last) = self.last
            && value(&self.values, last) == text.as_bytes()
        {
            self.keys.append_value(last);
            return 0;
        }
        let (key, added) = self.intern(text);
        self.last = Some(key);
        self.keys.append_value(key);
        added
    }

    /// Appends an address, which is turned into text only the first time.
    pub(super) fn append_ip(&mut self, ip: IpAddr) -> usize {
        if self.last_ip == Some(ip)
            && let Some(last) = self.last
        {
            self.keys.append_value(last);
            return 0;
        }
        let (key, added) = match self.ips.get(&ip) {
            Some(&key) => (key, 0),
            None => {
                let (key, added) = self.intern(&ip.to_string());
                self.ips.insert(ip, key);
                (key, added)
            }
        };
        self.last = Some(key);
        self.last_ip = Some(ip);
        self.keys.append_value(key);
        added
    }

    fn intern(&mut self, text: &str) -> (i32, usize) {
        let Self { values, index, hasher, .. } = self;
        let hash = hasher.hash_one(text.as_bytes());
        if let Some(&key) = index.find(hash, |&k| value(values, k) == text.as_bytes()) {
            return (key, 0);
        }
        // A batch is sealed long before it has 2^31 different values.
        let key = i32::try_from(index.len()).unwrap_or(i32::MAX);
        values.append_value(text);
        index.insert_unique(hash, key, |&k| hasher.hash_one(value(values, k)));
        (key, text.len() + 16)
    }

    pub(super) fn finish(&mut self) -> Result<ArrayRef, ArrowError> {
        self.index.clear();
        self.ips.clear();
        self.last = None;
        self.last_ip = None;
        let keys = self.keys.finish();
        let values: StringArray = self.values.finish();
        Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::new(values))?))
    }
}

fn value(values: &StringBuilder, key: i32) -> &[u8] {
    let i = usize::try_from(key).unwrap_or(usize::MAX);
    let offsets = values.offsets_slice();
    let at = |i: usize| offsets.get(i).and_then(|&o| usize::try_from(o).ok());
    match (at(i), at(i.saturating_add(1))) {
        (Some(from), Some(to)) => values.values_slice().get(from..to).unwrap_or_default(),
        _ => &[],
    }
}
