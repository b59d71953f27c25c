//! Tests that a webhook is sent only to a receiver with a trusted certificate for its name, and never through a proxy.
//! Environment variables configure certificates and proxies, so the test runs in a separate process.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use freehold_tenancy::config::Webhooks;
use freehold_tenancy::db::installation::InstallationKind;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use super::*;

/// Environment variable with the path of the trusted certificates.
const TRUST_FILE_VARIABLE: &str = "SSL_CERT_FILE";

/// Environment variable with the path of the file of trusted certificates. It is set only for the test process that
/// writes the file.
const WRITE_FILE_VARIABLE: &str = "FREEHOLD_TEST_CERTIFICATES";

const RESPONSE_TIMEOUT: Duration = Duration::from_secs(20);

const HOST: &str = "receiver.example.com";

#[test]
fn a_webhook_needs_a_valid_certificate_and_uses_no_proxy() {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "--ignored", "--nocapture", "webhooks::sender::tests::in_a_separate_process"]);
    let trusted = directory.path().join("trusted.pem");
    process.env(TRUST_FILE_VARIABLE, &trusted).env(WRITE_FILE_VARIABLE, &trusted);
    for proxies in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        process.env(proxies, &url);
    }
    let output = process.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    assert!(proxy.accept().is_err(), "a proxy was used");
}

#[tokio::test]
#[ignore = "the test above runs it in a separate process"]
async fn in_a_separate_process() {
    let (trusted, unknown) = (Authority::new(), Authority::new());
    let file = std::env::var_os(WRITE_FILE_VARIABLE).expect("the path that the test above sets");
    std::fs::write(file, &trusted.pem).unwrap();
    let sender = Sender::new(DestinationPolicy::new(&Webhooks::default(), InstallationKind::Real));

    let exact_name = Receiver::start(trusted.certificate(HOST, 4096)).await;
    assert_eq!(exact_name.receive_from(&sender).await, (Some(204), 1));
    let wildcard = Receiver::start(trusted.certificate("*.example.com", 4096)).await;
    assert_eq!(wildcard.receive_from(&sender).await, (Some(204), 1));
    for (name, certificate) in [
        ("for another name", trusted.certificate("other.example.com", 4096)),
        ("expired", trusted.certificate(HOST, 2020)),
        ("from an unknown authority", unknown.certificate(HOST, 4096)),
    ] {
        let receiver = Receiver::start(certificate).await;
        assert_eq!(receiver.receive_from(&sender).await, (None, 0), "a certificate that is {name}");
    }
}

/// Certificate authority for the certificates of receivers.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Creates a server configuration with a certificate for `name`, valid until the end of the given year.
    fn certificate(&self, name: &str, until: i32) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(until, 12, 31);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key.into()).unwrap()
    }
}

/// TLS server that accepts and counts requests.
struct Receiver {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Receiver {
    async fn start(certificate: ServerConfig) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, requests) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
        let (acceptor, count) = (TlsAcceptor::from(Arc::new(certificate)), Arc::clone(&requests));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut request = [0; 4096];
                if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                    count.fetch_add(1, Ordering::Relaxed);
                    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await.unwrap();
                }
            }
        });
        Self { address, requests }
    }

    /// Posts a message with `sender` to this receiver. Returns the status of the response and the number of requests so
    /// far.
    async fn receive_from(&self, sender: &Sender) -> (Option<u16>, u64) {
        let url = format!("https://{HOST}:{}/hook", self.address.port()).parse().unwrap();
        let message =
            Message { id: "evt_1".to_owned(), timestamp: 0, signature: "v1,none".to_owned(), body: "{}".to_owned() };
        let addresses = vec![SocketAddr::new(self.address.ip(), 0)];
        // A request to any other address gets no response.
        let result = tokio::time::timeout(RESPONSE_TIMEOUT, sender.send(&url, addresses, message)).await;
        let result = result.expect("a response or an error");
        (result.ok().map(|(status, _)| status.as_u16()), self.requests.load(Ordering::Relaxed))
    }
}
