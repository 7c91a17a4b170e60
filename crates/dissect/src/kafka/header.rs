//! What stands in front of every message.

use super::api;
use super::schema::Body;
use super::wire::{Reader, Stop};

/// Bytes of the largest message that is believed. Brokers take requests of 100 MiB by default.
const MAX_MESSAGE: i32 = 256 << 20;

/// Bytes of the longest client id that is believed.
const MAX_CLIENT_ID: u32 = 255;

/// Versions beyond this have not been needed for any API.
const MAX_VERSION: i16 = 63;

/// The header of a request, but for the client id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestHeader {
    /// Bytes behind the length.
    pub(super) size: u32,
    pub(super) api_key: i16,
    pub(super) api_version: i16,
    pub(super) correlation: i32,
}

/// The header of a request: itself, the client id, and how many bytes it takes with the length.
/// Tagged fields, which flexible versions have there, are not among them.
pub(super) fn request(bytes: &[u8]) -> Result<(RequestHeader, Option<&[u8]>, usize), Stop> {
    let mut r = Reader::new(bytes);
    let size = size(&mut r, 8)?;
    let (api_key, api_version) = (r.i16()?, r.i16()?);
    if api_key < 0 || !(0..=MAX_VERSION).contains(&api_version) {
        return Err(Stop::Bad);
    }
    let header = RequestHeader { size, api_key, api_version, correlation: r.i32()? };
    if (api_key, api_version) == (api::CONTROLLED_SHUTDOWN, 0) {
        return Ok((header, None, r.at()));
    }
    let client_id = match r.text_length(false)? {
        None => None,
        Some(n) if n > MAX_CLIENT_ID => return Err(Stop::Bad),
        Some(n) => Some(r.take(n as usize)?),
    };
    let readable = |id: &[u8]| std::str::from_utf8(id).is_ok_and(|id| !id.contains(char::is_control));
    if r.at() - 4 > size as usize || !client_id.is_none_or(readable) {
        return Err(Stop::Bad);
    }
    Ok((header, client_id, r.at()))
}

/// Bytes of the header of a response with the length.
pub(super) const RESPONSE: usize = 8;

/// The header of a response: bytes behind the length, and the correlation id.
pub(super) fn response(bytes: &[u8]) -> Result<(u32, i32), Stop> {
    let mut r = Reader::new(bytes);
    let size = size(&mut r, 4)?;
    Ok((size, r.i32()?))
}

fn size(r: &mut Reader<'_>, least: i32) -> Result<u32, Stop> {
    match r.i32()? {
        n if (least..=MAX_MESSAGE).contains(&n) => Ok(n.unsigned_abs()),
        _ => Err(Stop::Bad),
    }
}

/// True when that version has tagged fields and compact lengths.
pub(super) fn is_flexible(body: &Body, version: i16) -> bool {
    version >= body.flexible
}

/// True when the header of the response has tagged fields.
pub(super) fn has_response_tags(body: &Body, key: i16, version: i16) -> bool {
    is_flexible(body, version) && key != api::API_VERSIONS
}
