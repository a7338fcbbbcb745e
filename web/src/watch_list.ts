// The table of the watch list. Only the rows in view are in the page, and only what has changed is written.

import { COLUMNS, type Column, type Sort } from "./address";
import { byId, element, setHidden, setText } from "./dom";
import { formatPercent, formatPrice, formatQuantity, formatSigned } from "./format";
import { paint, WRITE_EVERY } from "./frame";
import { type Market, rangePosition, type Row } from "./market";

/** Rows above and below those in view. They are moved only when one of them comes into view. */
const MARGIN = 8;
/** A sorted list changes its order at most this often, in milliseconds, so that it can be read. */
const SORT_EVERY = 1_000;
/** How long a price that moved stays lit, in milliseconds. */
const FLASH = 350;
const SPARK_EVERY = 1_000;

export interface ListEvents {
  select(symbol: string): void;
  remove(symbol: string): void;
  sort(sort: Sort | undefined): void;
  /** Rows came into view. */
  shown(rows: Row[]): void;
}

/** One row of the page. It shows another symbol when the list is scrolled or sorted. */
class RowView {
  readonly element = element("tr");
  row: Row | undefined;

  private readonly button = element("button");
  private readonly name = element("span", { class: "name" });
  private readonly last = element("span", { class: "cell" });
  private readonly arrow = element("span", { class: "arrow" });
  private readonly price = element("span", { class: "value" });
  private readonly percent = element("span", { class: "cell" });
  private readonly change = element("span", { class: "cell" });
  private readonly range = element("span", { class: "cell" });
  private readonly low = element("span");
  private readonly high = element("span");
  private readonly mark = element("i");
  private readonly volume = element("span", { class: "cell" });
  private readonly canvas = element("canvas");
  private readonly refusal = element("span", { class: "refusal" });
  private readonly remove = element("button", { class: "quiet icon", text: "×" });
  private version = -1;
  private moves = -1;
  private flashUntil = 0;
  private sparkAt = 0;
  private isRefused = false;

  constructor(events: ListEvents) {
    this.button.type = this.remove.type = "button";
    this.button.className = "pick";
    this.button.tabIndex = -1;
    const head = element("th", { class: "c-symbol" }, this.button, this.name, this.refusal);
    head.scope = "row";
    this.arrow.setAttribute("aria-hidden", "true");
    this.canvas.setAttribute("aria-hidden", "true");
    this.price.dataset.testid = "last";
    this.last.append(this.arrow, this.price);
    const bar = element("span", { class: "bar" }, this.mark);
    this.range.append(element("span", { class: "ends" }, this.low, this.high), bar);
    this.element.append(
      head,
      element("td", { class: "c-last" }, this.last),
      element("td", { class: "c-percent" }, this.percent),
      element("td", { class: "c-change" }, this.change),
      element("td", { class: "c-trend" }, this.canvas),
      element("td", { class: "c-range" }, this.range),
      element("td", { class: "c-volume" }, this.volume),
      element("td", { class: "c-remove" }, this.remove),
    );
    this.element.addEventListener("click", (event) => {
      if (!this.row) return;
      if (event.target === this.remove) events.remove(this.row.symbol);
      else events.select(this.row.symbol);
    });
  }

  bind(row: Row, index: number): void {
    this.element.setAttribute("aria-rowindex", String(index + 2));
    if (this.row === row) return;
    this.row = row;
    this.version = -1;
    this.moves = row.moves;
    this.flashUntil = 0;
    this.sparkAt = 0;
    this.element.removeAttribute("data-flash");
    this.element.dataset.symbol = row.symbol;
    this.button.textContent = row.symbol;
    this.remove.setAttribute("aria-label", `Remove ${row.symbol}`);
    this.remove.title = "Remove from the list";
  }

  focus(): void {
    this.button.focus({ preventScroll: true });
  }

  setSelected(isSelected: boolean): void {
    if (isSelected === this.element.hasAttribute("aria-current")) return;
    if (isSelected) this.element.setAttribute("aria-current", "true");
    else this.element.removeAttribute("aria-current");
    this.button.tabIndex = isSelected ? 0 : -1;
  }

  /** Writes what has changed. True while it has to be called again. */
  paint(now: number, ink: { up: string; down: string; flat: string }): boolean {
    const { row } = this;
    if (!row) return false;
    if (row.moves !== this.moves) {
      this.moves = row.moves;
      this.flashUntil = now + FLASH;
      this.element.dataset.flash = row.direction > 0 ? "up" : "down";
    } else if (this.flashUntil > 0 && now >= this.flashUntil) {
      this.flashUntil = 0;
      this.element.removeAttribute("data-flash");
    }
    if (row.version !== this.version) {
      this.version = row.version;
      this.write(row);
    }
    if (now - this.sparkAt >= SPARK_EVERY || this.sparkAt === 0) {
      this.sparkAt = now;
      this.drawSpark(row, ink);
    }
    return this.flashUntil > 0;
  }

