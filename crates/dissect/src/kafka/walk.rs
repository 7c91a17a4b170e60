//! Reads a message by its table, in whatever pieces it comes.

use super::schema::{Field, Kind};
use super::token::{Shape, Step, Token, Value};
use super::wire::{Reader, Stop};

/// Bytes of one text (the broker's own bound, also for compact ones).
const MAX_TEXT: u32 = i16::MAX as u32;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// The message itself.
    Message,
    /// The tagged fields of its header.
    Header,
    Structure,
    /// An array, between two elements.
    Between,
    /// An array, in an element.
    Element,
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    fields: &'static [Field],
    place: Place,
    /// The elements are single fields.
    bare: bool,
    /// The next field.
    at: usize,
    /// Elements that have not begun.
    elements: u32,
    /// Tagged fields to come, once their number is known.
    tags: Option<u32>,
    /// Where a tagged field has to end: what the message has left then.
    tag_end: Option<u64>,
}

impl Frame {
    fn new(fields: &'static [Field], place: Place) -> Self {
        Self { fields, place, bare: false, at: 0, elements: 0, tags: None, tag_end: None }
    }
}

/// The place in a message up to which it has been read. Its depth is that of the table.
#[derive(Debug, Default)]
pub(super) struct Walker {
    frames: Vec<Frame>,
    version: i16,
    flexible: bool,
    /// Bytes of the message that have not been read.
    left: u64,
    /// Bytes of a blob that have not been read, and whether anybody is told.
    blob: Option<(u64, bool)>,
}

impl Walker {
    /// Begins a message of `left` bytes. `header` says that tagged fields of the header come first.
    pub(super) fn begin(
        &mut self,
        fields: &'static [Field],
        version: i16,
        flexible: bool,
        header: bool,
        left: u64,
    ) {
        self.frames.clear();
        self.frames.push(Frame::new(fields, Place::Message));
        if header {
            self.frames.push(Frame::new(&[], Place::Header));
        }
        (self.version, self.flexible, self.left, self.blob) = (version, flexible, left, None);
    }

    /// Bytes that are left of the blob being read.
    pub(super) fn blob_left(&self) -> u64 {
        self.blob.map_or(0, |b| b.0)
    }

    /// The next `n` bytes, which must be of a blob, have gone by unseen.
    pub(super) fn pass(&mut self, n: u64) {
        if let Some((left, _)) = &mut self.blob {
            *left = left.saturating_sub(n);
            self.left = self.left.saturating_sub(n);
        }
    }

    /// Bytes of memory that it holds.
    pub(super) fn memory(&self) -> usize {
        self.frames.capacity() * size_of::<Frame>()
    }

