// The feed against a model of replicas that are killed, drain, conflate and fall silent.

import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { Feed, type FeedEvents } from "../src/feed";
import { SymbolStatusCode, type Tick, type WatchRequest, type WatchResponse, WatchResponseSchema } from "../src/gen/ticker/v1/ticker_pb";
import { Rotation } from "../src/rotation";
import { seeded } from "./random";

const SYMBOLS = ["A", "B", "C"];

/** One stream of a replica. */
class ServedStream {
  readonly next = new Map<string, bigint>();
  private readonly queue: (WatchResponse | Error)[] = [];
  private wake: () => void = () => {};
  isOpen = true;

  constructor(
    readonly request: WatchRequest,
    signal: AbortSignal,
  ) {
    signal.addEventListener("abort", () => this.end(new ConnectError("canceled", Code.Canceled)));
  }

  send(event: WatchResponse["event"]): void {
    if (!this.isOpen) return;
    this.queue.push(create(WatchResponseSchema, { event: event as never }));
    this.wake();
  }

  end(error: Error): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.queue.push(error);
    this.wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<WatchResponse> {
    for (;;) {
      const item = this.queue.shift();
      if (item instanceof Error) throw item;
      if (item) yield item;
      else await new Promise<void>((resolve) => (this.wake = resolve));
    }
  }
}

/** Replicas of one tape. */
class World {
  readonly heads = new Map(SYMBOLS.map((symbol, index) => [symbol, 1_000n * BigInt(index + 1)]));
  readonly tapes = new Map<string, string>();
  readonly down = new Set<string>();
  streams: { endpoint: string; stream: ServedStream }[] = [];
  opened = 0;

  constructor(private readonly random: (below: number) => number) {}

  watch(endpoint: string, request: WatchRequest, signal: AbortSignal): AsyncIterable<WatchResponse> {
    this.opened += 1;
    const stream = new ServedStream(request, signal);
    if (this.down.has(endpoint)) {
      stream.end(new ConnectError("connection refused", Code.Unavailable));
      return stream;
    }
    const tapeId = this.tapes.get(endpoint) ?? "tape";
    const isForeign = request.tapeId !== "" && request.tapeId !== tapeId;
    const code = isForeign ? SymbolStatusCode.FOREIGN_TAPE : SymbolStatusCode.SUBSCRIBED;
    const statuses = request.symbols.map((symbol) => ({ symbol, code, message: isForeign ? "another tape" : "" }));
    stream.send({ case: "subscriptionResult", value: { tapeId, statuses } as never });
    if (isForeign) stream.end(new ConnectError("nothing subscribed", Code.InvalidArgument));
    this.streams.push({ endpoint, stream });
    return stream;
  }

  advance(): void {
    for (const [symbol, head] of this.heads) this.heads.set(symbol, head + BigInt(this.random(4)));
  }

  /** Sends what has happened, conflated at random, on each open stream. */
  pump(): void {
    this.streams = this.streams.filter(({ stream }) => stream.isOpen);
    for (const { stream } of this.streams) {
      for (const symbol of stream.request.symbols) {
        const head = this.heads.get(symbol)!;
        const after = stream.next.get(symbol) ?? stream.request.afterSequence[symbol];
        if (after === undefined) {
          this.tick(stream, symbol, head, 0n, true);
          continue;
        }
        let at = after;
        while (at < head) {
          const jump = this.random(3) === 0 ? BigInt(this.random(3)) : 0n;
          const sequence = at + jump + 1n > head ? head : at + jump + 1n;
          this.tick(stream, symbol, sequence, sequence - at - 1n, false);
          at = sequence;
        }
      }
    }
  }

  at(endpoint: string): ServedStream[] {
    return this.streams.filter((served) => served.endpoint === endpoint).map(({ stream }) => stream);
  }

  kill(endpoint: string): void {
    for (const stream of this.at(endpoint)) stream.end(new ConnectError("reset", Code.Unavailable));
  }

  private tick(stream: ServedStream, symbol: string, sequence: bigint, conflated: bigint, snapshot: boolean): void {
    stream.next.set(symbol, sequence);
    stream.send({ case: "tick", value: { symbol, sequence, conflated, snapshot, ltp: 1 } as never });
  }
}

let clock = 0;

beforeEach(() => {
  clock = 0;
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
});
afterEach(() => mock.timers.reset());

