//! Columns of text and bytes, written as one Parquet column chunk.
//!
//! Most values of a segment repeat: addresses, names, methods, header names and most header
//! values. Arrow's writer looks every single one up by its hash, which is most of what sealing
//! costs. Here a value is first compared with the one at the same place of the row before, the
//! keys of an Arrow dictionary are looked up once for each batch, and bounds are asked for once
//! for each different value of a page. What is written is ordinary Parquet.

use std::hash::BuildHasher;

use arrow::array::{Array, AsArray, MapArray};
use arrow::datatypes::{DataType, Int32Type};
use bytes::Bytes;
use hashbrown::{DefaultHashBuilder, HashTable};
use parquet::basic::Encoding;
use parquet::bloom_filter::Sbbf;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::schema::types::ColumnDescPtr;

use super::levels;
use super::pages::{Compressor, Levels, Pages};

/// Bytes of different values beyond which values are written as they are.
const DICTIONARY_BYTES: usize = 1 << 20;

/// Values of a page that say whether they repeat at all.
const ENOUGH: usize = 1_024;

/// A page is closed at this many bytes of values even when it has few rows.
const PAGE_BYTES: usize = 1 << 20;

/// Probability that a Bloom filter says yes for nothing.
pub(super) const BLOOM_FPP: f64 = 0.02;

/// How a column is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options {
    /// Keep the least and the greatest value of each page.
    pub(super) bounds: bool,
    /// Make a Bloom filter.
    pub(super) bloom: bool,
    /// Rows of a page.
    pub(super) page_rows: usize,
}

/// Bytes in plain encoding: each value behind its length.
#[derive(Default)]
struct Plain {
    bytes: Vec<u8>,
    /// Where values lie, without their lengths.
    values: Vec<(u32, u32)>,
}

impl Plain {
    fn push(&mut self, value: &[u8]) {
        // A value has at most 2^31 bytes, as its Arrow array, and a page not much more than one.
        let len = u32::try_from(value.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.values.push((u32::try_from(self.bytes.len()).unwrap_or(u32::MAX), len));
        self.bytes.extend_from_slice(value);
    }

    fn get(&self, i: u32) -> &[u8] {
        let (from, len) = self.values.get(i as usize).copied().unwrap_or_default();
        self.bytes.get(from as usize..from as usize + len as usize).unwrap_or_default()
    }

    fn len(&self) -> usize {
        self.values.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.values.clear();
    }
}

/// The chunk being written.
pub(super) struct TextChunk<'a> {
    /// Definition level of a value that is there.
    max_definition: u8,
    options: Options,
    hasher: DefaultHashBuilder,

    /// Different values, and their places by hash.
    dictionary: Plain,
    index: HashTable<u32>,
    /// The page in which each of them was seen last.
    seen: Vec<u32>,
    /// Values are written as they are from now on.
    direct: bool,
    bloom: Option<Sbbf>,

    // The page being filled.
    page: u32,
    keys: Vec<u32>,
    plain: Plain,
    repetitions: Vec<u8>,
    definitions: Vec<u8>,
    rows: usize,
    values: usize,
    dictionary_before: usize,
    bounds: Option<(u32, u32)>,

    /// Places of the values of the row before.
    before: Vec<u32>,

    /// Pages done with places in the dictionary, and with values.
    pages: [i32; 2],
    out: Pages<'a>,
}

/// No place in the dictionary yet.
const NONE: u32 = u32::MAX;

impl<'a> TextChunk<'a> {
    pub(super) fn new(descr: ColumnDescPtr, options: Options, compressor: &'a mut Compressor) -> Self {
        Self {
            max_definition: u8::try_from(descr.max_def_level()).unwrap_or(u8::MAX),
            options,
            hasher: DefaultHashBuilder::default(),
            dictionary: Plain::default(),
            index: HashTable::new(),
            seen: Vec::new(),
            direct: false,
            bloom: None,
            page: 0,
            keys: Vec::new(),
            plain: Plain::default(),
            repetitions: Vec::new(),
            definitions: Vec::new(),
            rows: 0,
            values: 0,
            dictionary_before: 0,
            bounds: None,
            before: Vec::new(),
            pages: [0; 2],
            out: Pages::new(descr, options.bounds, compressor),
        }
    }

