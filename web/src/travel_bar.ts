// The controls of time travel, and the bar that says that the board is in the past.

import { SPEEDS } from "./address";
import { byId, element, setHidden, setText } from "./dom";
import { formatAge, formatClock, formatDate } from "./format";
import type { TapeClock } from "./tape_clock";
import { fromSeconds, type Instant, parseRfc3339, SECOND, toSeconds } from "./time";
import { ageAt, marks, placeOf } from "./time_scale";
import type { Travel } from "./travel";

const STEPS = 10_000;
const PLAY = "M4.5 2.8v10.4L13 8z";
const PAUSE = "M5 3v10M11 3v10";

export class TravelBar {
  private readonly slider = byId<HTMLInputElement>("slider");
  private readonly date = byId<HTMLInputElement>("date");
  private readonly picker = byId<HTMLInputElement>("picker");
  private readonly speed = byId<HTMLSelectElement>("speed");
  private readonly play = byId<HTMLButtonElement>("play");
  private readonly playPath = document.getElementById("play-path")!;
  private isDragged = false;
  private marked = 0;
  /** The first instant of the tape. */
  private beginning: Instant = 0n;

  constructor(
    private readonly travel: Travel,
    private readonly clock: TapeClock,
    private readonly notify: (message: string) => void,
  ) {
    for (const pace of SPEEDS) this.speed.append(new Option(`×${pace.toLocaleString("en-US")}`, String(pace)));
    this.speed.addEventListener("change", () => travel.setSpeed(Number(this.speed.value)));
    this.play.addEventListener("click", () => this.toggle());
    byId("step-back").addEventListener("click", () => void travel.step(-1));
    byId("step-forward").addEventListener("click", () => void travel.step(1));
    for (const id of ["live", "past-live"]) byId(id).addEventListener("click", () => travel.live());
    this.slider.addEventListener("input", () => {
      this.isDragged = true;
      this.slide();
    });
    this.slider.addEventListener("change", () => {
      this.isDragged = false;
      this.slide();
    });
    this.date.addEventListener("change", () => this.goTo(this.date.value));
    this.date.addEventListener("focus", () => this.date.select());
    this.date.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.date.value = "";
      if (event.key === "Escape" || event.key === "Enter") this.date.blur();
    });
    byId("pick").addEventListener("click", () => {
      this.picker.value = dateText(this.shown()).slice(0, 19).replace(" ", "T");
      this.picker.showPicker();
    });
    this.picker.addEventListener("change", () => this.goTo(this.picker.value));
  }

  setBeginning(instant: Instant): void {
    this.beginning = instant;
    this.marked = 0;
  }

  toggle(): void {
    if (this.travel.mode === "paused") this.travel.play();
    else this.travel.pause();
  }

  changeSpeed(steps: number): void {
    const at = SPEEDS.indexOf(this.travel.speed as (typeof SPEEDS)[number]) + steps;
    const speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, at))]!;
    this.travel.setSpeed(speed);
  }

  /** Writes the instant and the mode. */
  paint(): void {
    const { mode, instant, speed, isSeeking } = this.travel;
    const isLive = mode === "live";
    const present = this.clock.read();
    document.body.dataset.mode = mode;
    setHidden(byId("past"), isLive);
    const label = mode === "playing" ? "Replay" : "Paused";
    this.playPath.setAttribute("d", mode === "paused" ? PLAY : PAUSE);
    this.play.classList.toggle("is-play", mode === "paused");
    const action = mode === "paused" ? "Play" : "Pause";
    this.play.setAttribute("aria-label", action);
    this.play.title = `${action} (Space)`;
    this.speed.value = String(speed);
    byId<HTMLButtonElement>("live").disabled = isLive;
    if (!this.clock.isSet) return;
    if (!isLive) {
      setText(byId("past-label"), mode === "playing" ? `${label} ×${speed.toLocaleString("en-US")}` : label);
      setText(byId("past-time"), `${formatDate(instant)}  ${formatClock(instant)} UTC`);
      setText(byId("past-age"), formatAge(toSeconds(present - instant)));
      byId("past").classList.toggle("is-seeking", isSeeking);
    }
    this.writeMarks(present);
    const shown = this.shown();
    if (!this.isDragged) {
      const place = isLive ? 1 : placeOf(toSeconds(present - instant), this.whole(present));
      const value = String(Math.round(place * STEPS));
      if (this.slider.value !== value) this.slider.value = value;
      this.slider.style.setProperty("--place", `${(place * 100).toFixed(2)}%`);
    }
    const spoken = isLive ? "Live" : `${formatDate(shown)} ${formatClock(shown, false)} UTC`;
    if (this.slider.getAttribute("aria-valuetext") !== spoken) this.slider.setAttribute("aria-valuetext", spoken);
    if (document.activeElement !== this.date) {
      const value = dateText(isLive ? shown - (shown % SECOND) : shown);
      if (this.date.value !== value) this.date.value = value;
    }
  }

  private shown(): Instant {
    return this.travel.mode === "live" ? this.clock.read() : this.travel.instant;
  }

  private whole(present: Instant): number {
    return Math.max(60, toSeconds(present - this.beginning));
  }

  private slide(): void {
    const place = Number(this.slider.value) / STEPS;
    this.slider.style.setProperty("--place", `${place * 100}%`);
    if (place >= 1) {
      if (!this.isDragged) this.travel.live();
      return;
    }
    const present = this.clock.read();
    const age = ageAt(place, this.whole(present));
    // The longer ago, the rounder: nobody looks for a millisecond of last year with a slider.
    const grain = age > 7 * 86_400 ? 60 : age > 3_600 ? 1 : 0.1;
    const seconds = Math.max(toSeconds(this.beginning), Math.floor((toSeconds(present) - age) / grain) * grain);
    this.travel.seek(fromSeconds(seconds));
  }

  private goTo(text: string): void {
    if (text === "" || text === dateText(this.shown())) return;
    const instant = parseRfc3339(text);
    if (instant === undefined) this.notify(`“${text}” is not a date from 1970 on. Write it like 2026-11-20 09:15:00.5, in UTC.`);
    else this.travel.seek(instant);
  }

  private writeMarks(present: Instant): void {
    const whole = this.whole(present);
    if (this.marked !== 0 && Math.abs(whole / this.marked - 1) < 0.001) return;
    this.marked = whole;
    const list = byId("marks");
    const start = element("span", { text: formatDate(this.beginning).slice(-4) });
    start.style.left = "0%";
    list.replaceChildren(
      start,
      ...marks(whole).map(({ label, place }) => {
        const mark = element("span", { text: label });
        mark.style.left = `${place * 100}%`;
        return mark;
      }),
    );
  }
}

/** What the date box shows: to the millisecond, or to the second at a whole one. */
function dateText(instant: Instant): string {
  return new Date(Number(instant / 1_000_000n)).toISOString().slice(0, 23).replace("T", " ").replace(/\.000$/, "");
}
