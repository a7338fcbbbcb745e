// The board: what is watched, what is selected, and what each part has to be told when that changes.

import { ConnectError } from "@connectrpc/connect";
import { type Address, formatAddress, INTERVALS, parseAddress, type Sort } from "./address";
import { Book } from "./book";
import { Catalog } from "./catalog";
import { Chart } from "./chart";
import { byId, setHidden, setText } from "./dom";
import { Feed, type Wanted } from "./feed";
import { formatClock, formatInterval } from "./format";
import { onPaint, paint, WRITE_EVERY } from "./frame";
import { type Instrument, SymbolStatusCode, type Tick } from "./gen/ticker/v1/ticker_pb";
import { History } from "./history";
import { listenToKeys } from "./keys";
import { Market, type Row } from "./market";
import { Replicas } from "./replicas";
import { Rotation } from "./rotation";
import { Search } from "./search";
import { SparkFiller } from "./spark_filler";
import { StatusStrip } from "./status_strip";
import { TapeClock } from "./tape_clock";
import { fromTimestamp, type Instant, toSeconds } from "./time";
import { keepToken, keptToken } from "./token";
import { TokenDialog } from "./token_dialog";
import { type Scene, Travel } from "./travel";
import { TravelBar } from "./travel_bar";
import { WatchList } from "./watch_list";

/** A tape with at most this many instruments is watched as a whole at first; of a larger one, the first dozen. */
const SMALL_TAPE = 64;
const DOZEN = 12;
/** Most symbols that a request may name. */
const MOST_SYMBOLS = 1_000;
/** Ticks a second that the page takes one by one. Above it the server conflates them. */
const MOST_TICKS = 2_500;
const ADDRESS_EVERY = 400;
const ADDRESS_EVERY_IN_REPLAY = 2_000;
const FOREVER = new AbortController().signal;

export class Board {
  private readonly address: Address;
  private readonly market = new Market();
  private readonly clock = new TapeClock();
  private readonly rotation: Rotation;
  private readonly replicas: Replicas;
  private readonly history: History;
  private readonly catalog: Catalog;
  private readonly feed: Feed;
  private readonly travel: Travel;
  private readonly list: WatchList;
  private readonly chart: Chart;
  private readonly book = new Book();
  private readonly bar: TravelBar;
  private readonly strip: StatusStrip;
  private readonly sparks: SparkFiller;
  private readonly tokens: TokenDialog;
  private readonly search: Search;
  private readonly intervals = new Map<number, HTMLButtonElement>();
  private selected: Row | undefined;
  /** All instruments are watched, by the server's `*`. */
  private isAll = false;
  private addressTimer: ReturnType<typeof setTimeout> | undefined;
  private isStarted = false;
  private writtenAt = 0;
  /** The mode that screen readers were told of. */
  private announced = "";

