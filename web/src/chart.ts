// The chart of one symbol: candles and volume, which can be dragged back without end.

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { INTERVALS } from "./address";
import { priceSteps, timeLabels } from "./axes";
import { drawCandles, drawLast, type Ink } from "./candle_painter";
import { type Candle, CandleStore, type Missing, openTime, type Trade } from "./candles";
import { byId, setHidden, setText } from "./dom";
import { formatClock, formatDate, formatInterval, formatPercent, formatPrice, formatQuantity } from "./format";
import { paint, WRITE_EVERY } from "./frame";
import { listenToGestures } from "./gestures";
import type { History } from "./history";
import type { Row } from "./market";
import { fromSeconds, type Instant } from "./time";

/** Fewest candles in view, and the least width of one, in pixels. */
const FEWEST = 12;
const NARROWEST = 1.6;
/** Candles that the chart shows at first, by its width. */
const WIDTH_OF_CANDLE = 9;
/** Calls for history at the same time. */
const CALLS = 3;
/** Least time between two reads of candles that ticks alone cannot tell, in milliseconds. */
const READ_EVERY = 400;
/** Before a call that failed is made again, in milliseconds. */
const RETRY_AFTER = 2_000;
const STORES = 8;

export interface ChartEvents {
  /** The chart was zoomed so far that it took another interval. */
  interval(seconds: number): void;
  travel(seconds: number): void;
}

export class Chart {
  interval = 60;

  private readonly host = byId("chart");
  private readonly note = byId("chart-note");
  private readonly legend = byId("legend");
  /** Time, open, high, low, close, volume and rise of the candle under the cursor. */
  private readonly legendParts = Array.from({ length: 7 }, () => document.createElement("span"));
  private readonly followButton = byId<HTMLButtonElement>("follow");
  private readonly priceTag = document.createElement("span");
  private readonly timeTag = document.createElement("span");
  private readonly plot: uPlot;
  private readonly stores = new Map<string, CandleStore>();
  private store: CandleStore | undefined;
  private row: Row | undefined;
  /** The instant that is shown, in seconds. */
  private now = 0;
  private version = -1;
  /** The time in view, in seconds. */
  private span = 0;
  /** The right edge, in seconds; undefined while it follows the present. */
  private right: number | undefined;
  private candles: Candle[] = [];
  private calls = new AbortController();
  private readonly pending = new Set<number>();
  private isFormingRead = false;
  private readAt = 0;
  private retryAt = 0;
  private isOld = true;
  private drawnAt = 0;
  private ink: Ink = { up: "", down: "", text: "", line: "", panel: "" };
  private readonly font = getComputedStyle(document.body).fontFamily;

