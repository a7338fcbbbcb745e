// Which replica to try next, and when.

const FIRST_BACKOFF = 50;
const LONGEST_BACKOFF = 5_000;

export class Rotation {
  private at = 0;
  /** Attempts that failed since the last stream that worked. */
  private failures = 0;
  private readonly foreign = new Set<string>();

  constructor(
    readonly endpoints: readonly string[],
    private readonly random: () => number = Math.random,
  ) {}

  /** The replica to use now. */
  get current(): string {
    return this.endpoints[this.at]!;
  }

  /** Goes to the next replica that is not known to play another tape. */
  advance(): void {
    for (let step = 0; step < this.endpoints.length; step++) {
      this.at = (this.at + 1) % this.endpoints.length;
      if (!this.foreign.has(this.current)) return;
    }
  }

  succeeded(): void {
    this.failures = 0;
  }

  /**
   * Notes a failure and goes to the next replica. Returns how long to wait before it is tried, in milliseconds: nothing
   * the first time, then a random time up to a backoff that doubles once all replicas were tried.
   */
  failed(): number {
    this.advance();
    const round = Math.floor(this.failures / this.endpoints.length);
    const backoff = Math.min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** Math.min(round, 20));
    const wait = this.failures === 0 && this.endpoints.length > 1 ? 0 : this.random() * backoff;
    this.failures += 1;
    return wait;
  }

  /** Notes that a replica plays another tape and goes to the next one. False when all of them do. */
  skipForeign(endpoint: string): boolean {
    this.foreign.add(endpoint);
    if (this.foreign.size < this.endpoints.length) {
      this.advance();
      return true;
    }
    this.foreign.clear();
    return false;
  }

  isForeign(endpoint: string): boolean {
    return this.foreign.has(endpoint);
  }
}
