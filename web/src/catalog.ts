// Reads what the board needs to begin: the tape, and the instruments of the watch list. It waits for an answer.

import { Code, ConnectError } from "@connectrpc/connect";
import type { Address } from "./address";
import type { GetTapeResponse, Instrument } from "./gen/ticker/v1/ticker_pb";
import type { Replicas } from "./replicas";

const PAGE = 1_000;
/** Pages that are read for the names of the symbols in the address. */
const MOST_PAGES = 20;
const FIRST_BACKOFF = 200;
const LONGEST_BACKOFF = 5_000;

export interface CatalogEvents {
  /** An attempt failed for a reason that waiting may mend. */
  failed(error: ConnectError, attempt: number): void;
  /** An answer came after attempts that failed. */
  answered(): void;
}

export class Catalog {
  private retry: () => void = () => {};

  constructor(
    private readonly replicas: Replicas,
    private readonly events: CatalogEvents,
  ) {}

  tape(): Promise<GetTapeResponse> {
    return this.untilAnswered((signal) => this.replicas.call((client, options) => client.getTape({}, options), signal));
  }

  /** The instruments of a watch list and maybe others; `isAll` when there are no more. Without a list, the first page. */
  async instruments(symbols: Address["symbols"]): Promise<{ instruments: Instrument[]; isAll: boolean }> {
    const instruments: Instrument[] = [];
    const unknown = new Set(Array.isArray(symbols) ? symbols : []);
    let pageToken = "";
    for (let page = 0; page < MOST_PAGES; page++) {
      const request = { pageSize: PAGE, pageToken };
      const answer = await this.untilAnswered((signal) =>
        this.replicas.call((client, options) => client.listInstruments(request, options), signal),
      );
      instruments.push(...answer.instruments);
      for (const { symbol } of answer.instruments) unknown.delete(symbol);
      pageToken = answer.nextPageToken;
      if (pageToken === "" || (symbols !== "*" && unknown.size === 0)) break;
    }
    return { instruments, isAll: pageToken === "" };
  }

  /** Tries at once: there is a token, or the network is back. */
  retryNow(): void {
    this.retry();
  }

  private async untilAnswered<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal } = new AbortController();
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await call(signal);
        if (attempt > 0) this.events.answered();
        return answer;
      } catch (error) {
        const failure = ConnectError.from(error);
        const backoff = Math.random() * Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** attempt);
        await new Promise<void>((resolve) => {
          this.retry = resolve;
          // Without a token there is no use in trying again.
          if (failure.code === Code.Unauthenticated) return;
          this.events.failed(failure, attempt);
          setTimeout(resolve, backoff);
        });
      }
    }
  }
}
