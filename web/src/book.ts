// Bid and ask of the selected symbol, and the figures of its day.

import { byId, element, setText } from "./dom";
import { formatClock, formatDate, formatPercent, formatPrice, formatQuantity, formatSigned, NONE } from "./format";
import type { Row } from "./market";

const FACTS = ["Open", "High", "Low", "Previous close", "Volume", "Last size", "Last time", "Sequence"] as const;

export class Book {
  private readonly symbol = byId("symbol");
  private readonly name = byId("name");
  private readonly last = byId("last");
  private readonly change = byId("last-change");
  private readonly bid = side("Bid", "bid");
  private readonly ask = side("Ask", "ask");
  private readonly spread = element("dd", { class: "spread-value" });
  private readonly facts = new Map<(typeof FACTS)[number], HTMLElement>();
  private row: Row | undefined;
  private version = -1;
  private moves = -1;

  constructor() {
    const spread = element("div", { class: "spread" }, element("dt", { text: "Spread" }), this.spread);
    const host = byId("book");
    host.append(this.bid.element, this.ask.element, spread);
    for (const fact of FACTS) {
      const value = element("dd", { text: NONE });
      this.facts.set(fact, value);
      host.append(element("div", { class: "fact" }, element("dt", { text: fact }), value));
    }
    this.facts.get("Sequence")!.dataset.testid = "selected-sequence";
  }

  show(row: Row | undefined): void {
    this.row = row;
    this.version = -1;
    this.moves = row?.moves ?? -1;
  }

  paint(): void {
    const { row } = this;
    if (!row || row.version === this.version) return;
    this.version = row.version;
    const { decimals, quote } = row;
    const price = (value: number | undefined) => formatPrice(value ?? NaN, decimals);
    setText(this.symbol, row.symbol);
    const { instrument } = row;
    setText(this.name, row.refusal ?? [row.name, instrument?.kind, instrument?.currency].filter(Boolean).join(" · "));
    setText(this.last, price(row.last));
    if (row.moves !== this.moves) {
      this.moves = row.moves;
      // Two names of one animation, so that it begins again.
      this.last.dataset.flash = `${row.direction > 0 ? "up" : "down"}-${row.moves % 2}`;
    }
    const arrow = row.change > 0 ? "▲ " : row.change < 0 ? "▼ " : "";
    const isKnown = !Number.isNaN(row.change);
    setText(this.change, isKnown ? `${arrow}${formatSigned(row.change, decimals)}  ${formatPercent(row.percent)}` : "");
    this.change.className = `delta ${row.change > 0 ? "up" : row.change < 0 ? "down" : ""}`;
    const bid = quote?.bid ?? NaN;
    const ask = quote?.ask ?? NaN;
    const [bidQuantity, askQuantity] = [quote?.bidQuantity ?? NaN, quote?.askQuantity ?? NaN];
    const both = bidQuantity + askQuantity;
    for (const [view, value, quantity] of [[this.bid, bid, bidQuantity], [this.ask, ask, askQuantity]] as const) {
      setText(view.price, price(value));
      setText(view.quantity, Number.isNaN(value) ? "no book" : formatQuantity(quantity));
      view.bar.style.transform = `scaleX(${Number.isFinite(both) && both > 0 ? (quantity / both).toFixed(3) : 0})`;
    }
    const spread = ask - bid;
    setText(this.spread, Number.isNaN(spread) ? NONE : `${price(spread)} · ${((spread / ((ask + bid) / 2)) * 1e4).toFixed(1)} bp`);
    this.write("Open", price(quote?.open));
    this.write("High", price(quote?.high));
    this.write("Low", price(quote?.low));
    this.write("Previous close", price(quote?.previousClose));
    this.write("Volume", formatQuantity(quote?.volume ?? NaN));
    const isTraded = !Number.isNaN(row.last);
    this.write("Last size", formatQuantity(row.lastQuantity));
    this.write("Last time", isTraded ? formatClock(row.time) : NONE);
    this.write("Sequence", isTraded ? String(row.sequence) : NONE);
    this.facts.get("Last time")!.title = isTraded ? `${formatDate(row.time)} ${formatClock(row.time)} UTC` : "";
  }

  private write(fact: (typeof FACTS)[number], text: string): void {
    setText(this.facts.get(fact)!, text);
  }
}

function side(label: string, kind: string) {
  const price = element("dd", { class: "side-price" });
  const quantity = element("span");
  const bar = element("i");
  price.dataset.testid = `${kind}-price`;
  quantity.dataset.testid = `${kind}-quantity`;
  const size = element("dd", { class: "side-quantity" }, quantity, bar);
  const whole = element("div", { class: `side ${kind}` }, element("dt", { text: label }), price, size);
  return { element: whole, price, quantity, bar };
}
