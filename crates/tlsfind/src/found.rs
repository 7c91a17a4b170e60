//! What an inspection gives: TLS code and the points where its plaintext passes.

/// A library or runtime with TLS code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// OpenSSL 1.1.0 to 3.x.
    OpenSsl,
    /// BoringSSL.
    BoringSsl,
    /// AWS-LC, a relative of BoringSSL.
    AwsLc,
    /// LibreSSL.
    LibreSsl,
    /// `crypto/tls` of Go.
    GoTls,
    /// GnuTLS.
    GnuTls,
    /// NSS: libssl3 for TLS.
    Nss,
    /// NSPR, through which programs that use NSS read and write. It carries other files as well.
    Nspr,
    /// mbedTLS (PolarSSL).
    MbedTls,
    /// wolfSSL.
    WolfSsl,
    /// rustls, in a Rust program or through its C interface.
    Rustls,
    /// s2n-tls.
    S2n,
    /// The TLS code of Java itself, which no symbol shows.
    JavaJsse,
}

impl Kind {
    /// The name that reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenSsl => "OpenSSL",
            Self::BoringSsl => "BoringSSL",
            Self::AwsLc => "AWS-LC",
            Self::LibreSsl => "LibreSSL",
            Self::GoTls => "Go crypto/tls",
            Self::GnuTls => "GnuTLS",
            Self::Nss => "NSS",
            Self::Nspr => "NSPR",
            Self::MbedTls => "mbedTLS",
            Self::WolfSsl => "wolfSSL",
            Self::Rustls => "rustls",
            Self::S2n => "s2n-tls",
            Self::JavaJsse => "Java JSSE",
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How the functions were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// By `.dynsym`.
    DynamicSymbols,
    /// By `.symtab`, at least some of them.
    Symbols,
    /// By the function table of Go (`.gopclntab`), which survives `strip`.
    Pclntab,
    /// By what the code does with known strings and numbers, or by a table of pointers to it.
    StringReference,
}

/// What passes at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Plaintext that the peer sent: the buffer is filled at return.
    Read,
    /// Plaintext that the peer sent and that a later read gives again.
    Peek,
    /// Plaintext for the peer: the buffer is full at entry.
    Write,
    /// Tells which descriptor or BIO the connection uses.
    Bind,
    /// A handshake step.
    Handshake,
    /// A connection ends or is freed.
    End,
    /// Secrets for key logs pass.
    Secrets,
    /// Its code tells where something lies in a connection's structure; there is nothing to probe.
    Layout,
}

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal, $kind:ident, $role:ident;)*) => {
        /// A function of a TLS library that is worth a probe. The variants are named after the
        /// library's own names, see [`Function::symbol`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Function { $($(#[$doc])* #[doc = concat!("`", $symbol, "`")] $name,)* }

        impl Function {
            /// Every function.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The name in the library's own source.
            #[must_use]
            pub const fn symbol(self) -> &'static str {
                match self { $(Self::$name => $symbol,)* }
            }

            /// What passes there.
            #[must_use]
            pub const fn role(self) -> Role {
                match self { $(Self::$name => Role::$role,)* }
            }

            /// The library whose name this is; relatives of OpenSSL share its names.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)* }
            }
        }
    };
}

