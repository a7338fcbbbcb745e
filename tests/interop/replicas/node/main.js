// Holds streams of every tick through grpc-js, resumes them wherever the balancer leads, and counts what was lost. It ends when
// its standard input is closed, and prints one JSON document.
//
//     node main.js PROTO_FOLDER TARGET SERVICE_CONFIG STREAMS CHANNELS

"use strict";
const fs = require("fs");
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const [folder, target, config, streams, channels] = process.argv.slice(2);
const loaded = loader.loadSync("ticker/v1/ticker.proto", { includeDirs: [folder], longs: Number, enums: String, oneofs: true });
const { TickerStreamService } = grpc.loadPackageDefinition(loaded).ticker.v1;
const options = {
  "grpc.service_config": fs.readFileSync(config, "utf8"),
  // The default of 30 s would hide a replica that was added for longer than this test runs.
  "grpc.dns_min_time_between_resolutions_ms": 1000,
  // Otherwise channels to one target share their connections.
  "grpc.use_local_subchannel_pool": 1,
};
const SYMBOLS = ["RELIANCE", "TEST.SQUARE"];
const report = {
  streams: 0, ticks: 0, missing: 0, twice: 0, out_of_order: 0, silences: [], codes: {}, calls: 0, failed_calls: {},
};
let stopping = false;
const note = (counts, name) => (counts[name] = (counts[name] ?? 0) + 1);

/** Keeps a stream open until the program ends. */
function keep(client) {
  const state = { last: {}, heard: null, ended: false, attempt: 0 };
  report.streams += 1;
  // Streams that begin before all connections are ready would all go to the first.
  setTimeout(() => open(client, state), 1000);
}

function open(client, state) {
  if (stopping) return;
  const call = client.TickerStream();
  call.on("data", (response) => {
    if (response.tick) count(state, response.tick);
    if (response.gap) {
      report.missing += response.gap.lastSequence - response.gap.firstSequence + 1;
      state.last[response.gap.symbol] = response.gap.lastSequence;
    }
  });
  call.on("error", () => {});
  call.on("status", (status) => {
    if (stopping) return;
    note(report.codes, grpc.status[status.code]);
    state.ended = true;
    const backoff = Math.min(50 * 2 ** Math.min(state.attempt, 5), 1000);
    state.attempt += 1;
    setTimeout(() => open(client, state), Math.random() * backoff);
  });
  call.write({ subscribe: { symbols: SYMBOLS, delivery: "DELIVERY_EVERY_TICK", afterSequence: state.last } });
}

function count(state, tick) {
  report.ticks += 1;
  state.attempt = 0;
  const now = performance.now();
  if (state.heard !== null && (state.ended || now - state.heard > 1000)) report.silences.push(now - state.heard);
  state.heard = now;
  state.ended = false;
  const last = state.last[tick.symbol];
  if (last !== undefined) {
    if (tick.sequence === last) report.twice += 1;
    if (tick.sequence > last + 1) report.missing += tick.sequence - last - 1;
    if (tick.sequence < last) {
      report.out_of_order += 1;
      return;
    }
  }
  state.last[tick.symbol] = tick.sequence;
}

/** Asks for last prices again and again. */
function ask(client) {
  if (stopping) return;
  client.GetLastPrices({ symbols: ["RELIANCE"] }, { deadline: Date.now() + 5000 }, (error) => {
    report.calls += 1;
    if (error && !stopping) note(report.failed_calls, error.message);
    setTimeout(() => ask(client), 20);
  });
}

const clients = Array.from({ length: channels }, () => new TickerStreamService(target, grpc.credentials.createInsecure(), options));
clients.forEach((client, number) => {
  ask(client);
  for (let each = 0; each < Math.floor((+streams + number) / +channels); each += 1) keep(client);
});
process.stdin.resume();
process.stdin.on("end", () => {
  stopping = true;
  process.stdout.write(JSON.stringify(report) + "\n", () => process.exit(0));
});
