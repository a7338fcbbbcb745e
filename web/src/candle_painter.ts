// Draws candles, volume and the last price on the canvas of the chart.

import type uPlot from "uplot";
import type { Candle } from "./candles";
import { formatPrice } from "./format";
import type { Row } from "./market";

export interface Ink {
  up: string;
  down: string;
  text: string;
  line: string;
  panel: string;
}

/** Share of the height that the largest volume takes, and of the width that the body of a candle takes. */
const VOLUME = 0.16;
const BODY = 0.72;

export function drawCandles(plot: uPlot, candles: Candle[], interval: number, ink: Ink): void {
  const { ctx, bbox } = plot;
  const { min = 0, max = 1 } = plot.scales.x!;
  const ratio = devicePixelRatio || 1;
  const each = (bbox.width * interval) / (max - min);
  const body = Math.max(1, Math.min(Math.floor(each * BODY), each - ratio));
  const wick = Math.max(1, Math.min(Math.round(ratio), body));
  const bottom = bbox.top + bbox.height;
  const mostVolume = candles.reduce((most, { volume }) => Math.max(most, volume), 0) || 1;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const direction of ["up", "down"] as const) {
    const volumes = new Path2D();
    const bodies = new Path2D();
    for (const candle of candles) {
      if ((candle.close >= candle.open ? "up" : "down") !== direction) continue;
      const x = plot.valToPos(candle.time + interval / 2, "x", true);
      const y = (price: number) => plot.valToPos(price, "y", true);
      const [top, foot] = [y(Math.max(candle.open, candle.close)), y(Math.min(candle.open, candle.close))];
      const [high, low] = [y(candle.high), y(candle.low)];
      const tall = (candle.volume / mostVolume) * bbox.height * VOLUME;
      volumes.rect(Math.round(x - body / 2), bottom - tall, body, tall);
      bodies.rect(Math.round(x - wick / 2), high, wick, Math.max(1, low - high));
      bodies.rect(Math.round(x - body / 2), top, body, Math.max(ratio, foot - top));
    }
    ctx.fillStyle = ink[direction];
    ctx.globalAlpha = 0.32;
    ctx.fill(volumes);
    ctx.globalAlpha = 1;
    ctx.fill(bodies);
  }
  ctx.restore();
}

/** The last price, as a dashed line and a tag on the axis. */
export function drawLast(plot: uPlot, row: Row, ink: Ink, font: string): void {
  const { ctx, bbox } = plot;
  const { min = 0, max = 0 } = plot.scales.y!;
  if (!(row.last > min && row.last < max)) return;
  const ratio = devicePixelRatio || 1;
  const y = Math.round(plot.valToPos(row.last, "y", true));
  const right = bbox.left + bbox.width;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = row.change < 0 ? ink.down : ink.up;
  ctx.lineWidth = ratio;
  ctx.setLineDash([2 * ratio, 3 * ratio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y + 0.5);
  ctx.lineTo(right, y + 0.5);
  ctx.stroke();
  ctx.setLineDash([]);
  const text = formatPrice(row.last, row.decimals);
  ctx.font = `600 ${11 * ratio}px ${font}`;
  const width = ctx.measureText(text).width + 10 * ratio;
  ctx.beginPath();
  ctx.roundRect(right + 2 * ratio, y - 9 * ratio, width, 18 * ratio, 3 * ratio);
  ctx.fill();
  ctx.fillStyle = ink.panel;
  ctx.textAlign = "left";
  ctx.textBaseline = "middle";
  ctx.fillText(text, right + 7 * ratio, y + ratio * 0.5);
  ctx.restore();
}
