//! Looks through an Arrow IPC stream before the reader does, because the reader takes buffer
//! positions and lengths on trust and panics where they are wrong.

use arrow::ipc::{self, MessageHeader, MetadataVersion};

use super::DecodeError;

/// Values begin at multiples of this, counted from the start of the stream (Arrow columnar format,
/// "Encapsulated message format").
const ALIGNMENT: usize = 8;

const CONTINUATION: [u8; 4] = [0xff; 4];

/// Most messages of one stream: a schema, a dictionary for each column and a batch.
const MAX_MESSAGES: usize = 1_024;

/// Most columns, including those inside lists and maps.
const MAX_FIELDS: usize = 1_024;

/// How deep columns may nest; a map of text needs three.
const MAX_DEPTH: usize = 4;

/// True of a stream whose every message is well formed, lies within the bytes and refers to
/// nothing outside of itself.
pub(super) fn check(stream: &[u8], max_rows: usize) -> Result<(), DecodeError> {
    let mut rest = stream;
    let mut messages = 0;
    let mut columns = None;
    loop {
        if rest.is_empty() {
            return Ok(());
        }
        let (marker, after) = rest.split_at_checked(4).ok_or(DecodeError::Truncated)?;
        if marker != CONTINUATION {
            return Err(DecodeError::Malformed("a message without its marker"));
        }
        let (len, after) = after.split_at_checked(4).ok_or(DecodeError::Truncated)?;
        let len = u32::from_le_bytes(len.try_into().map_err(|_| DecodeError::Truncated)?) as usize;
        if len == 0 {
            return if after.is_empty() {
                Ok(())
            } else {
                Err(DecodeError::Malformed("bytes after the end"))
            };
        }
        let (meta, after) = after.split_at_checked(len).ok_or(DecodeError::Truncated)?;
        let message =
            ipc::root_as_message(meta).map_err(|_| DecodeError::Malformed("a message that is not one"))?;
        if message.version() != MetadataVersion::V5 {
            return Err(DecodeError::Malformed("a format version other than 5"));
        }
        let body_len = usize::try_from(message.bodyLength()).map_err(|_| DecodeError::Truncated)?;
        if !(stream.len() - after.len()).is_multiple_of(ALIGNMENT) {
            return Err(DecodeError::Malformed("a body that is not aligned"));
        }
        let (body, after) = after.split_at_checked(body_len).ok_or(DecodeError::Truncated)?;
        check_header(&message, body.len(), max_rows, &mut columns)?;
        messages += 1;
        if messages > MAX_MESSAGES {
            return Err(DecodeError::Malformed("too many messages"));
        }
        rest = after;
    }
}

fn check_header(
    message: &ipc::Message<'_>,
    body: usize,
    max_rows: usize,
    columns: &mut Option<Layout>,
) -> Result<(), DecodeError> {
    match message.header_type() {
        MessageHeader::Schema => {
            let schema = message.header_as_schema().ok_or(DecodeError::Malformed("no schema"))?;
            if schema.endianness() != ipc::Endianness::Little {
                return Err(DecodeError::Malformed("big-endian values"));
            }
            let fields = schema.fields().ok_or(DecodeError::Malformed("a schema without columns"))?;
            let mut layout = Layout { units: Vec::new(), validity: Vec::new(), fields_left: MAX_FIELDS };
            for field in &fields {
                layout.field(&field, MAX_DEPTH)?;
            }
            *columns = Some(layout);
            Ok(())
        }
        MessageHeader::DictionaryBatch => {
            let dictionary =
                message.header_as_dictionary_batch().and_then(|d| if d.isDelta() { None } else { d.data() });
            let batch = dictionary.ok_or(DecodeError::Malformed("a dictionary without values"))?;
            check_batch(batch, body, max_rows, &TEXT, &[0])
        }
        MessageHeader::RecordBatch => {
            let batch =
                message.header_as_record_batch().ok_or(DecodeError::Malformed("a batch without rows"))?;
            let layout = columns.as_ref().ok_or(DecodeError::Malformed("rows before their schema"))?;
            check_batch(batch, body, max_rows, &layout.units, &layout.validity)
        }
        _ => Err(DecodeError::Malformed("a message of another kind")),
    }
}

/// Buffers of a text column: validity, offsets, bytes.
const TEXT: [usize; 3] = [1, OFFSET, 1];

/// Bytes of an offset and of a dictionary key.
const OFFSET: usize = 4;

/// What columns are made of.
struct Layout {
    /// What the length of each buffer must be a multiple of.
    units: Vec<usize>,
    /// Which buffer tells of each column, or part of a column, where it is null.
    validity: Vec<usize>,
    fields_left: usize,
}