  constructor(
    private readonly history: History,
    private readonly events: ChartEvents,
  ) {
    this.priceTag.className = "tag tag-price";
    this.timeTag.className = "tag tag-time";
    this.legend.append(...this.legendParts);
    this.readInk();
    this.plot = new uPlot(this.options(), [[], []], this.host);
    this.plot.root.append(this.priceTag, this.timeTag);
    new ResizeObserver(() => this.resize()).observe(this.host);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.readInk();
      this.changed();
    });
    listenToGestures(this.plot.over, {
      move: (share) => this.move(share),
      zoom: (factor, at) => this.zoom(factor, at),
      pick: (left) => this.events.travel(Math.max(0, this.plot.posToVal(left, "x"))),
    });
    this.followButton.addEventListener("click", () => this.follow());
    byId("zoom-in").addEventListener("click", () => this.zoom(0.7));
    byId("zoom-out").addEventListener("click", () => this.zoom(1 / 0.7));
  }

  /** Shows a symbol. */
  show(row: Row | undefined, interval: number): void {
    const candles = this.span / this.interval;
    this.abandonCalls();
    this.retryAt = 0;
    if (interval !== this.interval) this.span = candles * interval;
    this.interval = interval;
    this.row = row;
    this.version = -1;
    this.store = row && this.storeOf(row);
    this.store?.leaveTime();
    this.changed();
  }

  /** The time goes on, to an instant in seconds. The view goes along when it is a jump. */
  setNow(seconds: number): void {
    if (Math.abs(seconds - this.now) > this.span) this.right = undefined;
    this.now = seconds;
  }

  /** Takes a tick of the symbol. */
  take(trade: Trade): void {
    this.store?.take(trade);
    paint();
  }

  /** Another line of time begins: what was folded from ticks does not belong to it. */
  leaveTime(): void {
    for (const store of this.stores.values()) store.leaveTime();
    this.abandonCalls();
    this.changed();
  }

  /** The history is that of another tape: nothing of it is right any more. */
  forget(): void {
    this.stores.clear();
    this.show(this.row, this.interval);
  }

  /** Asks for what failed at once. */
  retry(): void {
    this.retryAt = 0;
    this.changed();
  }

  follow(): void {
    this.right = undefined;
    this.changed();
  }

  /** Moves the view by a share of its width; to the past when negative. */
  move(share: number): void {
    this.setRight(this.edge() + share * this.span);
  }

  /** Zooms in when the factor is below one. `at` is the place that stays: 0 is the left edge, 1 the right one. */
  zoom(factor: number, at = 1): void {
    const { width } = this.plotArea();
    const most = width / NARROWEST;
    let interval = this.interval;
    let span = this.span * factor;
    let step = INTERVALS.indexOf(interval as (typeof INTERVALS)[number]);
    if (span / interval > most && factor > 1) {
      step += 1;
      if (step >= INTERVALS.length) span = most * interval;
      else interval = INTERVALS[step]!;
    } else if (span / interval < FEWEST && factor < 1) {
      step -= 1;
      if (step < 0) span = FEWEST * interval;
      else interval = INTERVALS[step]!;
    }
    const right = this.edge() + (1 - at) * (span - this.span);
    this.span = span;
    if (this.right !== undefined || at < 0.9) this.setRight(right);
    if (interval !== this.interval) {
      this.interval = interval;
      // The same time stays in view.
      this.show(this.row, interval);
      this.events.interval(interval);
    }
    this.changed();
  }

  paint(now: number): void {
    const { row, store } = this;
    if (!row || !store || this.now === 0) return;
    const isTicking = row.version !== this.version;
    if (!this.isOld && !isTicking) return;
    if (!this.isOld && now - this.drawnAt < WRITE_EVERY) return paint();
    this.isOld = false;
    this.version = row.version;
    this.drawnAt = now;
    this.draw(row, store);
    this.read(row, store, now);
  }

  private abandonCalls(): void {
    this.calls.abort();
    this.calls = new AbortController();
    this.pending.clear();
    this.isFormingRead = false;
    this.host.classList.remove("is-loading");
  }

  private changed(): void {
    this.isOld = true;
    paint();
  }

  private storeOf(row: Row): CandleStore {
    const key = `${row.symbol} ${this.interval}`;
    const store = this.stores.get(key) ?? new CandleStore(this.interval, row.tickInterval);
    this.stores.delete(key);
    this.stores.set(key, store);
    for (const old of [...this.stores.keys()].slice(0, -STORES)) this.stores.delete(old);
    return store;
  }

  /** The right edge of the view, in seconds. */
  private edge(): number {
    return this.right ?? openTime(this.now, this.interval) + this.interval + 0.04 * this.span;
  }

  private setRight(right: number): void {
    const newest = openTime(this.now, this.interval) + this.interval + 0.04 * this.span;
    this.right = right >= newest ? undefined : Math.max(right, this.span * 0.2);
    this.changed();
  }

  private draw(row: Row, store: CandleStore): void {
    const { width } = this.plotArea();
    if (this.span === 0) this.span = Math.max(40, width / WIDTH_OF_CANDLE) * this.interval;
    const max = this.edge();
    const min = max - this.span;
    this.candles = store.between(min, max, this.now);
    let low = Infinity;
    let high = -Infinity;
    for (const candle of this.candles) {
      if (candle.low < low) low = candle.low;
      if (candle.high > high) high = candle.high;
    }
    if (low > high) {
      low = Number.isNaN(row.last) ? 0 : row.last * 0.999;
      high = Number.isNaN(row.last) ? 1 : row.last * 1.001;
    }
    // Room for the volume below the candles, and a little above.
    const room = high - low || high * 0.001 || 1;
    const x = this.candles.map((candle) => candle.time + this.interval / 2);
    const y = this.candles.map((candle) => candle.close);
    this.plot.batch(() => {
      this.plot.setData([x, y], false);
      this.plot.setScale("x", { min, max });
      this.plot.setScale("y", { min: low - room * 0.3, max: high + room * 0.08 });
    });
    setHidden(this.followButton, this.right === undefined);
    this.writeLegend(row);
  }

  /** Fetches what is missing in view, and a little before it. */
  private read(row: Row, store: CandleStore, now: number): void {
    if (now < this.retryAt) return this.later(this.retryAt - now);
    const max = this.edge();
    const min = max - this.span;
    store.dropFar(min - this.span, max);
    const missing = store
      .missing(min - this.span / 2, max, this.now)
      .filter(({ page }) => !this.pending.has(page))
      .sort((a, b) => b.end - a.end);
    // What is missing at the right edge is new in each moment of a fast replay.
    const isEdge = (part: Missing) => part.end === openTime(this.now, this.interval) && part.start % (store.pageLength * this.interval) !== 0;
    const isEarly = now - this.readAt < READ_EVERY;
    for (const part of missing) {
      if (this.pending.size >= CALLS) break;
      if (isEdge(part)) {
        if (isEarly) {
          this.later(READ_EVERY);
          continue;
        }
        this.readAt = now;
      }
      void this.readPart(row, store, part);
    }
    if (store.needsForming && !this.isFormingRead && row.sequence >= 0n && !row.isStale) {
      if (isEarly) this.later(READ_EVERY);
      else {
        this.readAt = now;
        void this.readForming(row, store);
      }
    }
  }

  private later(millis: number): void {
    setTimeout(() => this.changed(), millis);
  }

  private async readPart(row: Row, store: CandleStore, part: Missing): Promise<void> {
    const { signal } = this.calls;
    this.pending.add(part.page);
    this.host.classList.add("is-loading");
    try {
      const candles = await this.history.candles(row, store.interval, part.start, part.end, signal);
      store.add(part, candles);
      setHidden(this.note, true);
    } catch (error) {
      this.failed(error, signal);
    }
    if (signal.aborted) return;
    this.pending.delete(part.page);
    if (this.pending.size === 0) this.host.classList.remove("is-loading");
    this.changed();
  }

  private async readForming(row: Row, store: CandleStore): Promise<void> {
    const { signal } = this.calls;
    const { time, sequence } = row;
    this.isFormingRead = true;
    try {
      const forming = await this.history.forming(row, store.interval, time, signal);
      if (forming && !signal.aborted) store.setForming(forming, sequence);
    } catch (error) {
      this.failed(error, signal);
    }
    if (signal.aborted) return;
    this.isFormingRead = false;
    this.changed();
  }

  private failed(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.retryAt = performance.now() + RETRY_AFTER;
    setText(this.note, `History is not available: ${error instanceof Error ? error.message : String(error)}`);
    setHidden(this.note, false);
  }

  private writeLegend(row: Row): void {
    const at = this.plot.cursor.idx;
    const isUnder = at !== null && at !== undefined && (this.plot.cursor.left ?? -1) >= 0;
    const candle = (isUnder ? this.candles[at] : undefined) ?? this.candles[this.candles.length - 1];
    setHidden(this.legend, candle === undefined);
    if (!candle) return;
    const price = (value: number) => formatPrice(value, row.decimals);
    const start = fromSeconds(candle.time);
    const time = this.interval < 86_400 ? ` ${this.clockOf(start)}` : "";
    const day = formatDate(start).slice(4, this.interval < 86_400 ? -5 : undefined);
    const rise = formatPercent((candle.close / candle.open - 1) * 100);
    const texts = [
      `${day}${time}`,
      `O ${price(candle.open)}`,
      `H ${price(candle.high)}`,
      `L ${price(candle.low)}`,
      `C ${price(candle.close)}`,
      `V ${formatQuantity(candle.volume)}`,
      rise,
    ];
    texts.forEach((text, at) => setText(this.legendParts[at]!, text));
    this.legendParts.at(-1)!.className = candle.close < candle.open ? "down" : "up";
  }

  /** The time of day of a candle. */
  private clockOf(start: Instant): string {
    return formatClock(start, false).slice(0, this.interval < 60 ? 8 : 5);
  }

  private plotArea(): { width: number } {
    return { width: this.plot.bbox.width / (devicePixelRatio || 1) || this.host.clientWidth };
  }

  private resize(): void {
    const { clientWidth: width, clientHeight: height } = this.host;
    if (width > 0 && height > 0) this.plot.setSize({ width, height });
    this.changed();
  }

  private readInk(): void {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    this.ink = {
      up: color("--up"), down: color("--down"), text: color("--muted"),
      line: color("--grid"), panel: color("--panel"),
    };
  }

  private options(): uPlot.Options {
    const font = `11px ${this.font}`;
    const axis = {
      font,
      stroke: () => this.ink.text,
      grid: { stroke: () => this.ink.line, width: 1 },
      ticks: { show: false },
    };
    return {
      width: Math.max(1, this.host.clientWidth),
      height: Math.max(1, this.host.clientHeight),
      padding: [6, 0, 0, 0],
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1e3), "Etc/UTC"),
      cursor: { drag: { x: false, y: false, setScale: false }, points: { show: false } },
      scales: { x: { time: true }, y: { auto: false } },
      axes: [
        { ...axis, space: 70, size: 34, gap: 4, values: (plot, splits, _, __, step) => timeLabels(plot, splits, step) },
        {
          ...axis,
          side: 1,
          gap: 6,
          space: 36,
          incrs: () => priceSteps(this.row?.decimals ?? 2),
          size: (_, values) => 18 + 7 * Math.max(6, ...(values ?? []).map((text) => text.length)),
          values: (_, splits) => splits.map((price) => formatPrice(price, this.row?.decimals ?? 2)),
        },
      ],
      series: [{}, { scale: "y", paths: () => null, points: { show: false } }],
      hooks: {
        draw: [
          (plot) => {
            drawCandles(plot, this.candles, this.interval, this.ink);
            if (this.row) drawLast(plot, this.row, this.ink, this.font);
          },
        ],
        setCursor: [(plot) => this.moveTags(plot)],
      },
    };
  }

  private moveTags(plot: uPlot): void {
    const { left = -1, top = -1 } = plot.cursor;
    const isUnder = left >= 0 && top >= 0 && this.row !== undefined;
    this.priceTag.hidden = this.timeTag.hidden = !isUnder;
    if (this.row) this.writeLegend(this.row);
    if (!isUnder || !this.row) return;
    const ratio = devicePixelRatio || 1;
    const origin = { left: plot.bbox.left / ratio, top: plot.bbox.top / ratio };
    this.priceTag.textContent = formatPrice(plot.posToVal(top, "y"), this.row.decimals);
    this.priceTag.style.transform = `translate(${origin.left + plot.bbox.width / ratio + 2}px, ${origin.top + top - 9}px)`;
    const time = fromSeconds(openTime(Math.max(0, plot.posToVal(left, "x")), this.interval));
    this.timeTag.textContent = this.interval >= 86_400 ? formatDate(time) : `${formatDate(time).slice(4)} ${this.clockOf(time)}`;
    this.timeTag.style.transform = `translate(calc(${origin.left + left}px - 50%), ${origin.top + plot.bbox.height / ratio + 2}px)`;
  }

  /** For screen readers; called when something but the price has changed. */
  describe(): void {
    const { row } = this;
    if (!row) return;
    const last = Number.isNaN(row.last) ? "" : `, ${formatPrice(row.last, row.decimals)} at ${formatDate(row.time)} ${formatClock(row.time, false)} UTC`;
    this.host.setAttribute("aria-label", `Candle chart of ${row.symbol}, candles of ${formatInterval(this.interval)}${last}`);
  }
}