  constructor() {
    this.address = parseAddress(location.search, location.origin);
    this.rotation = new Rotation(this.address.endpoints);
    this.replicas = new Replicas(this.rotation, (message) => this.tokens.ask(message));
    this.replicas.token = keptToken(this.address.endpoints);
    this.history = new History(this.replicas);
    this.catalog = new Catalog(this.replicas, {
      failed: (error, attempt) => {
        if (attempt > 2) this.notify(`No answer from ${this.address.endpoints.join(", ")}: ${error.rawMessage}`);
      },
      answered: () => setHidden(byId("notice"), true),
    });
    this.tokens = new TokenDialog(this.address.endpoints, (token) => {
      keepToken(this.address.endpoints, token);
      this.replicas.token = token;
      this.renew();
    });
    this.feed = new Feed(
      this.rotation,
      (endpoint, request, signal) => this.replicas.client(endpoint).watch(request, { signal }),
      {
        tick: (tick) => this.takeTick(tick),
        statuses: (statuses) => {
          this.market.takeStatuses(statuses, ({ code }) => code === SymbolStatusCode.SUBSCRIBED);
          paint();
        },
        caughtUp: () => this.travel.reachedPresent(),
        time: (instant) => this.clock.set(instant),
        changed: () => this.feedChanged(),
        foreignReplica: (endpoint) => this.notify(`${endpoint} plays another tape and is passed over.`),
        otherTape: (before, now) => this.otherTape(before, now),
        unauthenticated: (message) => this.tokens.ask(message),
        tokenExpiring: () => this.tokens.ask("The token expires soon. Enter a fresh one to go on without a break."),
      },
    );
    this.travel = new Travel(this.scene(), this.feed, this.history, this.clock);
    this.travel.speed = this.address.speed;
    this.chart = new Chart(this.history, {
      interval: (seconds) => this.setInterval(seconds),
      travel: (seconds) => this.travel.seek(BigInt(Math.round(seconds * 1_000)) * 1_000_000n),
    });
    this.sparks = new SparkFiller(this.history, () => this.shownSeconds());
    this.list = new WatchList(this.market, {
      select: (symbol) => this.select(symbol),
      remove: (symbol) => this.remove(symbol),
      sort: (sort) => this.setSort(sort),
      shown: (rows) => {
        this.sparks.want(rows);
        if (rows.some((row) => row.isQuoteStale)) void this.travel.fillQuotes();
      },
    });
    this.bar = new TravelBar(this.travel, this.clock, (message) => this.notify(message));
    this.strip = new StatusStrip(this.feed);
    this.search = new Search(this.replicas, {
      isWatched: (symbol) => this.market.symbols.includes(symbol),
      pick: (instrument) => this.add(instrument),
      remove: (symbol) => this.remove(symbol),
      watchAll: () => void this.watchAll(),
    });
    this.makeIntervals();
    this.setSort(this.address.sort);
    this.listen();
    onPaint((now) => this.paint(now));
  }

  /** Shows what the address asks for. */
  async start(): Promise<void> {
    const { symbols, selected, time } = this.address;
    setText(byId("empty-hint"), `to ${this.address.endpoints.join(", ")}`);
    if (Array.isArray(symbols)) {
      if (symbols.length > MOST_SYMBOLS) this.notify(`A list has at most ${MOST_SYMBOLS} symbols: the others of this address are left out.`);
      this.setSymbols(symbols.slice(0, MOST_SYMBOLS));
      this.select(selected ?? symbols[0]);
    }
    if (this.market.symbols.length > 0 && time === undefined) this.travel.live();
    const tape = await this.catalog.tape();
    this.clock.set(fromTimestamp(tape.time), tape.speed || 1);
    this.feed.expectTape(tape.tapeId);
    await this.readInstruments(symbols);
    this.isStarted = true;
    setText(byId("empty-title"), "Nothing is watched");
    setText(byId("empty-hint"), "Search for an instrument to add it, or choose “Watch all instruments”.");
    this.select(selected && this.market.rows.has(selected) ? selected : (this.selected?.symbol ?? this.market.symbols[0]));
    if (time !== undefined) this.travel.seek(time);
    else if (this.feed.state.kind === "off") this.travel.live();
    void this.findBeginning();
  }

  /** The names and decimals of what is watched, and at first what to watch. */
  private async readInstruments(symbols: Address["symbols"]): Promise<void> {
    const { instruments, isAll } = await this.catalog.instruments(symbols);
    // What `*` stands for.
    const all = instruments.filter(({ kind }) => kind !== "test").map(({ symbol }) => symbol);
    if (symbols === undefined) {
      const isSmall = isAll && all.length <= SMALL_TAPE;
      this.setSymbols(all.slice(0, isSmall ? SMALL_TAPE : DOZEN));
    } else if (symbols === "*") {
      this.isAll = true;
      this.setSymbols(all);
    }
    for (const instrument of instruments) this.market.rows.get(instrument.symbol)?.setInstrument(instrument);
    paint();
  }

  /** There is a token, or the network is back. */
  private renew(): void {
    this.catalog.retryNow();
    if (this.feed.state.kind === "connected" && this.travel.mode !== "paused") this.feed.change(this.scene().wanted(this.replay()));
    else this.feed.retryNow();
    if (this.travel.mode === "paused") this.travel.refresh();
    this.chart.retry();
  }

  private replay(): { start: Instant; speed: number } | undefined {
    return this.travel.mode === "playing" ? { start: this.travel.instant, speed: this.travel.speed } : undefined;
  }

