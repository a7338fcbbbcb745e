//! What a scrape reads: the counts of the workers are added up, and nothing on the way of a tick is locked.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder, NoLabelSet},
    metrics::MetricType,
};

use crate::{
    contract::RpcCode,
    feed::Intake,
    grpc::{HistoryPool, Rpc, ServerContext},
    hub::{Counters, Quota, Sent},
    metrics::HistogramCounts,
    server::{admission::Admission, flush_metrics::FlushMetrics, log::ConnectionEnd},
    tape::{Tape, all_but_tests},
    web::{Protocol, WebRequests},
};

/// Reads the state of a server at each scrape.
pub(in crate::server) struct Collector {
    pub(in crate::server) context: ServerContext,
    pub(in crate::server) admission: Admission,
    pub(in crate::server) subscriptions: Arc<Quota>,
    pub(in crate::server) history: HistoryPool,
    pub(in crate::server) tape: Arc<dyn Tape>,
    pub(in crate::server) web_requests: WebRequests,
    /// By worker.
    pub(in crate::server) sent: Vec<Arc<Counters>>,
    /// If the tape is that of a feed.
    pub(in crate::server) intake: Option<Intake>,
    /// By worker.
    pub(in crate::server) flushes: Vec<Arc<FlushMetrics>>,
}

/// The labels of a metric that has one value.
const UNLABELLED: [(&str, &str); 0] = [];

/// Nanoseconds in the unit of a metric, which is seconds.
const NANOSECONDS: f64 = 1e9;

impl collector::Collector for Collector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut encoder;
        self.encode_identity(out)?;
        self.encode_connections(out)?;
        self.encode_ticks(out)?;
        self.encode_rpcs(out)?;
        self.encode_feed(out)?;
        let of_protocol =
            |protocol: Protocol| ([("protocol", protocol.name())], self.web_requests.count(protocol));
        let help = "Requests that were not gRPC, by what they asked for.";
        counters(out, "ticker_web_requests", help, Protocol::ALL.map(of_protocol))?;
        self.encode_limits(out)
    }
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").finish_non_exhaustive()
    }
}

impl Collector {
    fn encode_identity(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        gauges(out, "ticker_build_info", "The version of the server.", [(version, 1)])?;
        let identity = self.tape.identity();
        let tape = [
            ("tape_id", identity.tape_id.as_str()),
            ("engine_version", identity.engine_version),
            ("kind", identity.kind.as_str()),
        ];
        gauges(
            out,
            "ticker_tape_info",
            "The tape that is served. All replicas must have the same tape_id.",
            [(tape, 1)],
        )?;
        gauge(
            out,
            "ticker_instruments",
            "Listed instruments, without the symbols for tests.",
            all_but_tests(&self.tape.instruments()).count() as u64,
        )?;
        gauge(out, "ticker_workers", "Threads that serve connections.", self.flushes.len() as u64)?;
        gauge(
            out,
            "ticker_draining",
            "1 while the server is stopping, else 0.",
            self.context.is_draining().into(),
        )
    }

    fn encode_connections(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let counts = self.admission.counts();
        gauge(out, "ticker_connections", "Open connections.", counts.open)?;
        gauge(out, "ticker_max_connections", "The limit of open connections.", counts.max)?;
        counter(out, "ticker_connections_accepted", "Connections that were accepted.", counts.accepted)?;
        let closed = ConnectionEnd::NAMES
            .into_iter()
            .map(|reason| ([("reason", reason)], counts.closed.get(reason).copied().unwrap_or_default()));
        counters(out, "ticker_connections_closed", "Connections that have ended, by reason.", closed)?;
        gauge(out, "ticker_subscriptions", "Subscriptions.", self.subscriptions.used() as u64)?;
        gauge(
            out,
            "ticker_max_subscriptions",
            "The limit of subscriptions.",
            self.subscriptions.limit() as u64,
        )
    }

    fn encode_ticks(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let sent = self.sent.iter().map(|counters| counters.sent()).fold(Sent::default(), Sent::and);
        counter(out, "ticker_ticks_sent", "Ticks that were sent.", sent.ticks)?;
        counter(
            out,
            "ticker_ticks_conflated",
            "Ticks that were left out because a newer one was sent in their place.",
            sent.conflated,
        )?;
        counter(out, "ticker_gaps", "Gaps that were reported to readers of every tick.", sent.gaps)?;
        counter(
            out,
            "ticker_catch_up_ticks",
            "Ticks that were read from the tape for readers that resume, lag or replay.",
            self.sent.iter().map(|counters| counters.from_tape()).sum(),
        )?;
        let lateness = sum(self.flushes.iter().map(|flushes| flushes.lateness()));
        let help = "How long after it was due a flush began.";
        histograms(
            out,
            "ticker_flush_lateness_seconds",
            help,
            NANOSECONDS,
            lateness.map(|counts| (UNLABELLED, counts)),
        )?;
        let ticks = sum(self.flushes.iter().map(|flushes| flushes.ticks()));
        let help = "Ticks that one flush of one worker published.";
        histograms(out, "ticker_flush_ticks", help, 1.0, ticks.map(|counts| (UNLABELLED, counts)))
    }

