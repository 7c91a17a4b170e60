//! Who may talk to whom, and under which protection.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use subtle::ConstantTimeEq;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, ClientTlsConfig, Identity, ServerTlsConfig, Uri};

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
        "refusing plain text to {0}, which is not this machine: use https with a token or a client certificate, or set insecure_allow_plaintext if the network itself is protected"
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

/// Where distributions keep the CA certificates that the system trusts.
const SYSTEM_CAS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// True for addresses that only this machine reaches.
fn is_local(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Security settings of a listener, found to be usable.
#[derive(Debug)]
pub(crate) struct ServerAuth {
    security: ServerSecurity,
}

impl ServerAuth {
    pub(crate) fn new(security: &ServerSecurity, address: SocketAddr) -> Result<Self, SecurityError> {
        let open = !is_local(address.ip()) && !security.insecure_allow_plaintext;
        if open && security.identity.is_none() {
            return Err(SecurityError::PlainText(address.to_string()));
        }
        if open && security.token_file.is_none() && security.client_ca.is_none() {
            return Err(SecurityError::Open(address.to_string()));
        }
        if security.client_ca.is_some() && security.identity.is_none() {
            return Err(SecurityError::Tls("a client CA needs a certificate and key of the hub".to_owned()));
        }
        if let Some(path) = &security.token_file {
            Token::from_file(path)?;
        }
        Ok(Self { security: security.clone() })
    }

    pub(crate) fn tls(&self) -> Result<Option<ServerTlsConfig>, SecurityError> {
        let Some((cert, key)) = &self.security.identity else { return Ok(None) };
        let mut tls = ServerTlsConfig::new().identity(Identity::from_pem(read(cert)?, read(key)?));
        if let Some(ca) = &self.security.client_ca {
            tls = tls.client_ca_root(Certificate::from_pem(read(ca)?));
        }
        Ok(Some(tls))
    }

    /// Judges the token of a request.
    pub(crate) fn check(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let Some(path) = &self.security.token_file else { return Ok(()) };
        let token = Token::from_file(path).map_err(|error| {
            tracing::error!(%error, "agents are turned away: the token cannot be read");
            Status::unavailable("the hub cannot read its token file")
        })?;
        let shown = metadata.get("authorization").map(|v| v.as_bytes()).unwrap_or_default();
        match shown.strip_prefix(b"Bearer ") {
            Some(shown) if token.matches(shown) => Ok(()),
            Some(_) => Err(Status::unauthenticated("wrong token")),
            None => Err(Status::unauthenticated("a token is needed")),
        }
    }
}

/// A hub's address, and what is needed to talk to it.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) uri: Uri,
    pub(crate) tls: Option<ClientTlsConfig>,
    pub(crate) token: Option<Token>,
    /// True when the hub is on this machine.
    pub(crate) local: bool,
}

impl Target {
    /// Reads the settings and the files that they name.
    pub(crate) fn new(url: &str, security: &ClientSecurity) -> Result<Self, SecurityError> {
        let bad = |why: &str| SecurityError::Address(url.to_owned(), why.to_owned());
        let uri: Uri = url.parse().map_err(|_| bad("not a URL such as https://hub.example:8898"))?;
        let host = uri.host().ok_or_else(|| bad("it names no host"))?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let local = host == "localhost" || host.parse().is_ok_and(is_local);
        let tls = match uri.scheme_str() {
            Some("https") => Some(client_tls(host, security)?),
            Some("http") if local || security.insecure_allow_plaintext => None,
            Some("http") => return Err(SecurityError::PlainText(url.to_owned())),
            _ => return Err(bad("it must begin with https:// or http://")),
        };
        let token = security.token_file.as_deref().map(Token::from_file).transpose()?;
        Ok(Self { uri, tls, token, local })
    }
}

fn client_tls(host: &str, security: &ClientSecurity) -> Result<ClientTlsConfig, SecurityError> {
    let ca = match &security.ca {
        Some(path) => path.clone(),
        None => system_ca()?,
    };
    let name = security.server_name.as_deref().unwrap_or(host);
    let mut tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&ca)?)).domain_name(name);
    if let Some((cert, key)) = &security.identity {
        tls = tls.identity(Identity::from_pem(read(cert)?, read(key)?));
    }
    Ok(tls)
}

fn system_ca() -> Result<PathBuf, SecurityError> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let found = named.or_else(|| SYSTEM_CAS.iter().map(PathBuf::from).find(|p| p.exists()));
    found.ok_or_else(|| SecurityError::Tls("no CA certificates on this system: name a CA file".to_owned()))
}

fn read(path: &Path) -> Result<Vec<u8>, SecurityError> {
    std::fs::read(path).map_err(|cause| SecurityError::Read { path: path.to_owned(), cause })
}
