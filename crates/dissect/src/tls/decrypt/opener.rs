//! One direction of a connection that can be read.

use aes::{Aes128, Aes256};
use aes_gcm::aead::consts::{U8, U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use ccm::Ccm;
use chacha20poly1305::ChaCha20Poly1305;

use super::cbc_mac::Cbc;
use super::{Algorithm, Suite, expand_label, prf};
use crate::Role;
use crate::tls::record::Header;
use crate::tls::secrets::Secret;

/// Records that may be missing where it is not known how many are: as many numbers are tried.
const MAX_LOST: u64 = 256;

enum Cipher {
    Aes128Gcm(Box<Aes128Gcm>),
    Aes256Gcm(Box<Aes256Gcm>),
    Aes128Ccm(Box<Ccm<Aes128, U16, U12>>),
    Aes256Ccm(Box<Ccm<Aes256, U16, U12>>),
    Aes128Ccm8(Box<Ccm<Aes128, U8, U12>>),
    Aes256Ccm8(Box<Ccm<Aes256, U8, U12>>),
    ChaCha20Poly1305(Box<ChaCha20Poly1305>),
    Cbc(Box<Cbc>),
}

impl Cipher {
    fn new(algorithm: Algorithm, key: &[u8]) -> Option<Self> {
        Some(match algorithm {
            Algorithm::Aes128Gcm => Self::Aes128Gcm(keyed(key)?),
            Algorithm::Aes256Gcm => Self::Aes256Gcm(keyed(key)?),
            Algorithm::Aes128Ccm => Self::Aes128Ccm(keyed(key)?),
            Algorithm::Aes256Ccm => Self::Aes256Ccm(keyed(key)?),
            Algorithm::Aes128Ccm8 => Self::Aes128Ccm8(keyed(key)?),
            Algorithm::Aes256Ccm8 => Self::Aes256Ccm8(keyed(key)?),
            Algorithm::ChaCha20Poly1305 => Self::ChaCha20Poly1305(keyed(key)?),
            Algorithm::Aes128Cbc(_) | Algorithm::Aes256Cbc(_) => return None,
        })
    }

    fn tag_len(&self) -> usize {
        match self {
            Self::Aes128Ccm8(_) | Self::Aes256Ccm8(_) => 8,
            _ => 16,
        }
    }

    /// Decrypts `data`, which ends with its tag, in place. Says how long the text is.
    fn open(&self, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Option<usize> {
        match self {
            Self::Aes128Gcm(c) => open(c.as_ref(), nonce, aad, data),
            Self::Aes256Gcm(c) => open(c.as_ref(), nonce, aad, data),
            Self::Aes128Ccm(c) => open(c.as_ref(), nonce, aad, data),
            Self::Aes256Ccm(c) => open(c.as_ref(), nonce, aad, data),
            Self::Aes128Ccm8(c) => open(c.as_ref(), nonce, aad, data),
            Self::Aes256Ccm8(c) => open(c.as_ref(), nonce, aad, data),
            Self::ChaCha20Poly1305(c) => open(c.as_ref(), nonce, aad, data),
            Self::Cbc(_) => None,
        }
    }
}

fn keyed<C: KeyInit>(key: &[u8]) -> Option<Box<C>> {
    C::new_from_slice(key).ok().map(Box::new)
}

fn open<C: AeadInOut>(cipher: &C, nonce: &[u8; 12], aad: &[u8], data: &mut [u8]) -> Option<usize> {
    let nonce = <&Nonce<C>>::try_from(&nonce[..]).ok()?;
    let text_len = data.len().checked_sub(size_of::<Tag<C>>())?;
    let (text, tag) = data.split_at_mut_checked(text_len)?;
    let tag = <&Tag<C>>::try_from(&*tag).ok()?;
    cipher.decrypt_inout_detached(nonce, aad, text.into(), tag).ok()?;
    Some(text_len)
}

/// A record that was opened: its true content type, and where its text lies in the buffer.
pub(in crate::tls) struct Opened {
    pub(in crate::tls) kind: u8,
    pub(in crate::tls) text: std::ops::Range<usize>,
}

/// How nonces and additional data are made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// RFC 8446 section 5.2: the number in the nonce, the content type inside.
    Tls13,
    /// RFC 5288 and RFC 6655: a part of the nonce stands in front of the record.
    ExplicitNonce,
    /// RFC 7905: the number in the nonce.
    ImplicitNonce,
    /// A block cipher and a MAC.
    Block,
}

/// Opens the records of one direction.
pub(in crate::tls) struct Opener {
    cipher: Cipher,
    form: Form,
    iv: [u8; 12],
    /// Number of the next record.
    number: u64,
    /// Up to so many records may be missing before the next one.
    lost: u64,
    /// TLS 1.3: what it was made from, to make the next one.
    secret: Option<(Secret, Suite)>,
}

/// What the keys of a connection up to TLS 1.2 are made from.
pub(in crate::tls) struct Schedule<'a> {
    pub(in crate::tls) suite: Suite,
    pub(in crate::tls) version: u16,
    pub(in crate::tls) master: &'a Secret,
    pub(in crate::tls) client_random: &'a [u8; 32],
    pub(in crate::tls) server_random: &'a [u8; 32],
    pub(in crate::tls) encrypt_then_mac: bool,
}