functions! {
    SslRead = "SSL_read", OpenSsl, Read;
    SslReadEx = "SSL_read_ex", OpenSsl, Read;
    SslReadEarlyData = "SSL_read_early_data", OpenSsl, Read;
    SslPeek = "SSL_peek", OpenSsl, Peek;
    SslPeekEx = "SSL_peek_ex", OpenSsl, Peek;
    SslWrite = "SSL_write", OpenSsl, Write;
    SslWriteEx = "SSL_write_ex", OpenSsl, Write;
    /// Since OpenSSL 3.4.
    SslWriteEx2 = "SSL_write_ex2", OpenSsl, Write;
    SslWriteEarlyData = "SSL_write_early_data", OpenSsl, Write;
    /// With kernel TLS: the plaintext is a file's and passes no buffer of the program.
    SslSendfile = "SSL_sendfile", OpenSsl, Write;
    SslSetFd = "SSL_set_fd", OpenSsl, Bind;
    SslSetRfd = "SSL_set_rfd", OpenSsl, Bind;
    SslSetWfd = "SSL_set_wfd", OpenSsl, Bind;
    SslSetBio = "SSL_set_bio", OpenSsl, Bind;
    SslSet0Rbio = "SSL_set0_rbio", OpenSsl, Bind;
    SslSet0Wbio = "SSL_set0_wbio", OpenSsl, Bind;
    SslDoHandshake = "SSL_do_handshake", OpenSsl, Handshake;
    SslAccept = "SSL_accept", OpenSsl, Handshake;
    SslConnect = "SSL_connect", OpenSsl, Handshake;
    SslShutdown = "SSL_shutdown", OpenSsl, End;
    SslFree = "SSL_free", OpenSsl, End;
    /// Not exported: where `.symtab` is not kept it is found by what it is called with.
    SslLogSecret = "ssl_log_secret", OpenSsl, Secrets;
    SslGetClientRandom = "SSL_get_client_random", OpenSsl, Layout;

    GoConnRead = "crypto/tls.(*Conn).Read", GoTls, Read;
    GoConnWrite = "crypto/tls.(*Conn).Write", GoTls, Write;
    /// Since Go 1.17.
    GoConnHandshake = "crypto/tls.(*Conn).handshakeContext", GoTls, Handshake;
    GoConnClose = "crypto/tls.(*Conn).Close", GoTls, End;
    GoWriteKeyLog = "crypto/tls.(*Config).writeKeyLog", GoTls, Secrets;

    GnutlsRecordRecv = "gnutls_record_recv", GnuTls, Read;
    GnutlsRecordRecvSeq = "gnutls_record_recv_seq", GnuTls, Read;
    /// Not exported, like `ssl_log_secret`.
    GnutlsKeylog = "_gnutls_call_keylog_func", GnuTls, Secrets;
    GnutlsSessionGetRandom = "gnutls_session_get_random", GnuTls, Layout;
    /// Gives a buffer of its own, a `gnutls_packet_t`.
    GnutlsRecordRecvPacket = "gnutls_record_recv_packet", GnuTls, Read;
    GnutlsRecordRecvEarlyData = "gnutls_record_recv_early_data", GnuTls, Read;
    GnutlsRecordSend = "gnutls_record_send", GnuTls, Write;
    GnutlsRecordSend2 = "gnutls_record_send2", GnuTls, Write;
    GnutlsRecordSendRange = "gnutls_record_send_range", GnuTls, Write;
    GnutlsRecordSendFile = "gnutls_record_send_file", GnuTls, Write;
    GnutlsRecordSendEarlyData = "gnutls_record_send_early_data", GnuTls, Write;
    GnutlsTransportSetInt2 = "gnutls_transport_set_int2", GnuTls, Bind;
    GnutlsTransportSetPtr = "gnutls_transport_set_ptr", GnuTls, Bind;
    GnutlsTransportSetPtr2 = "gnutls_transport_set_ptr2", GnuTls, Bind;
    GnutlsHandshake = "gnutls_handshake", GnuTls, Handshake;
    GnutlsBye = "gnutls_bye", GnuTls, End;
    GnutlsDeinit = "gnutls_deinit", GnuTls, End;

    /// The descriptor that it returns is a TLS one from then on.
    NssImportFd = "SSL_ImportFD", Nss, Bind;
    /// `(ss, buffer, length, flags)`, where `ss` begins with the descriptor (`PRFileDesc *`). Not
    /// exported, like the two that follow: found by a table of functions. All plaintext of TLS passes
    /// here, and nothing else.
    NssSecureRecv = "ssl_SecureRecv", Nss, Read;
    NssSecureSend = "ssl_SecureSend", Nss, Write;
    NssSecureClose = "ssl_SecureClose", Nss, End;
    NssForceHandshake = "SSL_ForceHandshake", Nss, Handshake;
    PrRead = "PR_Read", Nspr, Read;
    PrRecv = "PR_Recv", Nspr, Read;
    PrWrite = "PR_Write", Nspr, Write;
    PrSend = "PR_Send", Nspr, Write;
    PrWritev = "PR_Writev", Nspr, Write;
    PrClose = "PR_Close", Nspr, End;
    PrShutdown = "PR_Shutdown", Nspr, End;

    MbedtlsSslRead = "mbedtls_ssl_read", MbedTls, Read;
    MbedtlsSslReadEarlyData = "mbedtls_ssl_read_early_data", MbedTls, Read;
    MbedtlsSslWrite = "mbedtls_ssl_write", MbedTls, Write;
    MbedtlsSslWriteEarlyData = "mbedtls_ssl_write_early_data", MbedTls, Write;
    MbedtlsSslSetBio = "mbedtls_ssl_set_bio", MbedTls, Bind;
    MbedtlsSslHandshake = "mbedtls_ssl_handshake", MbedTls, Handshake;
    MbedtlsSslCloseNotify = "mbedtls_ssl_close_notify", MbedTls, End;
    MbedtlsSslFree = "mbedtls_ssl_free", MbedTls, End;

    WolfSslRead = "wolfSSL_read", WolfSsl, Read;
    WolfSslReadEx = "wolfSSL_read_ex", WolfSsl, Read;
    WolfSslRecv = "wolfSSL_recv", WolfSsl, Read;
    WolfSslReadEarlyData = "wolfSSL_read_early_data", WolfSsl, Read;
    WolfSslPeek = "wolfSSL_peek", WolfSsl, Peek;
    WolfSslWrite = "wolfSSL_write", WolfSsl, Write;
    WolfSslWriteEx = "wolfSSL_write_ex", WolfSsl, Write;
    WolfSslSend = "wolfSSL_send", WolfSsl, Write;
    WolfSslWritev = "wolfSSL_writev", WolfSsl, Write;
    WolfSslWriteEarlyData = "wolfSSL_write_early_data", WolfSsl, Write;
    WolfSslSetFd = "wolfSSL_set_fd", WolfSsl, Bind;
    WolfSslSetReadFd = "wolfSSL_set_read_fd", WolfSsl, Bind;
    WolfSslSetWriteFd = "wolfSSL_set_write_fd", WolfSsl, Bind;
    WolfSslNegotiate = "wolfSSL_negotiate", WolfSsl, Handshake;
    WolfSslAccept = "wolfSSL_accept", WolfSsl, Handshake;
    WolfSslConnect = "wolfSSL_connect", WolfSsl, Handshake;
    WolfSslShutdown = "wolfSSL_shutdown", WolfSsl, End;
    WolfSslFree = "wolfSSL_free", WolfSsl, End;

    S2nRecv = "s2n_recv", S2n, Read;
    S2nSend = "s2n_send", S2n, Write;
    S2nSendv = "s2n_sendv", S2n, Write;
    S2nSendvWithOffset = "s2n_sendv_with_offset", S2n, Write;
    S2nSetFd = "s2n_connection_set_fd", S2n, Bind;
    S2nSetReadFd = "s2n_connection_set_read_fd", S2n, Bind;
    S2nSetWriteFd = "s2n_connection_set_write_fd", S2n, Bind;
    S2nNegotiate = "s2n_negotiate", S2n, Handshake;
    S2nShutdown = "s2n_shutdown", S2n, End;
    S2nConnectionFree = "s2n_connection_free", S2n, End;

    /// The C interface of rustls.
    RustlsConnectionRead = "rustls_connection_read", Rustls, Read;
    RustlsConnectionWrite = "rustls_connection_write", Rustls, Write;
    RustlsConnectionFree = "rustls_connection_free", Rustls, End;
    /// Like the following ones found by its mangled name. Where it was inlined it is not there.
    RustlsReaderRead = "<rustls::Reader as std::io::Read>::read", Rustls, Read;
    /// Returns the slice that the caller reads from next, as tokio-rustls does.
    RustlsReaderIntoFirstChunk = "rustls::Reader::into_first_chunk", Rustls, Read;
    /// Every record that was decrypted passes here, before anybody reads it.
    RustlsTakeReceivedPlaintext = "rustls::CommonState::take_received_plaintext", Rustls, Read;
    RustlsWriterWrite = "<rustls::Writer as std::io::Write>::write", Rustls, Write;
    RustlsWriterWriteVectored = "<rustls::Writer as std::io::Write>::write_vectored", Rustls, Write;
    /// One for client and server each, called by the writer.
    RustlsSinkWrite = "<rustls::ConnectionCommon as PlaintextSink>::write", Rustls, Write;
    RustlsSinkWriteVectored = "<rustls::ConnectionCommon as PlaintextSink>::write_vectored", Rustls, Write;
    /// Keys for application data are there. Once or twice for each connection.
    RustlsStartOutgoingTraffic = "rustls::CommonState::start_outgoing_traffic", Rustls, Handshake;
    /// Every plaintext that is written passes here, called by the sinks.
    RustlsBufferPlaintext = "rustls::CommonState::buffer_plaintext", Rustls, Write;
    /// Every record that is received passes here, also those of the handshake.
    RustlsDecryptIncoming = "rustls::RecordLayer::decrypt_incoming", Rustls, Read;
    /// Every record that is sent encrypted passes here.
    RustlsEncryptOutgoing = "rustls::RecordLayer::encrypt_outgoing", Rustls, Write;
}

