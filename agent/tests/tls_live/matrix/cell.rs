//! What a cell of the matrix is.

use std::fmt;

/// Whose plaintext is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Client,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
    Grpc,
    Postgresql,
    Mysql,
    Redis,
}

/// Who serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// lighttpd with one of its modules.
    Lighttpd(&'static str),
    Nginx,
    Node,
    Python,
    /// A program in Go, of one form.
    Go(Form),
    Envoy,
    GnutlsServ,
    Selfserv,
    Grpc,
    Postgresql,
    Mariadb,
    Redis,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Curl,
    Wget,
    Node,
    /// Python with one of its libraries.
    Python(&'static str),
    /// A program in Go, of one form.
    Go(Form),
    GnutlsCli,
    Tstclnt,
    Grpc,
    Psql,
    /// Python with a library for PostgreSQL.
    Psycopg(&'static str),
    Mariadb,
    Redis,
}

/// How a program in Go is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Symbols,
    Stripped,
    Movable,
}

impl Form {
    pub(super) fn program(self) -> &'static str {
        match self {
            Self::Symbols => "remora-go-sym",
            Self::Stripped => "remora-go-strip",
            Self::Movable => "remora-go-pie",
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    /// The library, and the program in brackets.
    pub(super) stack: &'static str,
    pub(super) role: Role,
    pub(super) protocol: Protocol,
    pub(super) server: Server,
    pub(super) client: Client,
    /// Programs that must be installed.
    pub(super) needs: &'static [&'static str],
    /// Modules of Python that must be.
    pub(super) modules: &'static [&'static str],
}

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Pass,
    /// Why not.
    Not(String),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http1 => "HTTP/1",
            Self::Http2 => "HTTP/2",
            Self::Grpc => "gRPC",
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Redis => "Redis",
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            // It is a cell of a table.
            Self::Not(why) => f.write_str(&why.replace(['|', '\n'], " ")),
        }
    }
}

impl Cell {
    pub(super) fn name(&self) -> String {
        format!("{}, {}, {}", self.stack, self.role, self.protocol)
    }
}

impl Server {
    /// A part of the path of the file whose TLS it uses; any where it is empty.
    pub(super) fn library(self) -> &'static str {
        match self {
            Self::Lighttpd("openssl") | Self::Nginx | Self::Python | Self::Postgresql => "libssl.so",
            Self::Lighttpd("gnutls") | Self::GnutlsServ => "libgnutls",
            Self::Lighttpd("mbedtls") => "libmbedtls",
            Self::Lighttpd("wolfssl") => "libwolfssl",
            Self::Lighttpd(_) | Self::Selfserv => "libssl3.so",
            Self::Go(form) => form.program(),
            Self::Envoy => "envoy",
            Self::Grpc => "cygrpc",
            Self::Node | Self::Mariadb | Self::Redis => "",
        }
    }

    /// It takes POST with a body.
    pub(super) fn takes_bodies(self) -> bool {
        matches!(self, Self::Node | Self::Python | Self::Go(_))
    }

    /// It serves files, over connections that stay.
    pub(super) fn serves_files(self) -> bool {
        !matches!(self, Self::GnutlsServ | Self::Selfserv)
    }
}

impl Client {
    /// As of a [server](Server::library), for clients that wait to be looked at; the others are over too
    /// soon.
    pub(super) fn library(self) -> Option<&'static str> {
        match self {
            Self::Python("ssl" | "libssl") => Some("libssl.so"),
            Self::Python("curl_cffi") => Some("curl_cffi"),
            Self::Python("pyopenssl") => Some("_rust.abi3"),
            Self::Python("awscrt") => Some("_awscrt"),
            Self::Psycopg("psycopg2") => Some("psycopg2"),
            Self::Psycopg(_) => Some("psycopg_binary"),
            Self::Go(form) => Some(form.program()),
            Self::Grpc => Some("cygrpc"),
            Self::Node | Self::Python(_) => Some(""),
            _ => None,
        }
    }
}