  private scene(): Scene {
    return {
      rows: () => {
        const first = new Set([...(this.selected ? [this.selected] : []), ...this.list.shown]);
        for (const row of this.market.rows.values()) first.add(row);
        return [...first];
      },
      selected: () => this.selected,
      wanted: (replay) => this.wanted(replay),
      wentLive: () => void this.showLastPrices(this.market.rows.values()),
      leaveTime: () => {
        for (const row of this.market.rows.values()) row.setStale();
        this.sparks.cancel();
        this.chart.leaveTime();
        paint();
      },
      take: (row, tick) => this.show(row, tick),
      refuse: (symbol, message) => {
        const row = this.market.rows.get(symbol);
        if (row) row.refusal = message;
      },
      changed: () => this.modeChanged(),
      settled: () => this.sparks.want(this.list.shown),
      failed: (error) => this.notify(messageOf(error)),
    };
  }

  private wanted(replay?: { start: Instant; speed: number }): Wanted {
    const symbols = this.isAll ? ["*"] : this.market.symbols;
    const wanted: Wanted = { symbols, minInterval: this.minInterval(replay?.speed ?? 1) };
    if (replay) wanted.replay = replay;
    return wanted;
  }

  /** Time on the tape between two ticks of a symbol, so that the page is sent no more than it can show; zero for every tick. */
  private minInterval(speed: number): number {
    let rate = 0;
    for (const row of this.market.rows.values()) rate += speed / (row.tickInterval || 0.1);
    if (rate <= MOST_TICKS) return 0;
    return speed * Math.max(0.1, this.market.rows.size / MOST_TICKS);
  }

  /** Shows prices at once, until the stream has brought the quotes, for which the server reads the day of each symbol. */
  private async showLastPrices(rows: Iterable<Row>): Promise<void> {
    const symbols = [...rows].slice(0, MOST_SYMBOLS).map(({ symbol }) => symbol);
    if (symbols.length === 0) return;
    try {
      for (const tick of await this.history.lastPrices(symbols, FOREVER)) {
        const row = this.market.rows.get(tick.symbol);
        if (row?.isQuoteStale && this.travel.mode === "live") this.show(row, tick);
      }
    } catch {
      // The stream brings them too.
    }
  }

  private takeTick(tick: Tick): void {
    const row = this.market.rows.get(tick.symbol);
    if (!row) return;
    const time = fromTimestamp(tick.time);
    this.travel.took(time);
    if (this.travel.mode === "live" && time > this.clock.read()) this.clock.set(time);
    this.show(row, tick);
  }

  /** A tick becomes the state of its row. */
  private show(row: Row, tick: Tick): void {
    if (tick.sequence < row.sequence) return;
    const isFirst = row.isStale;
    row.refusal = undefined;
    row.take(tick);
    if (isFirst && this.travel.mode !== "paused") this.sparks.want(this.list.shown);
    if (row === this.selected) {
      const { sequence, last: price, lastQuantity: quantity } = row;
      const seconds = toSeconds(row.time);
      this.chart.setNow(this.shownSeconds());
      this.chart.take({ seconds, sequence, price, quantity });
    }
    paint();
  }

  /** The instant that is shown, in seconds. */
  private shownSeconds(): number {
    if (this.travel.mode !== "live") return toSeconds(this.travel.instant);
    return this.selected && this.selected.time > 0n ? toSeconds(this.selected.time) : toSeconds(this.clock.read());
  }

  private select(symbol: string | undefined): void {
    const row = symbol === undefined ? undefined : this.market.rows.get(symbol);
    if (row === this.selected && row !== undefined) {
      this.list.setSelected(symbol);
      return;
    }
    this.selected = row;
    this.address.selected = row?.symbol;
    this.list.setSelected(row?.symbol);
    this.book.show(row);
    this.chart.setNow(this.shownSeconds());
    this.chart.show(row, this.address.interval);
    this.describe();
    this.addressChanged();
  }

  private setSymbols(symbols: string[]): void {
    this.market.setSymbols(symbols);
    this.list.listChanged();
  }