    /// Reads on.
    pub(super) fn step<'a>(&mut self, bytes: &'a [u8]) -> Step<'a> {
        let room = usize::try_from(self.left).unwrap_or(usize::MAX);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        if let Some((left, told)) = self.blob {
            return self.blob(bytes, left, told);
        }
        let before = self.left;
        match self.next(bytes) {
            Ok(step) => step,
            // What the message has not got will not come.
            Err(Stop::Short) if bytes.len() as u64 >= before => Step::Fault,
            Err(Stop::Short) => Step::More,
            Err(Stop::Bad) => Step::Fault,
        }
    }

    fn blob<'a>(&mut self, bytes: &'a [u8], left: u64, told: bool) -> Step<'a> {
        if left == 0 {
            self.blob = None;
            return if told { Step::Token(0, Token::BlobEnd) } else { Step::Quiet(0) };
        }
        let n = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        if n == 0 {
            return Step::More;
        }
        self.pass(n as u64);
        let piece = bytes.get(..n).unwrap_or_default();
        if told { Step::Token(n, Token::Piece(piece)) } else { Step::Quiet(n) }
    }

    fn next<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Stop> {
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return if self.left == 0 { Ok(Step::Done) } else { Err(Stop::Bad) };
            };
            if frame.place == Place::Between {
                if frame.elements == 0 {
                    self.frames.pop();
                    return Ok(Step::Token(0, Token::Close));
                }
                frame.elements -= 1;
                (frame.place, frame.at, frame.tags) = (Place::Element, 0, None);
                if !frame.bare {
                    return Ok(Step::Token(0, Token::Element));
                }
            }
            while let Some(field) = frame.fields.get(frame.at) {
                if field.tag.is_none() && field.versions.contain(self.version) {
                    return self.value(field, Reader::new(bytes), false);
                }
                frame.at += 1;
            }
            if (self.flexible || frame.place == Place::Header) && !frame.bare {
                if frame.tag_end.take().is_some_and(|end| end != self.left) {
                    return Err(Stop::Bad);
                }
                match frame.tags {
                    None => {
                        let mut reader = Reader::new(bytes);
                        let n = reader.unsigned()?;
                        frame.tags = Some(n);
                        return self.took(reader.at(), Step::Quiet(reader.at()));
                    }
                    Some(0) => {}
                    Some(_) => return self.tagged(bytes),
                }
            }
            match frame.place {
                Place::Element if frame.bare => frame.place = Place::Between,
                Place::Element => {
                    frame.place = Place::Between;
                    return Ok(Step::Token(0, Token::Close));
                }
                Place::Structure => {
                    self.frames.pop();
                    return Ok(Step::Token(0, Token::Close));
                }
                Place::Message | Place::Header | Place::Between => {
                    self.frames.pop();
                }
            }
        }
    }

    /// `n` bytes were read.
    fn took<'a>(&mut self, n: usize, step: Step<'a>) -> Result<Step<'a>, Stop> {
        self.left = self.left.checked_sub(n as u64).ok_or(Stop::Bad)?;
        Ok(step)
    }

    /// A tagged field: its number and size, and its value if the number is known.
    fn tagged<'a>(&mut self, bytes: &'a [u8]) -> Result<Step<'a>, Stop> {
        let mut reader = Reader::new(bytes);
        let tag = reader.unsigned()?;
        let size = u64::from(reader.unsigned()?);
        let after = self.left.checked_sub(reader.at() as u64).ok_or(Stop::Bad)?;
        let end = after.checked_sub(size).ok_or(Stop::Bad)?;
        let Some(frame) = self.frames.last_mut() else { return Err(Stop::Bad) };
        let known = frame
            .fields
            .iter()
            .find(|f| f.tag.map(u32::from) == Some(tag) && f.versions.contain(self.version));
        frame.tag_end = Some(end);
        // The frame is put back as it was if the value is not there yet.
        let step = match known {
            Some(field) => self.value(field, reader, true),
            None => {
                self.blob = Some((size, false));
                self.took(reader.at(), Step::Quiet(reader.at()))
            }
        };
        match step {
            Ok(step) => {
                // The value of an array or structure is a frame of its own by now.
                let holder = self.frames.iter_mut().rev().find(|f| f.tag_end == Some(end));
                if let Some(n) = holder.and_then(|f| f.tags.as_mut()) {
                    *n = n.saturating_sub(1);
                }
                Ok(step)
            }
            Err(stop) => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.tag_end = None;
                }
                Err(stop)
            }
        }
    }

    /// The value of `field`, whose first byte is the reader's next.
    fn value<'a>(
        &mut self,
        field: &'static Field,
        mut reader: Reader<'a>,
        tagged: bool,
    ) -> Result<Step<'a>, Stop> {
        let flexible = self.flexible;
        let mut open = None;
        let value = match field.kind {
            Kind::Boolean => Value::Bool(reader.i8()? != 0),
            Kind::Int8 => Value::Int(reader.i8()?.into()),
            Kind::Int16 => Value::Int(reader.i16()?.into()),
            Kind::Uint16 => Value::Int(reader.u16()?.into()),
            Kind::Int32 => Value::Int(reader.i32()?.into()),
            Kind::Int64 => Value::Int(reader.i64()?),
            Kind::Float64 => Value::Float(reader.f64()?),
            Kind::Uuid => Value::Uuid(reader.uuid()?),
            Kind::String => match reader.text_length(flexible)? {
                None => Value::Null,
                Some(n) if n > MAX_TEXT => return Err(Stop::Bad),
                Some(n) => Value::Text(reader.take(n as usize)?),
            },
            Kind::Bytes | Kind::Records | Kind::Embedded(_) => match reader.length(flexible)? {
                None => Value::Null,
                Some(n) => {
                    self.advance(tagged);
                    let step = self.took(reader.at(), Step::Token(reader.at(), Token::Blob(field, n)))?;
                    if u64::from(n) > self.left {
                        return Err(Stop::Bad);
                    }
                    self.blob = Some((n.into(), true));
                    return Ok(step);
                }
            },
            Kind::Array(fields) => match reader.length(flexible)? {
                None => Value::Null,
                Some(n) => {
                    let bare = fields.first().is_some_and(|f| f.name.is_empty());
                    open = Some((
                        Frame { elements: n, bare, ..Frame::new(fields, Place::Between) },
                        Shape::Array,
                    ));
                    Value::Null
                }
            },
            Kind::Nullable(_) if reader.i8()? < 0 => Value::Null,
            Kind::Structure(fields) | Kind::Nullable(fields) => {
                open = Some((Frame::new(fields, Place::Structure), Shape::Structure));
                Value::Null
            }
        };
        self.advance(tagged);
        let Some((frame, shape)) = open else {
            return self.took(reader.at(), Step::Token(reader.at(), Token::Value(field, value)));
        };
        let step = self.took(reader.at(), Step::Token(reader.at(), Token::Open(field, shape)))?;
        // Every element has at least one byte.
        if u64::from(frame.elements) > self.left {
            return Err(Stop::Bad);
        }
        self.frames.push(frame);
        Ok(step)
    }

    /// The next field of the frame is being read.
    fn advance(&mut self, tagged: bool) {
        if let Some(frame) = self.frames.last_mut().filter(|_| !tagged) {
            frame.at += 1;
        }
    }
}

#[cfg(test)]
mod tests;
