// Fills the sparklines of the rows in view with candles of the minutes before.

import type { History } from "./history";
import type { Row } from "./market";
import { SPARK_SECONDS } from "./spark";

const CALLS = 2;
const SPAN = 15 * 60;

export class SparkFiller {
  private waiting = new Set<Row>();
  private busy = 0;
  private calls = new AbortController();

  constructor(
    private readonly history: History,
    /** The instant that is shown, in seconds. */
    private readonly now: () => number,
  ) {}

  /** Fills these rows next; others that wait are out of view by now, and come again when they are in view. */
  want(rows: Row[]): void {
    for (const row of rows) {
      if (!row.spark.isFilled && !row.isStale && row.sequence >= 0n) this.waiting.add(row);
    }
    this.work();
  }

  cancel(): void {
    this.calls.abort();
    this.calls = new AbortController();
    this.waiting.clear();
    this.busy = 0;
  }

  private work(): void {
    while (this.busy < CALLS) {
      const [row] = this.waiting;
      if (!row) return;
      this.waiting.delete(row);
      void this.fill(row);
    }
  }

  private async fill(row: Row): Promise<void> {
    const { signal } = this.calls;
    this.busy += 1;
    row.spark.isFilled = true;
    const end = Math.floor(this.now() / SPARK_SECONDS) * SPARK_SECONDS;
    try {
      const candles = await this.history.candles(row, SPARK_SECONDS, Math.max(0, end - SPAN), end, signal);
      if (signal.aborted) return;
      row.spark.fill(
        candles.map((candle) => Math.floor(candle.time / SPARK_SECONDS)),
        candles.map((candle) => candle.close),
      );
      row.version += 1;
    } catch {
      row.spark.isFilled = false;
      if (signal.aborted) return;
    }
    this.busy -= 1;
    this.work();
  }
}