impl Layout {
    /// Adds a column. Only the types that rows are made of pass: the reader gives up hard on some
    /// others.
    fn field(&mut self, field: &ipc::Field<'_>, depth: usize) -> Result<(), DecodeError> {
        let left = self.fields_left.checked_sub(1);
        self.fields_left = left.ok_or(DecodeError::Malformed("too many columns"))?;
        if field.name().is_none() {
            return Err(DecodeError::Malformed("a column without a name"));
        }
        let children = field.children().map_or(0, |c| c.len());
        let (units, expected): (&[usize], usize) = match field.type_type() {
            ipc::Type::Utf8 | ipc::Type::Binary => (&TEXT, 0),
            ipc::Type::Bool => (&[1, 1], 0),
            ipc::Type::Timestamp => {
                let unit = field.type_as_timestamp().map(|t| t.unit());
                if unit != Some(ipc::TimeUnit::NANOSECOND) {
                    return Err(DecodeError::Malformed("a time that does not count nanoseconds"));
                }
                (&[1, 1], 0)
            }
            ipc::Type::Int => {
                let int = field.type_as_int().ok_or(DecodeError::Malformed("an integer without a width"))?;
                if !matches!(int.bitWidth(), 8 | 16 | 32 | 64) {
                    return Err(DecodeError::Malformed("an integer of an odd width"));
                }
                (&[1, 1], 0)
            }
            ipc::Type::List | ipc::Type::Map => (&[1, OFFSET], 1),
            ipc::Type::Struct_ => (&[1], children),
            _ => return Err(DecodeError::Malformed("a column of an unknown type")),
        };
        if children != expected || (children > 0 && depth == 0) {
            return Err(DecodeError::Malformed("a column that nests wrongly"));
        }
        self.validity.push(self.units.len());
        match field.dictionary() {
            None => self.units.extend_from_slice(units),
            Some(dictionary) => {
                let key = dictionary
                    .indexType()
                    .ok_or(DecodeError::Malformed("a dictionary without a key type"))?;
                let text = matches!(field.type_type(), ipc::Type::Utf8 | ipc::Type::Binary);
                if key.bitWidth() != 32 || !key.is_signed() || !text {
                    return Err(DecodeError::Malformed("a dictionary of an unknown kind"));
                }
                self.units.extend_from_slice(&[1, OFFSET]);
            }
        }
        if let Some(list) = field.children() {
            for child in &list {
                self.field(&child, depth - 1)?;
            }
        }
        Ok(())
    }
}

fn check_batch(
    batch: ipc::RecordBatch<'_>,
    body: usize,
    max_rows: usize,
    units: &[usize],
    validity: &[usize],
) -> Result<(), DecodeError> {
    let rows = usize::try_from(batch.length()).map_err(|_| DecodeError::Malformed("a negative length"))?;
    if rows > max_rows {
        return Err(DecodeError::TooManyRows(rows));
    }
    if batch.compression().is_some() {
        return Err(DecodeError::Malformed("compressed buffers"));
    }
    if batch.variadicBufferCounts().is_some_and(|v| !v.is_empty()) {
        return Err(DecodeError::Malformed("variadic buffers"));
    }
    let buffers = batch.buffers().ok_or(DecodeError::Malformed("a batch without buffers"))?;
    if buffers.len() != units.len() {
        return Err(DecodeError::Malformed("a batch with other buffers than its columns have"));
    }
    let nodes = batch.nodes().ok_or(DecodeError::Malformed("a batch without columns"))?;
    if nodes.len() != validity.len() {
        return Err(DecodeError::Malformed("a batch with other columns than its schema has"));
    }
    for (node, validity) in nodes.iter().zip(validity) {
        // Children of lists have more values than there are rows, never more than bytes and rows.
        let len = usize::try_from(node.length()).map_err(|_| DecodeError::Malformed("a negative length"))?;
        let nulls =
            usize::try_from(node.null_count()).map_err(|_| DecodeError::Malformed("a negative count"))?;
        let bits = buffers.iter().nth(*validity).map_or(0, |b| b.length().saturating_mul(8));
        if nulls > 0 && bits < node.length() {
            return Err(DecodeError::Malformed("nulls that are not marked"));
        }
        if nulls > len || len > body.saturating_mul(8).max(rows) {
            return Err(DecodeError::Malformed("a column longer than its bytes"));
        }
    }
    for (buffer, unit) in buffers.iter().zip(units) {
        let from = usize::try_from(buffer.offset()).map_err(|_| DecodeError::Truncated)?;
        let len = usize::try_from(buffer.length()).map_err(|_| DecodeError::Truncated)?;
        if from.checked_add(len).is_none_or(|end| end > body) {
            return Err(DecodeError::Truncated);
        }
        if !from.is_multiple_of(ALIGNMENT) || !len.is_multiple_of(*unit) {
            return Err(DecodeError::Malformed("a buffer that is not aligned"));
        }
    }
    Ok(())
}
