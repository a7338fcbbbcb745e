// What the board shows, as the query of its address, so that it can be shared.

import { formatInterval } from "./format";
import { formatRfc3339, type Instant, parseRfc3339 } from "./time";

export const INTERVALS = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400] as const;
export const SPEEDS = [1, 5, 10, 60, 100, 300, 1_000] as const;
export const COLUMNS = ["symbol", "last", "change", "percent", "range", "volume", "trend"] as const;

export type Column = (typeof COLUMNS)[number];

export interface Sort {
  column: Column;
  descending: boolean;
}

export interface Address {
  /** The watch list; `*` for all instruments; undefined for the board's own choice. */
  symbols: string[] | "*" | undefined;
  /** The symbol of the chart. */
  selected: string | undefined;
  /** Length of a candle, in seconds. */
  interval: number;
  sort: Sort | undefined;
  /** The instant that is shown; undefined for live. */
  time: Instant | undefined;
  /** Pace of a replay. */
  speed: number;
  /** Base URLs of the replicas. */
  endpoints: string[];
}

/** Reads a query. Whatever is malformed is taken as absent: a link with a mistake still opens. */
export function parseAddress(query: string, origin: string): Address {
  const parameters = new URLSearchParams(query);
  const list = (name: string) => unique((parameters.get(name) ?? "").split(",").map((item) => item.trim()).filter(Boolean));
  const symbols = list("symbols");
  const interval = INTERVALS.find((seconds) => formatInterval(seconds) === parameters.get("interval"));
  const speed = SPEEDS.find((pace) => String(pace) === parameters.get("speed"));
  const endpoints = unique(list("endpoints").map(baseUrl).filter((url) => url !== undefined));
  return {
    symbols: symbols.includes("*") ? "*" : symbols.length > 0 ? symbols : undefined,
    selected: parameters.get("selected") || undefined,
    interval: interval ?? 60,
    sort: parseSort(parameters.get("sort") ?? ""),
    time: parseRfc3339(parameters.get("time") ?? ""),
    speed: speed ?? 1,
    endpoints: endpoints.length > 0 ? endpoints : [origin],
  };
}

/** The query of an address, with the leading `?`; empty when everything has its default. */
export function formatAddress(address: Address, origin: string): string {
  const parts: string[] = [];
  const add = (name: string, values: string[]) => {
    // Commas and what symbols are made of stay readable; what would end or change the value does not.
    const text = values.map((value) => encodeURIComponent(value).replace(/%(2F|3A|3D|40)/g, decodeURIComponent));
    parts.push(`${name}=${text.join(",")}`);
  };
  if (address.endpoints.length !== 1 || address.endpoints[0] !== origin) add("endpoints", address.endpoints);
  if (address.symbols !== undefined) add("symbols", address.symbols === "*" ? ["*"] : address.symbols);
  if (address.selected !== undefined) add("selected", [address.selected]);
  if (address.interval !== 60) add("interval", [formatInterval(address.interval)]);
  if (address.sort) add("sort", [(address.sort.descending ? "-" : "") + address.sort.column]);
  if (address.time !== undefined) add("time", [formatRfc3339(address.time)]);
  if (address.speed !== 1) add("speed", [String(address.speed)]);
  return parts.length > 0 ? `?${parts.join("&")}` : "";
}

function parseSort(text: string): Sort | undefined {
  const descending = text.startsWith("-");
  const column = COLUMNS.find((name) => name === text.slice(descending ? 1 : 0));
  return column && { column, descending };
}

/** A base URL without a slash at its end; undefined unless it is http or https. */
function baseUrl(text: string): string | undefined {
  try {
    const url = new URL(text);
    if (url.protocol !== "http:" && url.protocol !== "https:") return undefined;
    return (url.origin + url.pathname).replace(/\/+$/, "");
  } catch {
    return undefined;
  }
}

function unique(items: string[]): string[] {
  return [...new Set(items)];
}
