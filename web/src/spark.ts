// The prices of the last minutes of one symbol, in few points.

/** Length of a point, in seconds, and how many are kept: a quarter of an hour. */
export const SPARK_SECONDS = 15;
const POINTS = 60;

export class Spark {
  /** The last price of each point, and its number since the Unix epoch. Points without a trade are missing. */
  readonly prices: number[] = [];
  readonly at: number[] = [];
  /** Past points were asked for. */
  isFilled = false;

  /** Adds a trade, not older than the last one. */
  add(seconds: number, price: number): void {
    const at = Math.floor(seconds / SPARK_SECONDS);
    const last = this.at.length - 1;
    if (last >= 0 && this.at[last]! >= at) {
      this.prices[last] = price;
      return;
    }
    this.at.push(at);
    this.prices.push(price);
    this.dropOld();
  }

  /** Adds points before those that are here. */
  fill(at: number[], prices: number[]): void {
    const first = this.at[0] ?? Infinity;
    const count = at.findIndex((point) => point >= first);
    const before = count < 0 ? at.length : count;
    this.at.unshift(...at.slice(0, before));
    this.prices.unshift(...prices.slice(0, before));
    this.dropOld();
  }

  clear(): void {
    this.at.length = this.prices.length = 0;
    this.isFilled = false;
  }

  /** The first point of the time that is shown. */
  get start(): number {
    return (this.at[this.at.length - 1] ?? 0) - POINTS;
  }

  /** Change from the first price to the last, as a share. */
  get trend(): number {
    const first = this.prices[0];
    const last = this.prices[this.prices.length - 1];
    return first && last ? last / first - 1 : NaN;
  }

  draw(context: CanvasRenderingContext2D, width: number, height: number, color: string): void {
    context.clearRect(0, 0, width, height);
    if (this.prices.length < 2) return;
    let low = Infinity;
    let high = -Infinity;
    for (const price of this.prices) {
      if (price < low) low = price;
      if (price > high) high = price;
    }
    const margin = height * 0.12;
    const scale = high > low ? (height - 2 * margin) / (high - low) : 0;
    const x = (index: number) => ((this.at[index]! - this.start) / POINTS) * (width - margin);
    const y = (index: number) => (scale === 0 ? height / 2 : height - margin - (this.prices[index]! - low) * scale);
    context.beginPath();
    context.moveTo(x(0), y(0));
    for (let index = 1; index < this.prices.length; index++) context.lineTo(x(index), y(index));
    context.strokeStyle = color;
    context.lineWidth = Math.max(1, height / 18);
    context.lineJoin = "round";
    context.stroke();
    const last = this.prices.length - 1;
    context.lineTo(x(last), height);
    context.lineTo(x(0), height);
    context.globalAlpha = 0.12;
    context.fillStyle = color;
    context.fill();
    context.globalAlpha = 1;
  }

  private dropOld(): void {
    let old = 0;
    while (old < this.at.length && this.at[old]! < this.start) old += 1;
    if (old > 0) {
      this.at.splice(0, old);
      this.prices.splice(0, old);
    }
  }
}
