//! How a cipher suite protects records.

use crate::tls::names;

/// The hash of a key schedule or a MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) enum Hash {
    Sha1,
    Sha256,
    Sha384,
}

impl Hash {
    /// Its bytes.
    pub(in crate::tls) const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }
}

/// An algorithm that protects records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) enum Algorithm {
    Aes128Gcm,
    Aes256Gcm,
    Aes128Ccm,
    Aes256Ccm,
    Aes128Ccm8,
    Aes256Ccm8,
    ChaCha20Poly1305,
    Aes128Cbc(Hash),
    Aes256Cbc(Hash),
}

impl Algorithm {
    /// Bytes of a key.
    pub(in crate::tls) const fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm | Self::Aes128Ccm | Self::Aes128Ccm8 | Self::Aes128Cbc(_) => 16,
            Self::Aes256Gcm
            | Self::Aes256Ccm
            | Self::Aes256Ccm8
            | Self::ChaCha20Poly1305
            | Self::Aes256Cbc(_) => 32,
        }
    }
}

/// What is needed of a suite to read its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tls) struct Suite {
    pub(in crate::tls) algorithm: Algorithm,
    /// The hash of the key schedule.
    pub(in crate::tls) hash: Hash,
}

impl Suite {
    /// The suite with that number, if its records can be read. The names of suites say all that is
    /// needed.
    pub(in crate::tls) fn from_id(id: u16) -> Option<Self> {
        let name = names::suite(id)?;
        let (_, cipher) = name.split_once("_WITH_").or_else(|| name.split_once("TLS_"))?;
        let hash = if cipher.ends_with("_SHA384") { Hash::Sha384 } else { Hash::Sha256 };
        let mac = if cipher.ends_with("_SHA") { Hash::Sha1 } else { hash };
        let starts = |with: &str| cipher.starts_with(with);
        let algorithm = match cipher {
            _ if starts("AES_128_GCM") => Algorithm::Aes128Gcm,
            _ if starts("AES_256_GCM") => Algorithm::Aes256Gcm,
            _ if starts("CHACHA20_POLY1305") => Algorithm::ChaCha20Poly1305,
            _ if starts("AES_128_CCM_8") => Algorithm::Aes128Ccm8,
            _ if starts("AES_256_CCM_8") => Algorithm::Aes256Ccm8,
            _ if starts("AES_128_CCM") => Algorithm::Aes128Ccm,
            _ if starts("AES_256_CCM") => Algorithm::Aes256Ccm,
            _ if starts("AES_128_CBC") => Algorithm::Aes128Cbc(mac),
            _ if starts("AES_256_CBC") => Algorithm::Aes256Cbc(mac),
            _ => return None,
        };
        Some(Self { algorithm, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_how_records_are_protected() {
        let suite = |id| Suite::from_id(id).map(|s| (s.algorithm, s.hash));
        assert_eq!(suite(0x1301), Some((Algorithm::Aes128Gcm, Hash::Sha256)));
        assert_eq!(suite(0x1302), Some((Algorithm::Aes256Gcm, Hash::Sha384)));
        assert_eq!(suite(0x1303), Some((Algorithm::ChaCha20Poly1305, Hash::Sha256)));
        assert_eq!(suite(0x1305), Some((Algorithm::Aes128Ccm8, Hash::Sha256)));
        assert_eq!(suite(0xc0ac), Some((Algorithm::Aes128Ccm, Hash::Sha256)));
        assert_eq!(suite(0xc030), Some((Algorithm::Aes256Gcm, Hash::Sha384)));
        assert_eq!(suite(0xc013), Some((Algorithm::Aes128Cbc(Hash::Sha1), Hash::Sha256)));
        assert_eq!(suite(0xc028), Some((Algorithm::Aes256Cbc(Hash::Sha384), Hash::Sha384)));
        assert_eq!(suite(0x003c), Some((Algorithm::Aes128Cbc(Hash::Sha256), Hash::Sha256)));
        assert_eq!(suite(0x0005), None);
        assert_eq!(suite(0x000a), None);
        assert_eq!(suite(0x0041), None);
    }
}