/// Where a function is left without a return of its own: by a jump to another function, whose
/// return is then its own. At such a point a return probe of the kernel sees the end as well, which
/// must not be used on Go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tail {
    /// File offset of the jump.
    pub at: u64,
    /// File offset of where it leads, when the instruction says it.
    pub to: Option<u64>,
}

/// A function to probe. All positions are offsets in the file, as probes want them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which function.
    pub function: Function,
    /// Its first instruction.
    pub entry: u64,
    /// Where a probe for its entry goes: its first instruction that a probe of the kernel can be put on. The
    /// arguments are still where they were.
    pub probe: u64,
    /// Bytes that were pushed onto the stack before that.
    pub pushed: u32,
    /// Its length in bytes; 0 when it is not known.
    pub len: u64,
    /// Every return instruction, ascending. Empty when the code could not be followed (then there
    /// is a [`crate::Problem::Code`]): probe the entry and, but for Go, use a return probe.
    pub returns: Vec<u64>,
    /// Every jump out of the function.
    pub tails: Vec<Tail>,
}

impl Point {
    /// Whether probes at `returns` see every normal end of the function.
    #[must_use]
    pub fn returns_are_complete(&self) -> bool {
        !self.returns.is_empty() && self.tails.is_empty()
    }
}

/// TLS code in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsCode {
    /// Whose code it is.
    pub kind: Kind,
    /// Its version as it is written in the file: `3.0.17`, `go1.23.4`.
    pub version: Option<String>,
    /// How the functions were found.
    pub found: Found,
    /// How sure that is, in percent: 100 by name. Below 100 the arguments should be checked at run
    /// time before what is read is believed.
    pub confidence: u8,
    /// The functions, in the order of [`Function`]. One may be there several times, at several places:
    /// compilers copy what is generic. Functions may call one another (`SSL_read` calls `SSL_peek` in
    /// BoringSSL): what passes inside another function of the same role has been seen there.
    pub points: Vec<Point>,
    /// What reading Go's structures needs.
    pub go: Option<crate::go::GoInfo>,
    /// Where a connection's structure has the client's random, by which key logs name connections.
    pub client_random: Option<Member>,
}

/// Where something lies, counted from the start of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// The place of a pointer to another structure, in which it lies.
    pub through: Option<u32>,
    /// Its offset.
    pub offset: u32,
}

impl TlsCode {
    /// The point of a function; the first of several.
    #[must_use]
    pub fn point(&self, function: Function) -> Option<&Point> {
        self.points.iter().find(|p| p.function == function)
    }

    /// Whether both directions of plaintext can be seen.
    #[must_use]
    pub fn is_readable(&self) -> bool {
        let has = |role| self.points.iter().any(|p| p.function.role() == role);
        has(Role::Read) && has(Role::Write)
    }
}

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// arm64.
    Aarch64,
}