  private add(instrument: Instrument): void {
    const { symbol } = instrument;
    if (!this.market.rows.has(symbol)) {
      if (this.market.symbols.length >= MOST_SYMBOLS) {
        return this.notify(`A list has at most ${MOST_SYMBOLS} symbols. Search for nothing and choose “Watch all instruments” to see them all.`);
      }
      // A symbol for tests is not part of `*`.
      this.isAll = false;
      this.setSymbols([...this.market.symbols, symbol]);
      this.market.row(symbol).setInstrument(instrument);
      this.watchedChanged();
    }
    this.select(symbol);
    paint();
    requestAnimationFrame(() => this.list.reveal(symbol, false));
  }

  private remove(symbol: string): void {
    const { symbols } = this.market;
    if (this.isAll && symbols.length > MOST_SYMBOLS + 1) return this.notify("All instruments are watched. Choose a smaller list by its symbols first.");
    this.isAll = false;
    const order = this.list.symbols;
    const next = order[order.indexOf(symbol) + 1] ?? order[order.indexOf(symbol) - 1];
    this.setSymbols(symbols.filter((kept) => kept !== symbol));
    this.feed.continuity.forget(symbol);
    if (this.selected?.symbol === symbol) this.select(next);
    this.watchedChanged();
  }

  private async watchAll(): Promise<void> {
    this.address.symbols = "*";
    await this.readInstruments("*");
    this.watchedChanged();
    this.select(this.selected?.symbol ?? this.market.symbols[0]);
  }

  /** Symbols were added or removed. */
  private watchedChanged(): void {
    this.address.symbols = this.isAll ? "*" : this.market.symbols;
    if (this.market.symbols.length === 0) this.feed.end();
    else if (this.travel.mode === "paused") this.travel.refresh();
    else if (this.feed.state.kind === "off") this.travel.live();
    else this.feed.change(this.wanted(this.replay()));
    this.addressChanged();
  }

  private setSort(sort: Sort | undefined): void {
    this.address.sort = sort;
    this.list.setSort(sort);
    this.addressChanged();
  }

  private setInterval(seconds: number): void {
    this.address.interval = seconds;
    for (const [interval, button] of this.intervals) button.setAttribute("aria-pressed", String(interval === seconds));
    this.addressChanged();
  }

