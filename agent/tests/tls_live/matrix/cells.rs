//! The cells.

use super::cell::{Cell, Client, Form, Protocol, Role, Server};

/// Names of the processes that are watched. The others go by the name of [`PEER`].
pub(super) const WATCHED: &[&str] = &[
    "curl",
    "wget",
    "node",
    "python",
    "python3",
    "nginx",
    "lighttpd",
    "gnutls-serv",
    "gnutls-cli",
    "selfserv",
    "tstclnt",
    "remora-go-sym",
    "remora-go-strip",
    "remora-go-pie",
    "envoy",
    "postgres",
    "psql",
    "mariadbd",
    "mariadb",
    "redis-server",
    "redis-cli",
];

/// The name of a process whose plaintext nobody asks for.
pub(super) const PEER: &str = "remora-peer";

const BOTH_HTTP: [Protocol; 2] = [Protocol::Http1, Protocol::Http2];
const HTTP1: [Protocol; 1] = [Protocol::Http1];

struct List(Vec<Cell>);

impl List {
    fn add(&mut self, stack: &'static str, server: Server, client: Client, role: Role, protocol: Protocol) {
        self.0.push(Cell { stack, role, protocol, server, client, needs: &[], modules: &[] });
    }

    /// A server that is watched, asked by curl.
    fn server(&mut self, stack: &'static str, server: Server, protocols: &[Protocol]) {
        for protocol in protocols {
            self.add(stack, server, Client::Curl, Role::Server, *protocol);
        }
    }

    /// A client that is watched, and asks node.
    fn client(&mut self, stack: &'static str, client: Client, protocols: &[Protocol]) {
        for protocol in protocols {
            self.add(stack, Server::Node, client, Role::Client, *protocol);
        }
    }

    /// What the cells since the `from`th need.
    fn need(&mut self, from: usize, needs: &'static [&'static str], modules: &'static [&'static str]) {
        for cell in &mut self.0[from..] {
            (cell.needs, cell.modules) = (needs, modules);
        }
    }
}

/// All of them, in the order of the table.
pub(super) fn all() -> Vec<Cell> {
    let mut list = List(Vec::new());
    web(&mut list);
    languages(&mut list);
    wheels(&mut list);
    databases(&mut list);
    list.0
}

/// Servers and clients that distributions package.
fn web(list: &mut List) {
    let n = list.0.len();
    list.server("OpenSSL (nginx)", Server::Nginx, &BOTH_HTTP);
    list.need(n, &["nginx"], &[]);
    list.client("OpenSSL (curl)", Client::Curl, &BOTH_HTTP);
    let n = list.0.len();
    for protocol in BOTH_HTTP {
        list.add("OpenSSL (nginx, curl)", Server::Nginx, Client::Curl, Role::Both, protocol);
    }
    list.need(n, &["nginx"], &[]);
    let n = list.0.len();
    list.server("OpenSSL (lighttpd)", Server::Lighttpd("openssl"), &BOTH_HTTP);
    list.server("GnuTLS (lighttpd)", Server::Lighttpd("gnutls"), &BOTH_HTTP);
    list.server("mbedTLS (lighttpd)", Server::Lighttpd("mbedtls"), &BOTH_HTTP);
    list.server("NSS (lighttpd)", Server::Lighttpd("nss"), &BOTH_HTTP);
    list.server("wolfSSL (lighttpd)", Server::Lighttpd("wolfssl"), &BOTH_HTTP);
    list.need(n, &["lighttpd"], &[]);
    let n = list.0.len();
    list.client("GnuTLS (wget)", Client::Wget, &HTTP1);
    list.need(n, &["wget"], &[]);
    let n = list.0.len();
    list.server("GnuTLS (gnutls-serv)", Server::GnutlsServ, &HTTP1);
    list.client("GnuTLS (gnutls-cli)", Client::GnutlsCli, &HTTP1);
    list.need(n, &["gnutls-serv", "gnutls-cli"], &[]);
    let n = list.0.len();
    list.server("NSS (selfserv)", Server::Selfserv, &HTTP1);
    list.client("NSS (tstclnt)", Client::Tstclnt, &HTTP1);
    list.need(n, &["selfserv", "tstclnt", "certutil", "pk12util"], &[]);
}