async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function pass(millis: number): Promise<void> {
  for (let at = 0; at < millis; at += 250) {
    clock += 250;
    mock.timers.tick(250);
    await settle();
  }
}

function feedOf(world: World, endpoints: string[]) {
  const seen = new Map<string, bigint[]>();
  const log: string[] = [];
  const events: FeedEvents = {
    tick: ({ symbol, sequence }: Tick) => seen.set(symbol, [...(seen.get(symbol) ?? []), sequence]),
    statuses: (statuses) => statuses.forEach(({ symbol, message }) => message && log.push(`${symbol}: ${message}`)),
    caughtUp: () => {},
    time: () => {},
    changed: () => {},
    foreignReplica: (endpoint) => log.push(`${endpoint} is foreign`),
    otherTape: (before, now) => log.push(`tape ${before} -> ${now}`),
    unauthenticated: (message) => log.push(`unauthenticated: ${message}`),
    tokenExpiring: () => log.push("token expires"),
  };
  const rotation = new Rotation(endpoints, () => 0.5);
  const feed = new Feed(rotation, (endpoint, request, signal) => world.watch(endpoint, request as WatchRequest, signal), events, () => clock);
  return { feed, seen, log };
}

function assertWhole(world: World, feed: Feed, seen: Map<string, bigint[]>): void {
  let all = 0n;
  for (const [symbol, sequences] of seen) {
    assert.ok(sequences.every((sequence, index) => index === 0 || sequence > sequences[index - 1]!), `${symbol} came twice or out of order`);
    assert.equal(sequences.at(-1), world.heads.get(symbol));
    all += sequences.at(-1)! - sequences[0]! + 1n;
  }
  assert.equal(feed.continuity.lost, 0);
  assert.equal(BigInt(feed.continuity.received + feed.continuity.conflated), all);
}

test("nothing is lost or doubled over kills, drains, silence and changes of the list", async () => {
  for (let seed = 1; seed <= 30; seed++) {
    const random = seeded(seed);
    const world = new World(random);
    const { feed, seen } = feedOf(world, ["a", "b", "c"]);
    feed.begin({ symbols: SYMBOLS, minInterval: 0 });
    await settle();
    world.pump();
    await settle();
    for (let step = 0; step < 60; step++) {
      world.advance();
      if (random(3) > 0) world.pump();
      const { endpoint } = feed;
      switch (random(9)) {
        case 0:
          world.kill(endpoint);
          break;
        case 1:
          for (const stream of world.at(endpoint)) stream.send({ case: "draining", value: {} as never });
          await settle();
          if (random(2) === 0) world.kill(endpoint);
          break;
        case 2:
          world.down.add(endpoint);
          world.kill(endpoint);
          break;
        case 3:
          world.down.clear();
          break;
        case 4:
          feed.change({ symbols: SYMBOLS, minInterval: random(2) });
          break;
        case 5:
          // No heartbeat and no tick: the watchdog has to find out.
          await pass(17_000);
          break;
      }
      await pass(250);
    }
    world.down.clear();
    await pass(12_000);
    world.pump();
    await settle();
    assert.equal(feed.state.kind, "connected", `seed ${seed}`);
    assertWhole(world, feed, seen);
    feed.end();
    await settle();
    assert.equal(world.streams.filter(({ stream }) => stream.isOpen).length, 0, "a stream was left open");
  }
});

test("a drain opens the next stream before it leaves the old one, and costs no time", async () => {
  const world = new World(seeded(1));
  const { feed, seen } = feedOf(world, ["a", "b"]);
  feed.begin({ symbols: SYMBOLS, minInterval: 0 });
  await settle();
  world.pump();
  world.at("a")[0]!.send({ case: "draining", value: {} as never });
  await settle();
  assert.equal(feed.endpoint, "b");
  assert.equal(world.at("a")[0]!.isOpen, false);
  world.advance();
  world.pump();
  await pass(2_000);
  assert.deepEqual([feed.reconnects, feed.withoutStream, feed.state.kind], [1, 0, "connected"]);
  assertWhole(world, feed, seen);
  feed.end();
});

test("the time without a stream is counted", async () => {
  const world = new World(seeded(2));
  const { feed } = feedOf(world, ["a"]);
  feed.begin({ symbols: SYMBOLS, minInterval: 0 });
  await settle();
  world.down.add("a");
  world.kill("a");
  await settle();
  await pass(10_000);
  assert.equal(feed.state.kind, "reconnecting");
  assert.equal(feed.withoutStream, 10_000);
  world.down.clear();
  await pass(10_000);
  assert.equal(feed.state.kind, "connected");
  assert.ok(feed.withoutStream >= 10_000 && feed.withoutStream <= 15_000);
  assert.equal(feed.reconnects, 1);
  feed.end();
});