  repaintSpark(): void {
    this.sparkAt = 0;
  }

  private write(row: Row): void {
    setText(this.name, row.name);
    const isRefused = row.refusal !== undefined;
    if (isRefused !== this.isRefused) {
      this.isRefused = isRefused;
      this.element.classList.toggle("is-refused", isRefused);
    }
    setText(this.refusal, row.refusal ?? "");
    this.refusal.title = row.refusal ?? "";
    this.element.classList.toggle("is-stale", row.isStale);
    this.element.classList.toggle("is-quote-stale", row.isQuoteStale);
    setText(this.arrow, row.direction > 0 ? "▲" : row.direction < 0 ? "▼" : "");
    this.arrow.className = row.direction > 0 ? "arrow up" : "arrow down";
    setText(this.price, formatPrice(row.last, row.decimals));
    setText(this.percent, formatPercent(row.percent));
    setText(this.change, formatSigned(row.change, row.decimals));
    const sign = row.change > 0 ? "up" : row.change < 0 ? "down" : "";
    this.percent.className = this.change.className = `cell ${sign}`;
    const { quote } = row;
    setText(this.low, formatPrice(quote?.low ?? NaN, row.decimals));
    setText(this.high, formatPrice(quote?.high ?? NaN, row.decimals));
    const position = rangePosition(row);
    this.mark.hidden = Number.isNaN(position);
    this.mark.style.left = `calc(${(position || 0).toFixed(3)} * (100% - 3px))`;
    setText(this.volume, formatQuantity(quote?.volume ?? NaN));
  }

  private drawSpark(row: Row, ink: { up: string; down: string; flat: string }): void {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(84 * ratio), Math.round(24 * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const { trend } = row.spark;
    const context = this.canvas.getContext("2d");
    if (context) row.spark.draw(context, width, height, trend > 0 ? ink.up : trend < 0 ? ink.down : ink.flat);
  }
}

export class WatchList {
  private readonly scroll = byId("list-scroll");
  private readonly table = byId<HTMLTableElement>("list");
  private readonly body = byId<HTMLTableSectionElement>("rows");
  private readonly above = spacer();
  private readonly below = spacer();
  private readonly views: RowView[] = [];
  private readonly headers = new Map<Column, HTMLElement>();
  private ink = { up: "", down: "", flat: "" };
  private order: Row[] = [];
  private sort: Sort | undefined;
  private selected: string | undefined;
  private isOrderOld = true;
  private isWindowOld = true;
  /** The rows of the page show the order of the list. */
  private isPlaced = false;
  private sortedAt = 0;
  private writtenAt = 0;
  private first = 0;

  constructor(
    private readonly market: Market,
    private readonly events: ListEvents,
  ) {
    for (const header of this.table.querySelectorAll<HTMLElement>("th[data-column]")) {
      const column = COLUMNS.find((name) => name === header.dataset.column);
      if (!column) continue;
      this.headers.set(column, header);
      header.querySelector("button")?.addEventListener("click", () => this.events.sort(nextSort(this.sort, column)));
    }
    this.body.append(this.above, this.below);
    const moved = () => {
      this.isWindowOld = true;
      paint();
    };
    this.scroll.addEventListener("scroll", moved, { passive: true });
    new ResizeObserver(moved).observe(this.scroll);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.readInk());
    this.readInk();
  }

  /** The symbols in the order of the list. */
  get symbols(): string[] {
    return this.order.map((row) => row.symbol);
  }

  /** The rows in view. */
  get shown(): Row[] {
    return this.views.flatMap((view) => (view.row && view.element.isConnected ? [view.row] : []));
  }

  setSort(sort: Sort | undefined): void {
    this.sort = sort;
    for (const [column, header] of this.headers) {
      if (sort?.column === column) header.setAttribute("aria-sort", sort.descending ? "descending" : "ascending");
      else header.removeAttribute("aria-sort");
    }
    this.listChanged();
  }

  setSelected(symbol: string | undefined): void {
    this.selected = symbol;
    this.isWindowOld = true;
    paint();
  }

  /** Symbols were added or removed. */
  listChanged(): void {
    this.isOrderOld = true;
    paint();
  }

