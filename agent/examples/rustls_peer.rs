//! An HTTP/1.1 server and client over rustls, for tests that read their plaintext from outside
//! (`agent/tests/tls_live/rust.rs`): with threads and `rustls::StreamOwned`, or with tokio-rustls.
//!
//! ```sh
//! rustls_peer threads|tokio serve PORT          # key.pem and cert.pem, and files, in the current directory
//! rustls_peer threads|tokio ask PORT PATH ...   # on one connection; prints its own port
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a test program"
)]

use std::io::{IoSlice, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, ServerConfig, ServerConnection, SignatureScheme,
    StreamOwned,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let port: u16 = args[2].parse().unwrap();
    match (args[0].as_str(), args[1].as_str()) {
        ("threads", "serve") => serve(port),
        ("threads", "ask") => ask(port, &args[3..]),
        ("tokio", what) => {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(3).enable_all().build().unwrap();
            runtime.block_on(async {
                match what {
                    "serve" => serve_tokio(port).await,
                    _ => ask_tokio(port, &args[3..]).await,
                }
            });
        }
        other => panic!("{other:?}"),
    }
}

fn server_config() -> Arc<ServerConfig> {
    let certs = CertificateDer::pem_file_iter("cert.pem").unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file("key.pem").unwrap();
    Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(certs, key).unwrap())
}

/// Any certificate will do.
#[derive(Debug)]
struct Any;

impl ServerCertVerifier for Any {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

fn client_config() -> Arc<ClientConfig> {
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(Any));
    Arc::new(config.with_no_client_auth())
}

fn name() -> ServerName<'static> {
    ServerName::try_from("localhost").unwrap()
}

/// Head and body of the answer to a request.
fn answer(head: &str) -> (String, Vec<u8>) {
    let path = head.split(' ').nth(1).unwrap();
    let file = path.trim_start_matches('/').split('?').next().unwrap();
    let body = std::fs::read(file).unwrap();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", body.len());
    (head, body)
}

fn request(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

/// The length of a head, once it is all there.
fn head_len(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &str) -> usize {
    head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap()
}

/// The head of a message and what came behind it; nothing at the end of the connection.
fn read_head(stream: &mut impl Read, before: Vec<u8>) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buf) = (before, vec![0; 10_000]);
    loop {
        if let Some(len) = head_len(&bytes) {
            let rest = bytes.split_off(len);
            return Some((String::from_utf8(bytes).unwrap(), rest));
        }
        match stream.read(&mut buf) {
            Ok(n) if n > 0 => bytes.extend(&buf[..n]),
            _ => return None,
        }
    }
}

fn serve(port: u16) {
    let config = server_config();
    for tcp in TcpListener::bind(("127.0.0.1", port)).unwrap().incoming() {
        let config = Arc::clone(&config);
        std::thread::spawn(move || {
            let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp.unwrap());
            let Some(first) = read_head(&mut stream, Vec::new()) else { return };
            // Programs move their connections in memory, between a request and its answer for one.
            let mut stream = Box::new(stream);
            let mut rest = [first.0.into_bytes(), first.1].concat();
            while let Some((head, more)) = read_head(&mut stream, rest) {
                rest = more;
                let (head, body) = answer(&head);
                let mut slices = [IoSlice::new(head.as_bytes()), IoSlice::new(&body)];
                let mut left = &mut slices[..];
                while !left.is_empty() {
                    let n = stream.write_vectored(left).unwrap();
                    IoSlice::advance_slices(&mut left, n);
                }
                stream.flush().unwrap();
            }
        });
    }
}

fn ask(port: u16, paths: &[String]) {
    let tcp = TcpStream::connect(("127.0.0.1", port)).unwrap();
    println!("{}", tcp.local_addr().unwrap().port());
    let mut stream = StreamOwned::new(ClientConnection::new(client_config(), name()).unwrap(), tcp);
    let mut buf = vec![0; 50_000];
    for path in paths {
        stream.write_all(request(path).as_bytes()).unwrap();
        let (head, rest) = read_head(&mut stream, Vec::new()).unwrap();
        let mut left = content_length(&head) - rest.len();
        while left > 0 {
            let n = stream.read(&mut buf).unwrap();
            assert!(n > 0);
            left -= n;
        }
    }
}

async fn read_head_tokio(
    stream: &mut (impl AsyncRead + Unpin),
    before: Vec<u8>,
) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buf) = (before, vec![0; 10_000]);
    loop {
        if let Some(len) = head_len(&bytes) {
            let rest = bytes.split_off(len);
            return Some((String::from_utf8(bytes).unwrap(), rest));
        }
        match stream.read(&mut buf).await {
            Ok(n) if n > 0 => bytes.extend(&buf[..n]),
            _ => return None,
        }
    }
}

async fn write_two(stream: &mut (impl AsyncWrite + Unpin), head: &[u8], body: &[u8]) {
    let mut slices = [IoSlice::new(head), IoSlice::new(body)];
    let mut left = &mut slices[..];
    while !left.is_empty() {
        let n = stream.write_vectored(left).await.unwrap();
        IoSlice::advance_slices(&mut left, n);
    }
    stream.flush().await.unwrap();
}

async fn serve_tokio(port: u16) {
    let acceptor = tokio_rustls::TlsAcceptor::from(server_config());
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(tcp).await else { return };
            let Some(first) = read_head_tokio(&mut stream, Vec::new()).await else { return };
            let mut stream = Box::new(stream);
            let mut rest = [first.0.into_bytes(), first.1].concat();
            while let Some((head, more)) = read_head_tokio(&mut stream, rest).await {
                rest = more;
                let (head, body) = answer(&head);
                write_two(&mut stream, head.as_bytes(), &body).await;
            }
        });
    }
}

async fn ask_tokio(port: u16, paths: &[String]) {
    let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    println!("{}", tcp.local_addr().unwrap().port());
    let connector = tokio_rustls::TlsConnector::from(client_config());
    let mut stream = connector.connect(name(), tcp).await.unwrap();
    let mut buf = vec![0; 50_000];
    for path in paths {
        stream.write_all(request(path).as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        let (head, rest) = read_head_tokio(&mut stream, Vec::new()).await.unwrap();
        let mut left = content_length(&head) - rest.len();
        while left > 0 {
            let n = stream.read(&mut buf).await.unwrap();
            assert!(n > 0);
            left -= n;
        }
    }
}
