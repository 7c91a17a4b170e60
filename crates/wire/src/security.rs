//! Who may talk to whom, and under which protection.

use std::net::IpAddr;
use std::path::PathBuf;

use subtle::ConstantTimeEq;

/// Why security settings are unusable.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// A file could not be read.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        cause: std::io::Error,
    },
    /// A token file holds no token.
    #[error("{0} holds no token: write one line of at least 16 characters into it")]
    NoToken(PathBuf),
    /// Plain text was asked for where others could read it.
    #[error(
        "refusing plain text to {0}, which is not this machine: use https with a token or a client certificate, or set allow_plaintext if the network itself is protected"
    )]
    PlainText(String),
    /// A token or certificate is needed and there is none.
    #[error("{0} is reachable from other machines: set a token or a client CA")]
    Open(String),
    /// The hub's address cannot be used.
    #[error("hub address {0:?}: {1}")]
    Address(String, String),
    /// Certificates or keys that cannot be used.
    #[error("TLS settings: {0}")]
    Tls(String),
}

/// A shared secret that agents show to the hub.
#[derive(Clone)]
pub struct Token(Vec<u8>);

impl Token {
    /// Shortest token that is accepted, in bytes.
    pub const MIN_LEN: usize = 16;

    /// The token with that text, blanks around it removed; `None` when it is too short or has
    /// characters that an HTTP header cannot carry.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let sound = text.len() >= Self::MIN_LEN && text.bytes().all(|b| b.is_ascii_graphic());
        sound.then(|| Self(text.as_bytes().to_vec()))
    }

    /// Reads the first line of a file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no token.
    pub fn from_file(path: &std::path::Path) -> Result<Self, SecurityError> {
        let text = std::fs::read_to_string(path)
            .map_err(|cause| SecurityError::Read { path: path.to_owned(), cause })?;
        text.lines().next().and_then(Self::new).ok_or_else(|| SecurityError::NoToken(path.to_owned()))
    }

    /// Compares in a time that does not tell how much of `other` is right.
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.ct_eq(other).into()
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What the hub asks of agents that come over TCP.
#[derive(Clone, Debug, Default)]
pub struct ServerSecurity {
    /// Certificate chain and private key, PEM files. Without them the hub speaks plain text, which
    /// it does only on loopback addresses.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// CA whose client certificates are demanded and accepted (mTLS), a PEM file.
    pub client_ca: Option<PathBuf>,
    /// File with the token that agents must show. Read again for every stream, so that it can be
    /// replaced while the hub runs.
    pub token_file: Option<PathBuf>,
    /// Allows plain text, and agents without token or certificate, on any address.
    pub insecure_allow_plaintext: bool,
}

/// How an agent proves itself and checks the hub.
#[derive(Clone, Debug, Default)]
pub struct ClientSecurity {
    /// CA certificates to trust instead of the system's, a PEM file.
    pub ca: Option<PathBuf>,
    /// Client certificate chain and private key (mTLS), PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// File with the token to show. Read again at every connect.
    pub token_file: Option<PathBuf>,
    /// Name to expect in the hub's certificate instead of the host of its URL.
    pub server_name: Option<String>,
    /// Allows plain text to a hub on another machine.
    pub insecure_allow_plaintext: bool,
}

/// True for addresses that only this machine reaches.
pub(crate) fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}
