// The time on the tape, as far as the board knows it. A recorded tape plays at another time than now, and at its own pace.

import { type Instant } from "./time";

export class TapeClock {
  private instant: Instant = 0n;
  private at = 0;
  private speed = 1;

  constructor(private readonly now: () => number = () => performance.now()) {}

  get isSet(): boolean {
    return this.instant > 0n;
  }

  set(instant: Instant, speed = this.speed): void {
    this.instant = instant;
    this.speed = speed;
    this.at = this.now();
  }

  read(): Instant {
    return this.instant + BigInt(Math.round((this.now() - this.at) * this.speed * 1e6));
  }
}
