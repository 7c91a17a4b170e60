//! Who is let in, over real sockets on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use tokio::net::TcpListener;

use crate::testing::{Hub, client_config, tables, until};
use crate::{
    Client, ClientSecurity, EncodeLimits, Encoder, Form, IngestServer, Limits, SecurityError, ServeError,
    ServerSecurity, Spool, SpoolConfig, Token, Transport,
};

const TOKEN: &str = "a-token-of-sufficient-length";

struct Files {
    dir: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["ca", "other-ca"] {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            files.write(&format!("{name}.pem"), &params.self_signed(&key).unwrap().pem());
            let issuer = Issuer::new(params, key);
            let leaf = if name == "ca" { ["hub", "agent"] } else { ["other-hub", "other-agent"] };
            for (leaf, usage) in
                leaf.iter().zip([ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth])
            {
                let mut params = CertificateParams::new(vec!["hub.test".to_owned()]).unwrap();
                params.extended_key_usages = vec![usage];
                let key = KeyPair::generate().unwrap();
                files.write(&format!("{leaf}.pem"), &params.signed_by(&key, &issuer).unwrap().pem());
                files.write(&format!("{leaf}.key"), &key.serialize_pem());
            }
        }
        files.write("token", &format!("{TOKEN}\n"));
        files
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn identity(&self, name: &str) -> Option<(PathBuf, PathBuf)> {
        Some((self.path(&format!("{name}.pem")), self.path(&format!("{name}.key"))))
    }
}

async fn serve(security: ServerSecurity) -> (SocketAddr, Hub) {
    let hub = Hub::default();
    hub.lock().eager = true;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = IngestServer::new(hub.clone(), Limits::default());
    tokio::spawn(async move { server.serve(listener, security, std::future::pending()).await.unwrap() });
    (address, hub)
}

/// Sends a call; the error, if it does not arrive.
async fn send(url: String, security: ClientSecurity, hub: &Hub) -> Result<(), String> {
    let before = hub.durable_ids().len();
    let spool = Spool::open(&SpoolConfig::default());
    spool.append(&mut Encoder::new(EncodeLimits::default(), Form::Compressed), &tables(1, 1, 2_000));
    let client = Client::start(client_config(), Transport::Tcp { url, security }, spool);
    until("it worked or did not", || client.stats().last_error.is_some() || hub.durable_ids().len() > before)
        .await;
    match client.stats().last_error {
        None => Ok(()),
        Some(error) => Err(error),
    }
}

#[tokio::test]
async fn tls_is_checked_on_both_sides() {
    let files = Files::new();
    let tls = ServerSecurity { identity: files.identity("hub"), ..ServerSecurity::default() };
    let mtls = ServerSecurity { client_ca: Some(files.path("ca.pem")), ..tls.clone() };
    let client = |ca: &str, identity: Option<&str>, name: &str| ClientSecurity {
        ca: Some(files.path(ca)),
        identity: identity.and_then(|i| files.identity(i)),
        server_name: Some(name.to_owned()),
        ..ClientSecurity::default()
    };
    let cases = [
        (&tls, client("ca.pem", None, "hub.test"), true),
        (&tls, client("other-ca.pem", None, "hub.test"), false),
        (&tls, client("ca.pem", None, "elsewhere.test"), false),
        (&mtls, client("ca.pem", Some("agent"), "hub.test"), true),
        (&mtls, client("ca.pem", None, "hub.test"), false),
        (&mtls, client("ca.pem", Some("other-agent"), "hub.test"), false),
    ];
    for (i, (server, client, good)) in cases.into_iter().enumerate() {
        let (address, hub) = serve(server.clone()).await;
        let outcome = send(format!("https://{address}"), client, &hub).await;
        assert_eq!(outcome.is_ok(), good, "case {i}: {outcome:?}");
        // Plain text to a TLS port gets nowhere either.
        let outcome = send(format!("http://{address}"), ClientSecurity::default(), &hub).await;
        assert!(outcome.is_err(), "case {i}: {outcome:?}");
    }
}