test("a replica of another tape is passed over while there is one of the same tape", async () => {
  const world = new World(seeded(3));
  world.tapes.set("b", "other");
  const { feed, seen, log } = feedOf(world, ["a", "b", "c"]);
  feed.begin({ symbols: SYMBOLS, minInterval: 0 });
  await settle();
  world.pump();
  await settle();
  world.kill("a");
  await pass(1_000);
  assert.equal(feed.endpoint, "c");
  assert.deepEqual(log, ["b is foreign"]);
  world.advance();
  world.pump();
  await settle();
  assertWhole(world, feed, seen);
  feed.end();
});

test("when all replicas play another tape, the counters start anew", async () => {
  const world = new World(seeded(4));
  const { feed, log } = feedOf(world, ["a", "b"]);
  feed.begin({ symbols: SYMBOLS, minInterval: 0 });
  await settle();
  world.pump();
  await settle();
  world.tapes.set("a", "other").set("b", "other");
  world.kill("a");
  await pass(1_000);
  assert.equal(log.at(-1), "tape tape -> other");
  assert.deepEqual([feed.continuity.received, feed.reconnects, feed.withoutStream], [0, 0, 0]);
  world.pump();
  await settle();
  assert.deepEqual([feed.tapeId, feed.state.kind, feed.continuity.received, feed.continuity.lost], ["other", "connected", 3, 0]);
  feed.end();
});

test("a replay is resumed from the newest tick, and what was seen is named", async () => {
  const world = new World(seeded(5));
  const { feed } = feedOf(world, ["a"]);
  feed.begin({ symbols: ["A"], minInterval: 10, replay: { start: 7_000_000_000n, speed: 100 } }, [["A", 900n]]);
  await settle();
  const [first] = world.at("a");
  assert.deepEqual([first!.request.startTime?.seconds, first!.request.speed, first!.request.afterSequence.A], [7n, 100, 900n]);
  first!.send({ case: "tick", value: { symbol: "A", sequence: 901n, conflated: 0n, time: { seconds: 9n, nanos: 5 } } as never });
  await settle();
  world.kill("a");
  await pass(1_000);
  const second = world.at("a").at(-1)!;
  assert.deepEqual([second.request.startTime?.seconds, second.request.startTime?.nanos, second.request.afterSequence.A], [9n, 5, 901n]);
  feed.end();
});

test("a refused token is asked for once and used at once", async () => {
  const world = new World(seeded(6));
  let hasToken = false;
  const { feed, log } = feedOf(world, ["a"]);
  const watch = world.watch.bind(world);
  world.watch = (endpoint, request, signal) => {
    if (hasToken) return watch(endpoint, request, signal);
    const stream = new ServedStream(request, signal);
    stream.end(new ConnectError("a token is needed", Code.Unauthenticated));
    return stream;
  };
  feed.begin({ symbols: SYMBOLS, minInterval: 0 });
  await pass(30_000);
  assert.deepEqual(log, ["unauthenticated: a token is needed"]);
  assert.equal(feed.state.kind, "unauthenticated");
  hasToken = true;
  feed.retryNow();
  await settle();
  assert.equal(feed.state.kind, "connected");
  feed.end();
});

test("a long outage is caught up with in steps, then every tick comes again", async () => {
  const world = new World(seeded(7));
  const { feed, seen } = feedOf(world, ["a"]);
  feed.begin({ symbols: SYMBOLS, minInterval: 0 });
  await settle();
  world.pump();
  await settle();
  world.down.add("a");
  world.kill("a");
  await pass(260_000);
  world.down.clear();
  await pass(6_000);
  const stream = world.at("a").at(-1);
  assert.ok(Number(stream!.request.minInterval?.seconds ?? 0n) >= 1, "in steps");
  world.advance();
  world.pump();
  for (const symbol of SYMBOLS) stream!.send({ case: "caughtUp", value: { symbol } as never });
  await settle();
  assert.equal(world.at("a").at(-1)!.request.minInterval, undefined);
  world.pump();
  await settle();
  assertWhole(world, feed, seen);
  feed.end();
});