/// Languages with TLS of their own, or with their own way to OpenSSL.
fn languages(list: &mut List) {
    list.server("OpenSSL through memory (node)", Server::Node, &BOTH_HTTP);
    list.client("OpenSSL through memory (node)", Client::Node, &BOTH_HTTP);
    for protocol in BOTH_HTTP {
        list.add("OpenSSL through memory (node, node)", Server::Node, Client::Node, Role::Both, protocol);
    }
    list.server("OpenSSL (Python)", Server::Python, &HTTP1);
    list.client("OpenSSL (Python)", Client::Python("ssl"), &HTTP1);
    list.add("OpenSSL (Python, Python)", Server::Python, Client::Python("ssl"), Role::Both, Protocol::Http1);
    list.client("OpenSSL, peeked at and read in pieces", Client::Python("libssl"), &HTTP1);
    let n = list.0.len();
    for (form, stack) in [
        (Form::Symbols, "Go with symbols"),
        (Form::Stripped, "Go, stripped"),
        (Form::Movable, "Go, stripped and movable"),
    ] {
        list.server(stack, Server::Go(form), &BOTH_HTTP);
        list.client(stack, Client::Go(form), &BOTH_HTTP);
    }
    for protocol in BOTH_HTTP {
        list.add(
            "Go (stripped, movable)",
            Server::Go(Form::Stripped),
            Client::Go(Form::Movable),
            Role::Both,
            protocol,
        );
    }
    list.need(n, &["go"], &[]);
}

/// Libraries that packages of Python bring along.
fn wheels(list: &mut List) {
    let n = list.0.len();
    list.client("OpenSSL inside another library (pyOpenSSL)", Client::Python("pyopenssl"), &HTTP1);
    list.need(n, &[], &["OpenSSL"]);
    let n = list.0.len();
    list.client("BoringSSL with symbols (curl_cffi)", Client::Python("curl_cffi"), &BOTH_HTTP);
    list.need(n, &[], &["curl_cffi"]);
    let n = list.0.len();
    list.client("s2n-tls (awscrt)", Client::Python("awscrt"), &BOTH_HTTP);
    list.need(n, &[], &["awscrt"]);
    let n = list.0.len();
    list.server("BoringSSL, stripped (Envoy)", Server::Envoy, &BOTH_HTTP);
    list.need(n, &[], &["envoy"]);
    let n = list.0.len();
    list.add("BoringSSL, stripped (grpcio, grpcio)", Server::Grpc, Client::Grpc, Role::Both, Protocol::Grpc);
    list.need(n, &[], &["grpc"]);
}

fn databases(list: &mut List) {
    let n = list.0.len();
    for (stack, role) in [
        ("OpenSSL (PostgreSQL)", Role::Server),
        ("OpenSSL (psql)", Role::Client),
        ("OpenSSL (PostgreSQL, psql)", Role::Both),
    ] {
        list.add(stack, Server::Postgresql, Client::Psql, role, Protocol::Postgresql);
    }
    list.need(n, &["psql", "runuser"], &[]);
    for (stack, module, needed) in [
        ("OpenSSL 1.1.1 under another name (psycopg2)", "psycopg2", &["psycopg2"]),
        ("OpenSSL 3 under another name (psycopg)", "psycopg", &["psycopg"]),
    ] {
        let n = list.0.len();
        list.add(stack, Server::Postgresql, Client::Psycopg(module), Role::Client, Protocol::Postgresql);
        list.need(n, &["psql", "runuser"], needed);
    }
    let n = list.0.len();
    for (stack, role) in [
        ("MariaDB's server", Role::Server),
        ("MariaDB's client", Role::Client),
        ("MariaDB's server and client", Role::Both),
    ] {
        list.add(stack, Server::Mariadb, Client::Mariadb, role, Protocol::Mysql);
    }
    list.need(n, &["mariadbd", "mariadb", "mariadb-install-db"], &[]);
    let n = list.0.len();
    for (stack, role) in [
        ("OpenSSL (redis-server)", Role::Server),
        ("OpenSSL (redis-cli)", Role::Client),
        ("OpenSSL (redis-server, redis-cli)", Role::Both),
    ] {
        list.add(stack, Server::Redis, Client::Redis, role, Protocol::Redis);
    }
    list.need(n, &["redis-server", "redis-cli"], &[]);
}
