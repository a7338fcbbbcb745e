// The labels of the axes of the chart.

import type uPlot from "uplot";
import { formatClock, formatDate } from "./format";
import { fromSeconds } from "./time";

/** Steps of the price axis that its decimals can show. */
export function priceSteps(decimals: number): number[] {
  const steps: number[] = [];
  for (let power = -decimals; power <= 12; power++) {
    for (const digit of [1, 2, 5]) steps.push(Number(`${digit}e${power}`));
  }
  return steps;
}

const MONTH = 28 * 86_400;

/** Labels of the time axis: the time of day, and below it the date where it changes. */
export function timeLabels(plot: uPlot, splits: number[], step: number): string[] {
  let day = "";
  return splits.map((seconds) => {
    // A label would be cut off at the left edge.
    if (seconds < 0 || plot.valToPos(seconds, "x") < 36) return "";
    const instant = fromSeconds(seconds);
    const [, date, month, year] = formatDate(instant).split(" ");
    if (step >= 12 * MONTH) return year!;
    if (step >= MONTH) return month === "Jan" ? `${month}\n${year}` : month!;
    const now = step >= 86_400 ? year! : `${date} ${month} ${year}`;
    const below = now === day ? "" : `\n${now}`;
    day = now;
    if (step >= 86_400) return `${date} ${month}${below}`;
    return formatClock(instant, false).slice(0, step < 60 ? 8 : 5) + below;
  });
}