#[tokio::test]
async fn tokens_are_asked_for_and_can_be_replaced() {
    let files = Files::new();
    let token =
        |name: &str| ClientSecurity { token_file: Some(files.path(name)), ..ClientSecurity::default() };
    let (address, hub) =
        serve(ServerSecurity { token_file: Some(files.path("token")), ..ServerSecurity::default() }).await;
    let url = format!("http://{address}");
    files.write("wrong", "another-token-of-that-length");
    files.write("short", "short");
    let error = send(url.clone(), token("wrong"), &hub).await.unwrap_err();
    assert!(error.contains("wrong token"), "{error}");
    let error = send(url.clone(), ClientSecurity::default(), &hub).await.unwrap_err();
    assert!(error.contains("token is needed"), "{error}");
    let error = send(url.clone(), token("short"), &hub).await.unwrap_err();
    assert!(error.contains("holds no token"), "{error}");

    // The agent that was turned away gets in once its file is right, without a restart.
    let spool = Spool::open(&SpoolConfig::default());
    spool.append(&mut Encoder::new(EncodeLimits::default(), Form::Compressed), &tables(7, 1, 10));
    let client =
        Client::start(client_config(), Transport::Tcp { url: url.clone(), security: token("wrong") }, spool);
    until("it was turned away", || client.stats().failures > 0).await;
    files.write("wrong", TOKEN);
    until("it is let in", || hub.durable_ids() == [7]).await;
    drop(client);

    // So does the hub notice a new token.
    files.write("token", "the-token-of-the-next-month");
    let error = send(url, token("wrong"), &Hub::default()).await.unwrap_err();
    assert!(error.contains("wrong token"), "{error}");
}

#[tokio::test]
async fn plain_text_stays_on_this_machine() {
    let url = |url: &str| Transport::Tcp { url: url.to_owned(), security: ClientSecurity::default() };
    assert!(url("http://127.0.0.1:1").check().is_ok());
    assert!(url("http://localhost:1").check().is_ok());
    assert!(url("http://[::1]:1").check().is_ok());
    for bad in
        ["http://10.1.2.3:1", "http://hub.example:1", "http://[2001:db8::1]:1", "http://127.0.0.1.example"]
    {
        assert!(matches!(url(bad).check(), Err(SecurityError::PlainText(_))), "{bad}");
    }
    assert!(matches!(url("ftp://x").check(), Err(SecurityError::Address(..))));
    assert!(matches!(url("nonsense").check(), Err(SecurityError::Address(..))));
    let insecure = ClientSecurity { insecure_allow_plaintext: true, ..ClientSecurity::default() };
    assert!(Transport::Tcp { url: "http://10.1.2.3:1".to_owned(), security: insecure }.check().is_ok());

    let files = Files::new();
    let refuse = async |security: ServerSecurity| {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let server = IngestServer::new(Hub::default(), Limits::default());
        // Ready at once: what is refused is refused before that matters.
        server.serve(listener, security, std::future::ready(())).await
    };
    let plain = ServerSecurity { token_file: Some(files.path("token")), ..ServerSecurity::default() };
    let error = refuse(plain.clone()).await.unwrap_err();
    assert!(matches!(error, ServeError::Security(SecurityError::PlainText(_))), "{error}");
    let open = ServerSecurity { identity: files.identity("hub"), ..ServerSecurity::default() };
    let error = refuse(open).await.unwrap_err();
    assert!(matches!(error, ServeError::Security(SecurityError::Open(_))), "{error}");
    assert!(refuse(ServerSecurity { insecure_allow_plaintext: true, ..plain }).await.is_ok());
}

#[test]
fn tokens_compare_and_do_not_show() {
    let token = Token::new(" a-token-of-sufficient-length\n").unwrap();
    assert!(token.matches(TOKEN.as_bytes()));
    assert!(
        !token.matches(b"a-token-of-sufficient-lengtH") && !token.matches(b"") && !token.matches(b"a-token")
    );
    assert!(!format!("{token:?}").contains("sufficient"));
    for bad in ["", "short", "has a blank in the middle", "h\u{e4}s-an-umlaut-in-the-middle"] {
        assert!(Token::new(bad).is_none(), "{bad}");
    }
}
