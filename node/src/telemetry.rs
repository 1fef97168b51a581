//! Traces for OpenTelemetry: one trace for each trade, over all members, without a word more on the wire.
//!
//! A trace's id is the first half of the request's link and its root span's id the next eight bytes, so whoever has to do
//! with the trade knows both. The bank tells the root span, `trade`, when the trade is final. Nothing in a span tells of
//! customers: links, members and outcomes alone.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, SdkTracerProvider,
};
use stemma_chain_format::hash::Link;

/// How long finished spans wait to be sent together.
const BATCH_PAUSE: Duration = Duration::from_secs(1);
/// How long a collector may take, and how long the last spans are waited for when the node stops.
const SEND_LIMIT: Duration = Duration::from_secs(3);
/// Where spans go below the collector's address (OTLP over HTTP).
const TRACES_PATH: &str = "/v1/traces";

thread_local! {
    /// The ids that the next root span of this thread takes.
    static NEXT_TRACE: Cell<Option<TraceId>> = const { Cell::new(None) };
    static NEXT_SPAN: Cell<Option<SpanId>> = const { Cell::new(None) };
}

/// Gives a root span the id that follows from its trade, every other span a random one.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        NEXT_TRACE.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        NEXT_SPAN.take().unwrap_or_else(|| self.0.new_span_id())
    }
}

/// Tells spans to a collector. Clones share it.
#[derive(Debug, Clone)]
pub struct Traces {
    provider: SdkTracerProvider,
}

/// What a span tells beside its name and times.
pub type Details = Vec<KeyValue>;

impl Traces {
    /// Sends spans of a member's node to a collector from now on. Must not be called on a thread of the runtime.
    ///
    /// # Errors
    /// The address is none.
    pub fn to(collector: &str, member: &str, role: &str) -> Result<Self, ExporterBuildError> {
        let endpoint = format!("{}{TRACES_PATH}", collector.trim_end_matches('/'));
        let exporter = SpanExporter::builder().with_http().with_endpoint(endpoint).with_timeout(SEND_LIMIT).build()?;
        let batches = BatchConfigBuilder::default().with_scheduled_delay(BATCH_PAUSE).build();
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", "stemma-node"),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
                KeyValue::new("service.instance.id", member.to_owned()),
                KeyValue::new("stemma.role", role.to_owned()),
            ])
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build())
            .with_id_generator(Ids::default())
            .with_resource(resource)
            .build();
        Ok(Self { provider })
    }

    /// A part of a trade that is over.
    pub fn span(&self, request: &Link, name: &'static str, from: SystemTime, to: SystemTime, details: Details) {
        let root = SpanContext::new(trace_id(request), root_id(request), TraceFlags::SAMPLED, true, TraceState::NONE);
        let span = SpanBuilder::from_name(name).with_start_time(from).with_attributes(details);
        let tracer = self.provider.tracer("stemma-node");
        tracer.build_with_context(span, &Context::new().with_remote_span_context(root)).end_with_timestamp(to);
    }

    /// The whole trade; `failure` says why it came to nothing.
    pub fn root(&self, request: &Link, from: SystemTime, to: SystemTime, details: Details, failure: Option<String>) {
        NEXT_TRACE.set(Some(trace_id(request)));
        NEXT_SPAN.set(Some(root_id(request)));
        let span = SpanBuilder::from_name("trade").with_start_time(from).with_attributes(details);
        let tracer = self.provider.tracer("stemma-node");
        let mut span = tracer.build_with_context(span.with_kind(SpanKind::Server), &Context::new());
        if let Some(failure) = failure {
            span.set_status(Status::error(failure));
        }
        span.end_with_timestamp(to);
    }

    /// Sends what is left and ends. Must not be called on a thread of the runtime.
    pub fn end(&self) {
        if let Err(e) = self.provider.shutdown_with_timeout(SEND_LIMIT) {
            tracing::warn!(error = %e, "the last spans were not sent");
        }
    }
}

/// A time of the store's.
pub fn at(ms: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(ms)).unwrap_or(UNIX_EPOCH)
}

/// The trace of a trade.
fn trace_id(request: &Link) -> TraceId {
    TraceId::from_bytes(part(&request.0, 0))
}

/// The root span of a trade's trace.
fn root_id(request: &Link) -> SpanId {
    SpanId::from_bytes(part(&request.0, 16))
}

fn part<const N: usize>(bytes: &[u8; 32], from: usize) -> [u8; N] {
    let mut taken = [0_u8; N];
    taken.iter_mut().zip(bytes.iter().skip(from)).for_each(|(to, from)| *to = *from);
    taken
}
