//! Tests of traces: one trace contains a request, the steps that the request starts in another process, and their AWS
//! calls.

#![allow(clippy::unwrap_used, reason = "this is a test")]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use freehold_sandbox::Settings;
use freehold_tests::crash::{ApiClient, Infrastructure, Processes};
use nix::sys::signal::Signal;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Trace id that the caller sends in the header `traceparent`.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

const TIMEOUT: Duration = Duration::from_mins(1);

/// Span that a service has sent to the collector.
struct ReceivedSpan {
    service: String,
    span: Span,
}

impl ReceivedSpan {
    fn attributes(&self) -> BTreeMap<&str, String> {
        let text = |value: &Value| match value {
            Value::StringValue(text) => text.clone(),
            other => format!("{other:?}"),
        };
        let attributes = self.span.attributes.iter();
        attributes.filter_map(|one| Some((one.key.as_str(), text(one.value.as_ref()?.value.as_ref()?)))).collect()
    }
}

/// OTLP collector that stores the received spans.
struct Collector {
    url: String,
    sent: Arc<Mutex<Vec<ReceivedSpan>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent: Arc<Mutex<Vec<ReceivedSpan>>> = Arc::default();
        let stored = Arc::clone(&sent);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(receive(stream, Arc::clone(&stored)));
            }
        });
        Self { url, sent }
    }
}

/// Reads all requests of a connection and stores their spans.
async fn receive(stream: TcpStream, sent: Arc<Mutex<Vec<ReceivedSpan>>>) {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut line, mut length, mut first) = (String::new(), 0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
            if first.is_empty() {
                first.clone_from(&line);
            }
            if line == "\r\n" {
                break;
            }
        }
        assert!(first.starts_with("POST /v1/traces "), "{first}");
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.unwrap();
        let delivery = ExportTraceServiceRequest::decode(&*body).unwrap();
        for resource in delivery.resource_spans {
            let service =
                resource.resource.unwrap().attributes.into_iter().find(|one| one.key == "service.name").unwrap();
            let service = match service.value.unwrap().value.unwrap() {
                Value::StringValue(name) => name,
                other => panic!("{other:?}"),
            };
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            sent.lock().unwrap().extend(spans.map(|span| ReceivedSpan { service: service.clone(), span }));
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
            .await
            .unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + format!("{byte:02x}").as_str())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_contains_a_request_its_steps_and_their_aws_calls() {
    let collector = Collector::start().await;
    let infrastructure = Infrastructure::start(Settings::instant(), 20.0).await;
    let mut config = std::fs::OpenOptions::new().append(true).open(infrastructure.config_file()).unwrap();
    writeln!(config, "\n[telemetry]\notlp_endpoint = \"{}\"", collector.url).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_freehold-under-test"));
    let mut processes = Processes::new(program, &infrastructure, 1, None);
    processes.start(0);
    processes.start(1);
    let client = ApiClient::new(&processes.api_url, &infrastructure.issuer);
    let start = Instant::now();
    while !client.is_ready().await {
        assert!(start.elapsed() < TIMEOUT, "the API did not start in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let signup = client.signup_request(1).header("traceparent", format!("00-{TRACE}-{CALLER}-01"));
    assert_eq!(signup.send().await.unwrap().status(), 202);
    let done = "select count(*) from operations where state = 'succeeded'";
    while sqlx::query_scalar::<_, i64>(done).fetch_one(&infrastructure.pool).await.unwrap() == 0 {
        assert!(start.elapsed() < TIMEOUT, "the onboarding did not finish in time");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for index in [0, 1] {
        processes.signal(index, Signal::SIGTERM);
        while processes.take_exit_status(index).is_none() {
            assert!(start.elapsed() < TIMEOUT, "a process did not stop in time");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    drop(processes);
    infrastructure.stop().await;

    let sent = collector.sent.lock().unwrap();
    let find_span = |name: &str| {
        let named = |one: &&ReceivedSpan| one.span.name == name && hex(&one.span.trace_id) == TRACE;
        sent.iter().find(named).unwrap_or_else(|| {
            let names: Vec<_> =
                sent.iter().map(|one| format!("{} {}", hex(&one.span.trace_id), one.span.name)).collect();
            panic!("no span {name} in the trace, but {names:#?}")
        })
    };
    let request = find_span("POST /v1/tenants");
    assert_eq!((request.service.as_str(), hex(&request.span.parent_span_id).as_str()), ("freehold-api", CALLER));
    assert_eq!(request.attributes()["route"], "/v1/tenants");
    let step = find_span("request-account");
    assert_eq!((step.service.as_str(), &step.span.parent_span_id), ("freehold-worker", &request.span.span_id));
    assert!(
        step.attributes()["operation"].starts_with("op_")
            && step.attributes()["tenant"] == request.attributes()["tenant"]
    );
    let call = find_span("organizations.CreateAccount");
    assert_eq!(call.span.parent_span_id, step.span.span_id);
    let attributes = call.attributes();
    assert_eq!((attributes["rpc.system"].as_str(), attributes["rpc.method"].as_str()), ("aws-api", "CreateAccount"));
    assert!(!attributes["aws.request_id"].is_empty());
    for one in sent.iter() {
        for (key, value) in one.attributes() {
            let secrets = ["Bearer", "eyJ", "admin@example.com", "secret", "Token", "postgres://"];
            assert!(!secrets.iter().any(|word| value.contains(word)), "{}: {key} is {value}", one.span.name);
        }
    }
}
