//! Percentiles as an aggregate function of DataFusion: a mergeable histogram for each group.
//!
//! A value falls into the bucket named by its highest set bit and the 6 bits below, and counts as
//! the bucket's middle: at most 1/128 from the true value, relatively, however many values there
//! are and however they were split and merged. Values below 64 are exact. Negative ones, which no
//! duration is, count as 0.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryBuilder, BooleanArray, Int64Builder, ListBuilder};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, Expr, GroupsAccumulator, Signature, Volatility,
};

/// Bits of a bucket's number below the highest one.
const SUB_BITS: u32 = 6;

/// What is asked, in percent.
pub(crate) const PERCENTILES: [u64; 4] = [50, 90, 95, 99];

/// The aggregate `percentiles(value) -> list of ints`, one for each of [`PERCENTILES`]; null when
/// there was no value.
pub(crate) fn percentiles(value: Expr) -> Expr {
    aggregate().call(vec![value])
}

/// The same by its name, for statements.
pub(crate) fn aggregate() -> AggregateUDF {
    AggregateUDF::new_from_impl(Percentiles {
        signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable),
    })
}

/// Counts by bucket, from the lowest bucket used to the highest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sketch {
    first: u16,
    counts: Vec<u32>,
}

fn bucket(value: i64) -> u16 {
    let v = u64::try_from(value).unwrap_or(0);
    let bits = 64 - v.leading_zeros();
    let shift = bits.saturating_sub(SUB_BITS + 1);
    let number = (u64::from(shift) << SUB_BITS) + (v >> shift);
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// The middle of a bucket's values.
fn middle(bucket: u16) -> i64 {
    let (b, sub) = (u64::from(bucket), 1u64 << SUB_BITS);
    let shift = (b >> SUB_BITS).saturating_sub(1);
    let low = (b - (shift << SUB_BITS)) << shift;
    debug_assert!(shift == 0 || b - (shift << SUB_BITS) >= sub);
    i64::try_from(low + ((1u64 << shift) >> 1)).unwrap_or(i64::MAX)
}

impl Sketch {
    fn add(&mut self, bucket: u16, count: u32) {
        if self.counts.is_empty() {
            self.first = bucket;
        } else if bucket < self.first {
            let room = usize::from(self.first - bucket);
            self.counts.splice(0..0, std::iter::repeat_n(0, room));
            self.first = bucket;
        }
        let at = usize::from(bucket - self.first);
        if at >= self.counts.len() {
            self.counts.resize(at + 1, 0);
        }
        if let Some(c) = self.counts.get_mut(at) {
            *c = c.saturating_add(count);
        }
    }

    fn merge(&mut self, other: &Self) {
        for (i, &count) in other.counts.iter().enumerate().filter(|(_, c)| **c > 0) {
            if let Ok(i) = u16::try_from(i) {
                self.add(other.first.saturating_add(i), count);
            }
        }
    }

    /// The value that `percent` of the values do not exceed (nearest rank).
    fn percentile(&self, percent: u64) -> Option<i64> {
        let total: u64 = self.counts.iter().map(|c| u64::from(*c)).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let at = self.counts.iter().position(|c| {
            seen += u64::from(*c);
            seen >= rank
        })?;
        Some(middle(self.first.saturating_add(u16::try_from(at).ok()?)))
    }

    fn bytes(&self) -> Vec<u8> {
        let mut out = self.first.to_le_bytes().to_vec();
        self.counts.iter().for_each(|c| out.extend(c.to_le_bytes()));
        out
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (first, counts) = bytes.split_first_chunk::<2>()?;
        let counts = counts.chunks_exact(4).filter_map(|c| c.try_into().ok()).map(u32::from_le_bytes);
        Some(Self { first: u16::from_le_bytes(*first), counts: counts.collect() })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.counts.capacity() * size_of::<u32>()
    }
}

fn values(arrays: &[ArrayRef]) -> Result<&arrow::array::Int64Array> {
    arrays
        .first()
        .and_then(|a| a.as_primitive_opt::<Int64Type>())
        .ok_or_else(|| DataFusionError::Internal("percentiles of something else than ints".to_owned()))
}

fn states(arrays: &[ArrayRef]) -> Result<&arrow::array::BinaryArray> {
    arrays
        .first()
        .and_then(|a| a.as_binary_opt::<i32>())
        .ok_or_else(|| DataFusionError::Internal("a sketch that is no sketch".to_owned()))
}

fn results(sketches: &[Sketch]) -> ArrayRef {
    let mut out = ListBuilder::new(Int64Builder::new());
    for s in sketches {
        for p in PERCENTILES {
            if let Some(v) = s.percentile(p) {
                out.values().append_value(v);
            }
        }
        out.append(!s.counts.is_empty());
    }
    Arc::new(out.finish())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Percentiles {
    signature: Signature,
}

impl AggregateUDFImpl for Percentiles {
    fn name(&self) -> &str {
        "percentiles"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Arc::new(Field::new("item", DataType::Int64, true))))
    }

    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::<One>::default())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[sketch]", args.name), DataType::Binary, true))])
    }

    fn groups_accumulator_supported(&self, _: AccumulatorArgs) -> bool {
        true
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::<Many>::default())
    }
}