  private makeIntervals(): void {
    for (const seconds of INTERVALS) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = formatInterval(seconds);
      button.addEventListener("click", () => {
        this.setInterval(seconds);
        this.chart.show(this.selected, seconds);
        this.describe();
      });
      this.intervals.set(seconds, button);
      byId("intervals").append(button);
    }
    this.chart.interval = this.address.interval;
    this.setInterval(this.address.interval);
  }

  private modeChanged(): void {
    const { mode, instant, speed } = this.travel;
    this.address.time = mode === "live" ? undefined : instant;
    this.address.speed = speed;
    this.chart.setNow(this.shownSeconds());
    this.announceMode();
    this.addressChanged();
    paint();
  }

  private announceMode(): void {
    const { mode, speed, isSeeking } = this.travel;
    if (isSeeking) return;
    const text = mode === "live" ? "Live" : mode === "playing" ? `Replaying the past, ${speed} times as fast` : "Paused in the past";
    if (text === this.announced) return;
    this.announced = text;
    setText(byId("announce"), text);
    this.describe();
  }

  private describe(): void {
    requestAnimationFrame(() => this.chart.describe());
    document.title = this.selected ? `${this.selected.symbol} · ticker` : "ticker";
  }

  private feedChanged(): void {
    const { state } = this.feed;
    if (state.kind === "reconnecting" && state.attempt === 2) setText(byId("announce"), "The connection is lost. Reconnecting.");
    paint();
  }

  private otherTape(before: string, now: string): void {
    this.notify(
      `${this.feed.endpoint} plays another tape: ${now.slice(0, 12)} instead of ${before.slice(0, 12)}. Prices and history are different ones, and the counters start anew.`,
    );
    this.scene().leaveTime();
    this.chart.forget();
    void this.readInstruments(this.isAll ? "*" : this.market.symbols);
  }

  private notify(message: string): void {
    setText(byId("notice-text"), message);
    setHidden(byId("notice"), false);
  }

  private addressChanged(): void {
    if (this.addressTimer !== undefined) return;
    const wait = this.travel?.mode === "playing" ? ADDRESS_EVERY_IN_REPLAY : ADDRESS_EVERY;
    this.addressTimer = setTimeout(() => {
      this.addressTimer = undefined;
      if (this.travel.mode === "playing") this.address.time = this.travel.instant;
      history.replaceState(null, "", formatAddress(this.address, location.origin) || location.pathname);
    }, wait);
  }

  private async findBeginning(): Promise<void> {
    const symbol = this.selected?.symbol;
    if (symbol === undefined) return;
    try {
      const first = await this.history.firstTick(symbol, FOREVER);
      if (first) this.bar.setBeginning(fromTimestamp(first.time));
    } catch {
      // The slider reaches back to 1970 then.
    }
  }

  private listen(): void {
    listenToKeys({
      search: () => this.search.open(),
      help: () => byId<HTMLDialogElement>("help").showModal(),
      toggle: () => this.bar.toggle(),
      step: (count) => void this.travel.step(count),
      live: () => {
        this.chart.follow();
        if (this.travel.mode !== "live") this.travel.live();
      },
      changeSpeed: (steps) => this.bar.changeSpeed(steps),
      zoom: (factor) => this.chart.zoom(factor),
      move: (share) => this.chart.move(share),
      follow: () => this.chart.follow(),
      selectNext: (count) => this.selectNext(count),
      removeSelected: () => this.selected && this.remove(this.selected.symbol),
    });
    byId("help-button").addEventListener("click", () => byId<HTMLDialogElement>("help").showModal());
    byId("token-again").addEventListener("click", () => this.tokens.ask("Enter the token of this server to go on."));
    byId("notice-close").addEventListener("click", () => setHidden(byId("notice"), true));
    byId("share").addEventListener("click", () => void this.share());
    addEventListener("online", () => this.renew());
    // The strip counts the time without a stream, and the clock goes on, also while no tick comes.
    setInterval(paint, 250);
    setInterval(() => {
      if (this.travel.mode !== "live" || this.feed.state.kind !== "connected" || document.hidden) return;
      void this.showLastPrices(this.list.shown.filter((row) => row.isQuoteStale && row.refusal === undefined));
    }, 1_000);
  }

  private async share(): Promise<void> {
    const address = location.origin + location.pathname + formatAddress(this.address, location.origin);
    try {
      await navigator.clipboard.writeText(address);
      setText(byId("share"), "Copied");
    } catch {
      this.notify(address);
    }
    setTimeout(() => setText(byId("share"), "Share"), 1_500);
  }

  private selectNext(count: 1 | -1): void {
    const order = this.list.symbols;
    const at = this.selected ? order.indexOf(this.selected.symbol) + count : 0;
    const symbol = order[Math.max(0, Math.min(order.length - 1, at))];
    if (symbol === undefined) return;
    this.select(symbol);
    this.list.reveal(symbol, true);
  }

  private paint(now: number): void {
    this.list.paint(now);
    this.chart.paint(now);
    if (now - this.writtenAt < WRITE_EVERY) return paint();
    this.writtenAt = now;
    this.book.paint();
    this.bar.paint();
    this.strip.paint(now, this.travel.mode, this.isStarted);
    const { mode, instant } = this.travel;
    const { kind } = this.feed.state;
    const isConnected = kind === "connected" || kind === "moving";
    byId("mode-badge").dataset.connected = String(isConnected);
    setHidden(byId("token-again"), !this.tokens.isAsked || isConnected);
    const live = isConnected ? "Live" : this.tokens.isAsked ? "Token needed" : !this.isStarted || kind === "connecting" || kind === "reconnecting" ? "Connecting" : "Not connected";
    setText(byId("mode-text"), mode === "live" ? live : mode === "playing" ? "Replay" : "Paused");
    if (this.clock.isSet) {
      setText(byId("clock"), `${formatClock(mode === "live" ? this.clock.read() : instant, false)} UTC`);
    }
  }
}

function messageOf(error: unknown): string {
  if (error instanceof ConnectError) return error.rawMessage;
  return error instanceof Error ? error.message : String(error);
}
