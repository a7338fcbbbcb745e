// Search over all instruments of the tape, page by page.

import { byId, element, setHidden, setText } from "./dom";
import type { Instrument } from "./gen/ticker/v1/ticker_pb";
import type { Replicas } from "./replicas";

const PAGE = 50;
/** After the last key, before the server is asked, in milliseconds. */
const TYPING = 120;

export interface SearchEvents {
  isWatched(symbol: string): boolean;
  pick(instrument: Instrument): void;
  remove(symbol: string): void;
  watchAll(): void;
}

export class Search {
  private readonly input = byId<HTMLInputElement>("search");
  private readonly panel = byId("found-panel");
  private readonly list = byId<HTMLUListElement>("found");
  private readonly note = byId("found-note");
  private readonly found = new Map<HTMLLIElement, Instrument>();
  private active: HTMLLIElement | undefined;
  private nextPage: string | undefined;
  private calls = new AbortController();
  private typing: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly replicas: Replicas,
    private readonly events: SearchEvents,
  ) {
    this.input.addEventListener("focus", () => this.begin());
    this.input.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.begin(), TYPING);
    });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.list;
      if (scrollHeight - scrollTop - clientHeight < 200) void this.more();
    });
    this.list.addEventListener("pointermove", (event) => this.activate(itemOf(event)));
    this.list.addEventListener("click", (event) => {
      const item = itemOf(event);
      if (item) this.pick(item, event.target instanceof Element && event.target.closest(".toggle") !== null);
    });
    document.addEventListener("pointerdown", (event) => {
      if (event.target instanceof Node && !this.panel.parentElement!.contains(event.target)) this.close();
    });
    this.input.addEventListener("blur", (event) => {
      if (!(event.relatedTarget instanceof Node && this.panel.contains(event.relatedTarget))) this.close();
    });
    // The list keeps the focus in the input, so that typing goes on.
    this.panel.addEventListener("mousedown", (event) => event.preventDefault());
  }

  open(): void {
    this.input.focus();
    this.input.select();
  }

  private close(): void {
    clearTimeout(this.typing);
    this.calls.abort();
    setHidden(this.panel, true);
    this.input.setAttribute("aria-expanded", "false");
    this.input.removeAttribute("aria-activedescendant");
  }

  private begin(): void {
    this.calls.abort();
    this.calls = new AbortController();
    this.nextPage = "";
    void this.more(true);
  }

  /** Asks for the next page. */
  private async more(isFirst = false): Promise<void> {
    const pageToken = this.nextPage;
    if (pageToken === undefined) return;
    this.nextPage = undefined;
    const { signal } = this.calls;
    const search = this.input.value.trim();
    try {
      const request = { search, pageSize: PAGE, pageToken };
      const page = await this.replicas.call((client, options) => client.listInstruments(request, options), signal);
      if (signal.aborted) return;
      if (isFirst) this.clear(search);
      for (const instrument of page.instruments) this.add(instrument);
      this.nextPage = page.nextPageToken || undefined;
      const count = this.found.size;
      setText(this.note, count > 0 ? "" : `No instrument has “${search}” in its symbol or name.`);
      if (isFirst) this.activate(this.list.querySelector("li") ?? undefined);
    } catch (error) {
      if (signal.aborted) return;
      if (isFirst) this.clear(search);
      setText(this.note, `The search failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    setHidden(this.note, this.note.textContent === "");
    setHidden(this.panel, false);
    this.input.setAttribute("aria-expanded", "true");
  }

  private clear(search: string): void {
    this.list.replaceChildren();
    this.list.scrollTop = 0;
    this.found.clear();
    this.active = undefined;
    if (search !== "") return;
    const all = element("li", { class: "all" }, element("strong", { text: "*" }), element("span", { text: "Watch all instruments" }));
    all.setAttribute("role", "option");
    all.id = "found-all";
    this.list.append(all);
  }

  private add(instrument: Instrument): void {
    const { symbol, name, kind, currency } = instrument;
    const item = element(
      "li",
      {},
      element("strong", { text: symbol }),
      element("span", { class: "name", text: name === symbol ? "" : name }),
      element("span", { class: "kind", text: [kind, currency].filter(Boolean).join(" · ") }),
      element("span", { class: "toggle" }),
    );
    item.setAttribute("role", "option");
    item.id = `found-${this.found.size}`;
    item.dataset.symbol = symbol;
    this.found.set(item, instrument);
    this.mark(item);
    this.list.append(item);
  }

  private mark(item: HTMLLIElement): void {
    const isWatched = this.events.isWatched(item.dataset.symbol ?? "");
    item.classList.toggle("is-watched", isWatched);
    const toggle = item.querySelector<HTMLElement>(".toggle");
    if (toggle) {
      toggle.textContent = isWatched ? "✓" : "+";
      toggle.title = isWatched ? "Remove from the list" : "Add to the list";
    }
  }

  private activate(item: HTMLLIElement | undefined): void {
    if (!item || item === this.active) return;
    this.active?.removeAttribute("aria-selected");
    this.active = item;
    item.setAttribute("aria-selected", "true");
    this.input.setAttribute("aria-activedescendant", item.id);
  }

  /** Adds an instrument and shows its chart; with `isToggle` it only goes in or out of the list, and the search stays open. */
  private pick(item: HTMLLIElement, isToggle: boolean): void {
    const instrument = this.found.get(item);
    if (!instrument) this.events.watchAll();
    else if (isToggle && this.events.isWatched(instrument.symbol)) this.events.remove(instrument.symbol);
    else this.events.pick(instrument);
    if (isToggle) return this.mark(item);
    this.input.value = "";
    this.input.blur();
  }

  private key(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      this.input.value = "";
      this.input.blur();
    } else if (event.key === "Enter" && this.active && !this.panel.hidden) {
      this.pick(this.active, event.ctrlKey || event.metaKey);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const next = event.key === "ArrowDown" ? this.active?.nextElementSibling : this.active?.previousElementSibling;
      this.activate((next as HTMLLIElement | null) ?? undefined);
      this.active?.scrollIntoView({ block: "nearest" });
    } else {
      return;
    }
    event.preventDefault();
  }
}

function itemOf(event: Event): HTMLLIElement | undefined {
  return (event.target instanceof Element && event.target.closest("li")) || undefined;
}