/// Without groups.
#[derive(Debug, Default)]
struct One(Sketch);

impl Accumulator for One {
    fn update_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        values(arrays)?.iter().flatten().for_each(|v| self.0.add(bucket(v), 1));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&results(std::slice::from_ref(&self.0)), 0)
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Binary(Some(self.0.bytes()))])
    }

    fn merge_batch(&mut self, arrays: &[ArrayRef]) -> Result<()> {
        states(arrays)?.iter().flatten().filter_map(Sketch::from_bytes).for_each(|s| self.0.merge(&s));
        Ok(())
    }
}

/// One for each group.
#[derive(Debug, Default)]
struct Many {
    sketches: Vec<Sketch>,
    bytes: usize,
}

impl Many {
    fn grow(&mut self, groups: usize) {
        if groups > self.sketches.len() {
            self.bytes += (groups - self.sketches.len()) * size_of::<Sketch>();
            self.sketches.resize(groups, Sketch::default());
        }
    }

    fn change(&mut self, group: usize, change: impl FnOnce(&mut Sketch)) {
        if let Some(s) = self.sketches.get_mut(group) {
            let before = s.counts.capacity();
            change(s);
            self.bytes += (s.counts.capacity() - before) * size_of::<u32>();
        }
    }

    fn take(&mut self, emit: EmitTo) -> Vec<Sketch> {
        let taken = emit.take_needed(&mut self.sketches);
        self.bytes = self.sketches.iter().map(Sketch::size).sum();
        taken
    }
}

impl GroupsAccumulator for Many {
    fn update_batch(
        &mut self,
        arrays: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let wanted = |row: usize| filter.is_none_or(|f| f.is_valid(row) && f.value(row));
        for (row, (value, &group)) in values(arrays)?.iter().zip(group_indices).enumerate() {
            if let Some(v) = value
                && wanted(row)
            {
                self.change(group, |s| s.add(bucket(v), 1));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        Ok(results(&self.take(emit)))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let mut out = BinaryBuilder::new();
        self.take(emit).iter().for_each(|s| out.append_value(s.bytes()));
        Ok(vec![Arc::new(out.finish())])
    }

    fn merge_batch(
        &mut self,
        arrays: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        for (state, &group) in states(arrays)?.iter().zip(group_indices) {
            if let Some(other) = state.and_then(Sketch::from_bytes) {
                self.change(group, |s| s.merge(&other));
            }
        }
        Ok(())
    }

    fn convert_to_state(&self, arrays: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut out = BinaryBuilder::new();
        for (row, value) in values(arrays)?.iter().enumerate() {
            let wanted = filter.is_none_or(|f| f.is_valid(row) && f.value(row));
            let mut s = Sketch::default();
            if let Some(v) = value.filter(|_| wanted) {
                s.add(bucket(v), 1);
            }
            out.append_value(s.bytes());
        }
        Ok(vec![Arc::new(out.finish())])
    }

    fn size(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Stats;

    #[test]
    fn buckets_cover_everything_in_order() {
        let near = |shift: u32| [0i64, 1, 5].map(|step| (1i64 << shift).saturating_add(step << (shift / 2)));
        let mut values: Vec<i64> = (0..63).flat_map(near).collect();
        values.sort_unstable();
        assert!(values.is_sorted_by_key(|v| bucket(*v)));
        for v in values {
            let m = middle(bucket(v));
            #[allow(clippy::cast_precision_loss)]
            let error = (m - v).unsigned_abs() as f64 / v as f64;
            assert!(error <= Stats::PERCENTILE_ERROR, "{v} became {m}");
        }
        assert_eq!((0..64).map(bucket).map(middle).collect::<Vec<_>>(), (0..64).collect::<Vec<_>>());
        assert_eq!(bucket(-5), 0);
        assert!(middle(bucket(i64::MAX)) > i64::MAX / 128 * 126);
    }

    proptest! {
        #[test]
        fn percentiles_are_near_however_values_are_split(
            mut all in prop::collection::vec(0i64..10_000_000_000, 1..500), cut in 0usize..500
        ) {
            let cut = cut.min(all.len());
            let (mut a, mut b) = (Sketch::default(), Sketch::default());
            all[..cut].iter().for_each(|v| a.add(bucket(*v), 1));
            all[cut..].iter().for_each(|v| b.add(bucket(*v), 1));
            a.merge(&Sketch::from_bytes(&b.bytes()).unwrap());
            all.sort_unstable();
            for p in PERCENTILES {
                let rank = (all.len() * usize::try_from(p).unwrap()).div_ceil(100).max(1);
                let (is, got) = (all[rank - 1], a.percentile(p).unwrap());
                #[allow(clippy::cast_precision_loss)]
                let allowed = is as f64 * Stats::PERCENTILE_ERROR;
                #[allow(clippy::cast_precision_loss)]
                let off = (is - got).unsigned_abs() as f64;
                prop_assert!(off <= allowed, "p{p}: {is} became {got}");
            }
        }
    }
}
