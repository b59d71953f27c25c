//! Whom a webhook is told to: who shows a certificate for the name, from an authority that this machine trusts, and nobody in
//! between. What a machine trusts and which proxy it has is in the environment of its processes, so the test has one of its own.

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

/// Where the certificates are that the machine trusts.
const TRUSTED: &str = "SSL_CERT_FILE";

/// The same to a process that may write them; to no other.
const TO_BE_WRITTEN: &str = "FREEHOLD_TEST_CERTIFICATES";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whom webhooks are sent to.
const HOST: &str = "receiver.example.com";

#[test]
fn only_who_has_a_certificate_for_the_name_is_told_and_no_proxy_is_asked() {
    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "--ignored", "--nocapture", "webhooks::sender::tests::in_a_process_of_its_own"]);
    let trusted = directory.path().join("trusted.pem");
    process.env(TRUSTED, &trusted).env(TO_BE_WRITTEN, &trusted);
    for proxies in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        process.env(proxies, &url);
    }
    let ended = process.env_remove("NO_PROXY").env_remove("no_proxy").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}");
    assert!(proxy.accept().is_err(), "a proxy was asked");
}

#[tokio::test]
#[ignore = "the test above runs it, in a process of its own"]
async fn in_a_process_of_its_own() {
    let (trusted, unknown) = (Authority::new(), Authority::new());
    let file = std::env::var_os(TO_BE_WRITTEN).expect("to be run by the test above");
    std::fs::write(file, &trusted.pem).unwrap();
    let sender = Sender::new(DestinationPolicy::new(&Webhooks::default(), InstallationKind::Real));

    let its_own = Receiver::start(trusted.certificate(HOST, 4096)).await;
    assert_eq!(its_own.told_by(&sender).await, (Some(204), 1));
    let any_of_the_domain = Receiver::start(trusted.certificate("*.example.com", 4096)).await;
    assert_eq!(any_of_the_domain.told_by(&sender).await, (Some(204), 1));
    for (name, certificate) in [
        ("another's", trusted.certificate("other.example.com", 4096)),
        ("expired", trusted.certificate(HOST, 2020)),
        ("from nobody who is trusted", unknown.certificate(HOST, 4096)),
    ] {
        let receiver = Receiver::start(certificate).await;
        assert_eq!(receiver.told_by(&sender).await, (None, 0), "a certificate that is {name}");
    }
}

/// Who signs certificates.
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

    /// A server's, for `name`, until the end of a year.
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

/// Who takes whatever gets through to it.
struct Receiver {
    address: SocketAddr,
    told: Arc<AtomicU64>,
}

impl Receiver {
    async fn start(certificate: ServerConfig) -> Self {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, told) = (listener.local_addr().unwrap(), Arc::<AtomicU64>::default());
        let (acceptor, count) = (TlsAcceptor::from(Arc::new(certificate)), Arc::clone(&told));
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
        Self { address, told }
    }

    /// What it answers, and how often it has been told anything.
    async fn told_by(&self, sender: &Sender) -> (Option<u16>, u64) {
        let url = format!("https://{HOST}:{}/hook", self.address.port()).parse().unwrap();
        let message =
            Message { id: "evt_1".to_owned(), timestamp: 0, signature: "v1,none".to_owned(), body: "{}".to_owned() };
        let addresses = vec![SocketAddr::new(self.address.ip(), 0)];
        // Whoever else is asked does not answer.
        let answered = tokio::time::timeout(PATIENCE, sender.send(&url, addresses, message)).await;
        let answered = answered.expect("an answer, or none to be had");
        (answered.ok().map(|(status, _)| status.as_u16()), self.told.load(Ordering::Relaxed))
    }
}