impl Opener {
    /// Keys of TLS 1.3, from a traffic secret (RFC 8446 section 7.3).
    pub(in crate::tls) fn tls13(suite: Suite, secret: &Secret) -> Option<Self> {
        if secret.bytes().len() != suite.hash.len() {
            return None;
        }
        let mut key = [0; 32];
        let key = key.get_mut(..suite.algorithm.key_len())?;
        expand_label(suite.hash, secret.bytes(), "key", key);
        let mut iv = [0; 12];
        expand_label(suite.hash, secret.bytes(), "iv", &mut iv);
        let cipher = Cipher::new(suite.algorithm, key)?;
        let secret = Some((*secret, suite));
        Some(Self { cipher, form: Form::Tls13, iv, number: 0, lost: 0, secret })
    }

    /// Keys up to TLS 1.2, from a master secret (RFC 5246 section 6.3).
    pub(in crate::tls) fn tls12(role: Role, from: &Schedule<'_>) -> Option<Self> {
        let algorithm = from.suite.algorithm;
        let key_len = algorithm.key_len();
        let (mac_len, iv_len, form) = match algorithm {
            // TLS 1.0 alone takes the first IV from the keys.
            Algorithm::Aes128Cbc(hash) | Algorithm::Aes256Cbc(hash) => {
                (hash.len(), if from.version < 0x0302 { 16 } else { 0 }, Form::Block)
            }
            Algorithm::ChaCha20Poly1305 => (0, 12, Form::ImplicitNonce),
            _ => (0, 4, Form::ExplicitNonce),
        };
        let mut block = [0; 2 * (48 + 32 + 16)];
        let block = block.get_mut(..2 * (mac_len + key_len + iv_len))?;
        let seed = [&from.server_random[..], &from.client_random[..]];
        prf(from.version, from.suite.hash, from.master.bytes(), b"key expansion", &seed, block);
        let part = |start: usize, len: usize| {
            let from = start + role.index() * len;
            block.get(from..from + len)
        };
        let mac = part(0, mac_len)?;
        let key = part(2 * mac_len, key_len)?;
        let iv = part(2 * (mac_len + key_len), iv_len)?;
        let cipher = match algorithm {
            Algorithm::Aes128Cbc(hash) | Algorithm::Aes256Cbc(hash) => {
                Cipher::Cbc(Box::new(Cbc::new(key, hash, mac, iv.first_chunk(), from.encrypt_then_mac)?))
            }
            _ => Cipher::new(algorithm, key)?,
        };
        let mut fixed = [0; 12];
        if form != Form::Block {
            fixed.get_mut(..iv.len())?.copy_from_slice(iv);
        }
        Some(Self { cipher, form, iv: fixed, number: 0, lost: 0, secret: None })
    }