  /** Brings a symbol into view, and moves the focus to it if a row has the focus. */
  reveal(symbol: string, withFocus: boolean): void {
    const index = this.order.findIndex((row) => row.symbol === symbol);
    if (index < 0) return;
    const height = this.rowHeight();
    const head = this.table.tHead?.offsetHeight ?? 0;
    const top = index * height;
    const view = this.scroll.clientHeight - head;
    if (top < this.scroll.scrollTop) this.scroll.scrollTop = top;
    else if (top + height > this.scroll.scrollTop + view) this.scroll.scrollTop = top + height - view;
    if (!withFocus) return;
    this.isWindowOld = true;
    this.paint(performance.now());
    this.views.find((row) => row.row?.symbol === symbol)?.focus();
  }

  repaintSparks(): void {
    for (const view of this.views) view.repaintSpark();
    paint();
  }

  paint(now: number): void {
    if (this.isOrderOld || (this.sort && this.sort.column !== "symbol" && now - this.sortedAt > SORT_EVERY)) {
      this.isOrderOld = false;
      this.isWindowOld = true;
      this.isPlaced = false;
      this.sortedAt = now;
      this.order = this.market.sorted(this.sort);
    }
    if (this.isWindowOld) this.placeRows();
    else if (now - this.writtenAt < WRITE_EVERY) return paint();
    this.writtenAt = now;
    let isLit = false;
    for (const view of this.views) isLit = view.paint(now, this.ink) || isLit;
    if (isLit) paint();
  }

  private placeRows(): void {
    this.isWindowOld = false;
    const height = this.rowHeight();
    const count = this.order.length;
    const { scrollTop, clientHeight } = this.scroll;
    const isInView = this.first * height <= scrollTop && Math.min(count, this.first + this.views.length) * height >= Math.min(count * height, scrollTop + clientHeight);
    for (const view of this.views) view.setSelected(view.row?.symbol === this.selected);
    if (this.isPlaced && isInView) return;
    this.isPlaced = true;
    setHidden(byId("list-empty"), count > 0);
    const fits = Math.ceil(clientHeight / height) + 2 * MARGIN;
    const first = Math.max(0, Math.min(Math.floor(scrollTop / height) - MARGIN, count - fits));
    const shown = Math.min(fits, count - first);
    while (this.views.length < shown) {
      const view = new RowView(this.events);
      this.views.push(view);
      this.below.before(view.element);
    }
    for (const view of this.views.splice(shown)) view.element.remove();
    // Rows that stay in view keep their elements, so that the focus and the flashes stay with their symbols.
    const focused = this.views.find((view) => view.element.contains(document.activeElement));
    const symbol = focused?.row?.symbol;
    const turn = first - this.first;
    if (turn > 0 && turn < shown) {
      const moved = this.views.splice(0, turn);
      this.views.push(...moved);
      this.below.before(...moved.map((view) => view.element));
    } else if (turn < 0 && -turn < shown) {
      const moved = this.views.splice(turn);
      this.views.unshift(...moved);
      this.above.after(...moved.map((view) => view.element));
    }
    this.first = first;
    this.views.forEach((view, at) => {
      const row = this.order[first + at];
      if (row) view.bind(row, first + at);
      view.setSelected(row?.symbol === this.selected);
    });
    if (focused && focused.row?.symbol !== symbol) this.views.find((view) => view.row?.symbol === symbol)?.focus();
    this.above.cells[0]!.style.height = `${first * height}px`;
    this.below.cells[0]!.style.height = `${(count - first - shown) * height}px`;
    this.above.hidden = first === 0;
    this.below.hidden = first + shown >= count;
    this.table.setAttribute("aria-rowcount", String(count + 1));
    this.events.shown(this.shown);
  }

  private rowHeight(): number {
    return parseFloat(getComputedStyle(this.table).getPropertyValue("--row")) || 40;
  }

  private readInk(): void {
    const style = getComputedStyle(document.documentElement);
    const color = (name: string) => style.getPropertyValue(name).trim();
    this.ink = { up: color("--up"), down: color("--down"), flat: color("--muted") };
    this.repaintSparks();
  }
}

/** A first click sorts numbers from the largest and symbols from A; a second one the other way; a third one not at all. */
function nextSort(sort: Sort | undefined, column: Column): Sort | undefined {
  const first = column !== "symbol";
  if (sort?.column !== column) return { column, descending: first };
  return sort.descending === first ? { column, descending: !first } : undefined;
}

function spacer(): HTMLTableRowElement {
  const row = element("tr", { class: "spacer" }, element("td"));
  row.setAttribute("aria-hidden", "true");
  return row;
}
