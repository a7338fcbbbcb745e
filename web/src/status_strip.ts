// The strip at the bottom: the connection, and the proof that nothing is lost.

import { byId, setText } from "./dom";
import type { Feed } from "./feed";
import { formatCount, formatSpan } from "./format";
import type { Mode } from "./travel";

/** The rate is measured over this time, in milliseconds. */
const RATE_OVER = 1_000;

export class StatusStrip {
  private readonly connection = byId("connection");
  private readonly text = byId("connection-text");
  private ratedAt = 0;
  private ratedReceived = 0;
  private rate = 0;

  constructor(private readonly feed: Feed) {}

  paint(now: number, mode: Mode, isStarted: boolean): void {
    const { continuity, state } = this.feed;
    const kind = state.kind !== "off" ? state.kind : mode === "paused" ? "paused" : isStarted ? "off" : "connecting";
    this.connection.dataset.state = kind;
    setText(this.text, this.describe(kind));
    this.connection.title = "message" in state ? state.message : "";
    this.write("endpoint", this.feed.endpoint.replace(/^https?:\/\//, ""));
    byId("fact-endpoint").title = this.feed.endpoint;
    this.write("tape", this.feed.tapeId.slice(0, 12) || "–");
    byId("fact-tape").title = this.feed.tapeId;
    this.write("received", formatCount(continuity.received));
    this.write("conflated", formatCount(continuity.conflated));
    this.write("lost", formatCount(continuity.lost));
    this.write("gaps", formatCount(continuity.gaps));
    this.write("reconnects", formatCount(this.feed.reconnects));
    this.write("without", formatSpan(this.feed.withoutStream));
    byId("fact-lost").parentElement!.dataset.lost = String(continuity.lost > 0);
    if (now - this.ratedAt >= RATE_OVER) {
      this.rate = Math.max(0, ((continuity.received - this.ratedReceived) * 1_000) / (now - this.ratedAt));
      this.ratedAt = now;
      this.ratedReceived = continuity.received;
      this.write("rate", `${formatCount(this.rate)}/s`);
    }
  }

  private describe(kind: string): string {
    const { state } = this.feed;
    switch (kind) {
      case "paused":
        return "Paused";
      case "off":
        return "No stream";
      case "connecting":
        return "Connecting";
      case "connected":
        return "Connected";
      case "moving":
        return "Replica is stopping: moving on";
      case "reconnecting":
        return state.kind === "reconnecting" && state.attempt > 1 ? `Reconnecting, attempt ${state.attempt}` : "Reconnecting";
      case "unauthenticated":
        return "A token is needed";
      default:
        return "message" in state ? `Refused: ${state.message}` : "Refused";
    }
  }

  private write(fact: string, text: string): void {
    setText(byId(`fact-${fact}`), text);
  }
}