    /// Opens a record in `buffer`, which has its fragment. `None` when it does not open: then the
    /// buffer's content is of no use.
    pub(in crate::tls) fn open(
        &mut self,
        header: &Header,
        fragment: &[u8],
        buffer: &mut Vec<u8>,
    ) -> Option<Opened> {
        for number in self.number..=self.number.saturating_add(self.lost) {
            buffer.clear();
            buffer.extend_from_slice(fragment);
            if let Some(opened) = self.open_as(number, header, buffer) {
                self.number = number.saturating_add(1);
                self.lost = 0;
                return Some(opened);
            }
        }
        if let Cipher::Cbc(cbc) = &mut self.cipher {
            cbc.missed(fragment);
        }
        None
    }

    fn open_as(&mut self, number: u64, header: &Header, buffer: &mut [u8]) -> Option<Opened> {
        if let Cipher::Cbc(cbc) = &mut self.cipher {
            let text = cbc.open(number, header, buffer)?;
            return Some(Opened { kind: header.kind, text });
        }
        let mut nonce = self.iv;
        let start = if self.form == Form::ExplicitNonce {
            let explicit = buffer.first_chunk::<8>()?;
            nonce.last_chunk_mut::<8>()?.copy_from_slice(explicit);
            8
        } else {
            for (slot, b) in nonce.iter_mut().skip(4).zip(number.to_be_bytes()) {
                *slot ^= b;
            }
            0
        };
        let data = buffer.get_mut(start..)?;
        let text_len = data.len().checked_sub(self.cipher.tag_len())?;
        if self.form == Form::Tls13 {
            let len = self.cipher.open(&nonce, &header.bytes, data)?;
            // The content type is the last byte that is not padding.
            let kind_at = data.get(..len)?.iter().rposition(|b| *b != 0)?;
            return Some(Opened { kind: *data.get(kind_at)?, text: start..start + kind_at });
        }
        let aad = additional_data(number, header, text_len)?;
        let len = self.cipher.open(&nonce, &aad, data)?;
        Some(Opened { kind: header.kind, text: start..start + len })
    }

    /// Records are missing: `bytes` of them.
    pub(in crate::tls) fn missed(&mut self, bytes: u64) {
        // No record has fewer bytes than its header, a tag and something.
        let records = (bytes / 14).saturating_add(1);
        self.lost = self.lost.saturating_add(records).min(MAX_LOST);
    }

    /// True while it is not known how many records were missing.
    pub(in crate::tls) fn is_searching(&self) -> bool {
        self.lost > 0
    }

    /// The keys that follow after a KeyUpdate (RFC 8446 section 7.2).
    pub(in crate::tls) fn next(&self) -> Option<Self> {
        let (secret, suite) = self.secret.as_ref()?;
        let mut next = [0; 64];
        let next = next.get_mut(..suite.hash.len())?;
        expand_label(suite.hash, secret.bytes(), "traffic upd", next);
        Self::tls13(*suite, &Secret::new(next)?)
    }
}

/// Additional data up to TLS 1.2: number, type, version, length of the text (RFC 5246 section
/// 6.2.3.3).
pub(super) fn additional_data(number: u64, header: &Header, text_len: usize) -> Option<[u8; 13]> {
    let mut aad = [0; 13];
    let [kind, major, minor, _, _] = header.bytes;
    let [high, low] = u16::try_from(text_len).ok()?.to_be_bytes();
    aad.first_chunk_mut::<8>()?.copy_from_slice(&number.to_be_bytes());
    aad.last_chunk_mut::<5>()?.copy_from_slice(&[kind, major, minor, high, low]);
    Some(aad)
}
