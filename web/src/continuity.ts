// Proves that no tick is missing: the sequence of a symbol rises by one plus the ticks that the server says it left out.

export class Continuity {
  /** Ticks that were taken. */
  received = 0;
  /** Ticks that the server left out and counted, because the reader was slow or had asked for fewer. */
  conflated = 0;
  /** Ticks that are missing, counted or not reported at all. */
  lost = 0;
  /** How often ticks were missing. */
  gaps = 0;

  private readonly positions = new Map<string, bigint>();

  /** The last sequence of a symbol. */
  position(symbol: string): bigint | undefined {
    return this.positions.get(symbol);
  }

  entries(): IterableIterator<[string, bigint]> {
    return this.positions.entries();
  }

  /** Continues after ticks that came in another way. */
  resumeAfter(symbol: string, sequence: bigint): void {
    this.positions.set(symbol, sequence);
  }

  forget(symbol: string): void {
    this.positions.delete(symbol);
  }

  /** Begins another line of time. The counters go on. */
  forgetAll(): void {
    this.positions.clear();
  }

  /** Begins another tape: nothing of the one before counts any more. */
  reset(): void {
    this.positions.clear();
    this.received = this.conflated = this.lost = this.gaps = 0;
  }

  /** Takes a tick; false for one that came already, as when two streams overlap. */
  take(symbol: string, sequence: bigint, conflated: bigint): boolean {
    const position = this.positions.get(symbol);
    if (position !== undefined) {
      if (sequence <= position) return false;
      // The last tick before this one that was sent or counted. It may lie before the position when streams overlap.
      const before = sequence - conflated - 1n;
      if (before > position) this.lose(before - position);
      this.conflated += Number(sequence - 1n - (before > position ? before : position));
    }
    this.positions.set(symbol, sequence);
    this.received += 1;
    return true;
  }

  /** Takes the server's report that the ticks from `first` to `last` were left out. */
  gap(symbol: string, first: bigint, last: bigint): void {
    const position = this.positions.get(symbol);
    const from = position !== undefined && position >= first ? position + 1n : first;
    if (last < from) return;
    this.lose(last - from + 1n);
    this.positions.set(symbol, last);
  }

  private lose(ticks: bigint): void {
    this.lost += Number(ticks);
    this.gaps += 1;
  }
}