    /// True for columns that this writes: text, bytes, dictionaries of text, and maps of text.
    pub(super) fn takes(ty: &DataType) -> bool {
        match ty {
            DataType::Utf8 | DataType::Binary => true,
            DataType::Dictionary(key, value) => **key == DataType::Int32 && **value == DataType::Utf8,
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) => {
                    let names = [fields.first(), fields.get(1)];
                    names.iter().all(|f| f.is_some_and(|f| f.data_type() == &DataType::Utf8))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Appends the rows of a flat column.
    pub(super) fn flat(&mut self, column: &dyn Array) -> Result<()> {
        match column.data_type() {
            DataType::Utf8 => {
                let column = column.as_string::<i32>();
                self.each(column, |i| column.value(i).as_bytes())
            }
            DataType::Binary => {
                let column = column.as_binary::<i32>();
                self.each(column, |i| column.value(i))
            }
            _ => {
                let column = column.as_dictionary::<Int32Type>();
                let values = column.values().as_string::<i32>();
                let mut places = vec![NONE; values.len()];
                for i in 0..column.len() {
                    let key = column.key(i).filter(|k| values.is_valid(*k));
                    self.definitions.push(self.defined(key.is_some()));
                    if let Some(key) = key {
                        let place = places.get(key).copied().unwrap_or(NONE);
                        if place != NONE && !self.direct {
                            self.keep(place);
                        } else {
                            let place = self.value(values.value(key).as_bytes(), NONE);
                            if let Some(known) = places.get_mut(key) {
                                *known = place;
                            }
                        }
                    }
                    self.row()?;
                }
                Ok(())
            }
        }
    }

    fn each<'v>(&mut self, column: &dyn Array, value: impl Fn(usize) -> &'v [u8]) -> Result<()> {
        let mut last = NONE;
        for i in 0..column.len() {
            let valid = column.is_valid(i);
            self.definitions.push(self.defined(valid));
            if valid {
                last = self.value(value(i), last);
            }
            self.row()?;
        }
        Ok(())
    }

    /// Definition level of a value in a flat column; columns without nulls have none.
    fn defined(&self, valid: bool) -> u8 {
        u8::from(valid && self.max_definition > 0)
    }

    /// Appends the rows of a map's keys, or else its values.
    pub(super) fn map(&mut self, map: &MapArray, keys: bool) -> Result<()> {
        let column = if keys { map.keys() } else { map.values() };
        let column = column.as_string::<i32>();
        let offsets = map.value_offsets();
        // Levels of the format: absent map, empty map, absent value, value.
        let full = self.max_definition;
        let nullable_value = u8::from(!keys);
        let empty = full.saturating_sub(1 + nullable_value);
        let mut before = std::mem::take(&mut self.before);
        for row in 0..map.len() {
            let range = match offsets.get(row..=row + 1) {
                Some(&[from, to]) if map.is_valid(row) => from..to,
                _ => 0..0,
            };
            if range.is_empty() {
                self.repetitions.push(0);
                self.definitions.push(if map.is_valid(row) { empty } else { empty.saturating_sub(1) });
            }
            for (place, entry) in range.enumerate() {
                let entry = usize::try_from(entry).unwrap_or(usize::MAX);
                let valid = column.is_valid(entry);
                self.repetitions.push(u8::from(place > 0));
                self.definitions.push(if valid { full } else { full.saturating_sub(1) });
                if before.len() <= place {
                    before.resize(place + 1, NONE);
                }
                if valid && let Some(known) = before.get_mut(place) {
                    *known = self.value(column.value(entry).as_bytes(), *known);
                }
            }
            self.row()?;
        }
        self.before = before;
        Ok(())
    }

    /// Appends a value, which may be the one at `guess`; its place.
    fn value(&mut self, value: &[u8], guess: u32) -> u32 {
        if self.direct {
            self.values += 1;
            self.plain.push(value);
            let here = u32::try_from(self.plain.len() - 1).unwrap_or(NONE);
            if self.options.bounds {
                self.bounds = Some(widen(self.bounds, here, &self.plain));
            }
            if let Some(bloom) = &mut self.bloom {
                bloom.insert(value);
            }
            return NONE;
        }
        if guess != NONE && self.dictionary.get(guess) == value {
            self.keep(guess);
            return guess;
        }
        let Self { dictionary, index, hasher, .. } = self;
        let hash = hasher.hash_one(value);
        let place = match index.find(hash, |&i| dictionary.get(i) == value) {
            Some(&place) => place,
            None => {
                let place = u32::try_from(dictionary.len()).unwrap_or(NONE);
                dictionary.push(value);
                self.seen.push(NONE);
                index.insert_unique(hash, place, |&i| hasher.hash_one(dictionary.get(i)));
                place
            }
        };
        self.keep(place);
        place
    }

    /// Appends the value at a place of the dictionary.
    fn keep(&mut self, place: u32) {
        self.values += 1;
        // Among equal values in a row only the first says something new of the bounds.
        if self.options.bounds && self.keys.last() != Some(&place) {
            let page = self.page;
            if let Some(seen) = self.seen.get_mut(place as usize).filter(|seen| **seen != page) {
                *seen = page;
                self.bounds = Some(widen(self.bounds, place, &self.dictionary));
            }
        }
        self.keys.push(place);
    }

    /// Ends a row.
    fn row(&mut self) -> Result<()> {
        self.rows += 1;
        let full = self.rows >= self.options.page_rows
            || self.plain.bytes.len() >= PAGE_BYTES
            || (!self.direct && self.dictionary.bytes.len() >= DICTIONARY_BYTES);
        if full { self.end_page() } else { Ok(()) }
    }

    /// Writes the page. Where its values hardly repeat, those that follow are written directly,
    /// and this page too if it is the first.
    fn end_page(&mut self) -> Result<()> {
        if self.rows == 0 {
            return Ok(());
        }
        let bounds = self.bounds.take().map(|(low, high)| {
            let from = if self.direct { &self.plain } else { &self.dictionary };
            (from.get(low).to_vec(), from.get(high).to_vec())
        });
        let added = self.dictionary.len() - self.dictionary_before;
        let unlike = self.values >= ENOUGH && added > self.values / 2;
        let leave = !self.direct && (unlike || self.dictionary.bytes.len() >= DICTIONARY_BYTES);
        if leave {
            self.begin_bloom()?;
            if self.pages == [0; 2] {
                let Self { keys, plain, dictionary, .. } = self;
                keys.iter().for_each(|&k| plain.push(dictionary.get(k)));
                self.keys.clear();
                self.dictionary.clear();
                self.index.clear();
                self.seen.clear();
                self.direct = true;
            }
        }

        let (encoding, body) = if self.direct {
            self.pages[1] += 1;
            (Encoding::PLAIN, std::mem::take(&mut self.plain.bytes))
        } else {
            self.pages[0] += 1;
            let width = levels::width(u32::try_from(self.dictionary.len().saturating_sub(1)).unwrap_or(NONE));
            let mut body = vec![width];
            levels::pack(&self.keys, width, &mut body);
            (Encoding::RLE_DICTIONARY, body)
        };
        let levels = Levels { repetitions: &self.repetitions, definitions: &self.definitions };
        self.out.write(encoding, &body, &levels, [self.rows, self.values], bounds)?;

        self.direct |= leave;
        self.plain.clear();
        self.keys.clear();
        self.repetitions.clear();
        self.definitions.clear();
        (self.rows, self.values) = (0, 0);
        self.page += 1;
        self.dictionary_before = self.dictionary.len();
        Ok(())
    }

    /// A filter for values that are written directly: their number is not known yet.
    fn begin_bloom(&mut self) -> Result<()> {
        if self.options.bloom && self.bloom.is_none() {
            const MOST: u64 = 1 << 16;
            let mut bloom = Sbbf::new_with_ndv_fpp(MOST, BLOOM_FPP)?;
            (0..self.dictionary.len()).for_each(|i| bloom.insert(self.dictionary.get(i as u32)));
            self.bloom = Some(bloom);
        }
        Ok(())
    }

    /// The chunk's bytes and what the row group must know of it.
    pub(super) fn finish(mut self) -> Result<(Bytes, ColumnCloseResult)> {
        self.end_page()?;
        let bloom_filter = match self.bloom.take() {
            Some(mut bloom) => {
                bloom.fold_to_target_fpp(BLOOM_FPP);
                Some(bloom)
            }
            None if self.options.bloom => {
                let mut bloom = Sbbf::new_with_ndv_fpp(self.dictionary.len().max(1) as u64, BLOOM_FPP)?;
                (0..self.dictionary.len()).for_each(|i| bloom.insert(self.dictionary.get(i as u32)));
                Some(bloom)
            }
            None => None,
        };

        let dictionary = (self.pages[0] > 0).then_some((&self.dictionary.bytes[..], self.dictionary.len()));
        self.out.close(self.pages, dictionary, bloom_filter)
    }
}

fn widen(bounds: Option<(u32, u32)>, here: u32, values: &Plain) -> (u32, u32) {
    let Some((low, high)) = bounds else { return (here, here) };
    let value = values.get(here);
    if value < values.get(low) {
        (here, high)
    } else if value > values.get(high) {
        (low, here)
    } else {
        (low, high)
    }
}