    fn encode_rpcs(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let rpcs = self.context.rpcs();
        let of_ticks = || Rpc::ALL.into_iter().filter(|rpc| rpc.streams_ticks());
        let open = of_ticks().map(|rpc| ([("rpc", rpc.name())], rpcs.open(rpc)));
        gauges(out, "ticker_streams", "Open streams of ticks.", open)?;
        let ended = Rpc::ALL.into_iter().flat_map(|rpc| RpcCode::ALL.map(|code| (rpc, code)));
        let ended =
            ended.map(|(rpc, code)| ([("rpc", rpc.name()), ("code", code.as_str())], rpcs.ended(rpc, code)));
        // A code that never came is left out, but for OK, so that every RPC is there from the start.
        let ended = ended.filter(|([_, (_, code)], count)| *count > 0 || *code == RpcCode::Ok.as_str());
        counters(out, "ticker_rpcs", "RPCs that have ended, by status code.", ended)?;
        let calls = Rpc::ALL.into_iter().filter(|rpc| !rpc.is_stream());
        let calls = calls.map(|rpc| ([("rpc", rpc.name())], rpcs.durations(rpc)));
        let help = "How long RPCs that answer once took.";
        histograms(out, "ticker_rpc_duration_seconds", help, NANOSECONDS, calls)?;
        let streams = of_ticks().map(|rpc| ([("rpc", rpc.name())], rpcs.durations(rpc)));
        let help = "How long streams of ticks lasted that have ended.";
        histograms(out, "ticker_stream_duration_seconds", help, NANOSECONDS, streams)
    }

    fn encode_feed(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(feed) = self.intake.as_ref().map(Intake::statistics) else { return Ok(()) };
        let results =
            [("accepted", feed.accepted), ("duplicate", feed.duplicates), ("rejected", feed.rejected)];
        let results = results.map(|(result, count)| ([("result", result)], count));
        counters(out, "ticker_feed_ticks", "Ticks that were published, by what became of them.", results)?;
        gauge(out, "ticker_feed_window_ticks", "Ticks of the feed that are in memory.", feed.window.ticks)?;
        let help = "Memory that the ticks of the feed take.";
        gauge(out, "ticker_feed_window_bytes", help, feed.window.bytes as u64)?;
        let help = "1 while the feed cannot store ticks, else 0.";
        gauge(out, "ticker_feed_failing", help, feed.is_failing.into())
    }

    fn encode_limits(&self, out: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let limits = self.context.limits_reached().map(|(limit, count)| ([("limit", limit)], count));
        counters(out, "ticker_limits_reached", "How often clients have met a limit of the server.", limits)?;
        let refused = self.context.refusals().totals().map(|(code, count)| ([("code", code)], count));
        counters(
            out,
            "ticker_symbols_refused",
            "Symbols that were refused, by the code of their status.",
            refused,
        )?;
        let authentication = self.context.authentication();
        let results = authentication.totals().map(|(result, count)| ([("result", result)], count));
        let help =
            "Tokens that were verified, by result; one that was verified lately is not verified again.";
        counters(out, "ticker_authentications", help, results)?;
        let callers = authentication.callers() as u64;
        gauge(
            out,
            "ticker_callers",
            "Callers that have connections, streams or tokens that were verified lately.",
            callers,
        )?;
        let waiting = self.history.waiting() as u64;
        gauge(out, "ticker_history_calls_waiting", "Calls for history that wait for a thread.", waiting)?;
        let unsent = self.context.unsent_bytes() as u64;
        gauge(out, "ticker_unsent_answer_bytes", "Answers that are made and not sent.", unsent)?;
        let blocked = self.context.blocked_bytes() as u64;
        gauge(
            out,
            "ticker_blocked_tick_bytes",
            "Ticks that wait for the flow control of their clients.",
            blocked,
        )
    }
}

/// The sum of the histograms of all workers; `None` without a worker.
fn sum(counts: impl Iterator<Item = HistogramCounts>) -> Option<HistogramCounts> {
    counts.reduce(|mut all, more| {
        all.add(&more);
        all
    })
}

fn gauge(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    gauges(out, name, help, [(UNLABELLED, value)])
}

/// A counter; its name gets the suffix `_total`.
pub(super) fn counter(out: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> fmt::Result {
    counters(out, name, help, [(UNLABELLED, value)])
}

fn gauges<L: EncodeLabelSet>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    family(out, name, help, MetricType::Gauge, values, |mut metric, value| metric.encode_gauge(&value))
}

fn counters<L: EncodeLabelSet>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (L, u64)>,
) -> fmt::Result {
    let write =
        |mut metric: MetricEncoder<'_>, value| metric.encode_counter::<NoLabelSet, _, u64>(&value, None);
    family(out, name, help, MetricType::Counter, values, write)
}

/// Histograms of values of which `scale` make one unit of the metric.
fn histograms<L: EncodeLabelSet>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    scale: f64,
    values: impl IntoIterator<Item = (L, HistogramCounts)>,
) -> fmt::Result {
    family(out, name, help, MetricType::Histogram, values, |mut metric, counts: HistogramCounts| {
        let bound = |bound: Option<u64>| bound.map_or(f64::INFINITY, |bound| bound as f64 / scale);
        let ranges: Vec<_> = counts.ranges.iter().map(|(upper, count)| (bound(*upper), *count)).collect();
        let all = ranges.iter().map(|(_, count)| count).sum();
        metric.encode_histogram::<NoLabelSet>(counts.sum as f64 / scale, all, &ranges, None)
    })
}

/// The values of one metric, each with its labels.
fn family<L: EncodeLabelSet, T>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric_type: MetricType,
    values: impl IntoIterator<Item = (L, T)>,
    mut write: impl FnMut(MetricEncoder<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let mut metric = out.encode_descriptor(name, help, None, metric_type)?;
    for (labels, value) in values {
        write(metric.encode_family(&labels)?, value)?;
    }
    Ok(())
}
