package com.example.ticker;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.time.ZoneOffset.UTC;
import static java.time.temporal.ChronoUnit.MILLIS;
import static java.util.stream.Collectors.joining;

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonObject;
import com.google.protobuf.Timestamp;
import io.grpc.Status;
import java.io.BufferedWriter;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.math.BigDecimal;
import java.time.Instant;
import java.util.stream.Stream;
import ticker.v1.Ticker.Candle;
import ticker.v1.Ticker.CaughtUp;
import ticker.v1.Ticker.Gap;
import ticker.v1.Ticker.GetTapeResponse;
import ticker.v1.Ticker.SymbolStatus;
import ticker.v1.Ticker.Tick;

/** Prints events: as text, or as one JSON object each. */
final class Output {
  private static final Gson GSON = new GsonBuilder().disableHtmlEscaping().create();
  private static final String CANDLE = "%-12s%-17s%12s%12s%12s%12s%12s";

  // System.out hides errors, such as that of a pipe that nobody reads any more.
  private final Writer out =
      new BufferedWriter(new OutputStreamWriter(new FileOutputStream(FileDescriptor.out), UTF_8));
  private final boolean json;

  Output(boolean json) {
    this.json = json;
  }

  void tape(GetTapeResponse tape) throws IOException {
    Instant time = instant(tape.getTime());
    JsonObject event = event("tape");
    event.addProperty("tape_id", tape.getTapeId());
    event.addProperty("time", time.toString());
    print("tape %s at %s".formatted(tape.getTapeId(), time.truncatedTo(MILLIS)), event);
  }

  /** The columns of candles, in text only. */
  void candleColumns() throws IOException {
    if (!json) {
      print(CANDLE.formatted("SYMBOL", "TIME", "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"));
    }
  }

  void candle(String symbol, Candle candle) throws IOException {
    Instant time = instant(candle.getOpenTime());
    BigDecimal open = price(candle.getOpenNanos());
    BigDecimal high = price(candle.getHighNanos());
    BigDecimal low = price(candle.getLowNanos());
    BigDecimal close = price(candle.getCloseNanos());
    JsonObject event = event("candle");
    event.addProperty("symbol", symbol);
    event.addProperty("open_time", time.toString());
    event.addProperty("open", open);
    event.addProperty("high", high);
    event.addProperty("low", low);
    event.addProperty("close", close);
    event.addProperty("volume", candle.getVolume());
    print(
        CANDLE.formatted(symbol, time.atOffset(UTC), open, high, low, close, candle.getVolume()),
        event);
  }

  void connected(String endpoint, String tapeId) throws IOException {
    JsonObject event = event("connected");
    event.addProperty("endpoint", endpoint);
    event.addProperty("tape_id", tapeId);
    print("connected to " + endpoint, event);
  }

  void refused(SymbolStatus status) throws IOException {
    JsonObject event = event("refused");
    event.addProperty("symbol", status.getSymbol());
    event.addProperty("message", status.getMessage());
    warn("refused %s: %s".formatted(status.getSymbol(), status.getMessage()), event);
  }

  void tick(Tick tick) throws IOException {
    BigDecimal ltp = price(tick.getLtpNanos());
    BigDecimal bid = price(tick.getQuote().getBidNanos());
    BigDecimal ask = price(tick.getQuote().getAskNanos());
    JsonObject event = event("tick");
    event.addProperty("symbol", tick.getSymbol());
    event.addProperty("sequence", tick.getSequence());
    event.addProperty("ltp", ltp);
    event.addProperty("time", instant(tick.getTime()).toString());
    event.addProperty("bid", bid);
    event.addProperty("ask", ask);
    event.addProperty("snapshot", tick.getSnapshot());
    print(
        "%-12s%12d%12s%12s%12s".formatted(tick.getSymbol(), tick.getSequence(), ltp, bid, ask),
        event);
  }

  void gap(Gap gap) throws IOException {
    long first = gap.getFirstSequence();
    long last = gap.getLastSequence();
    JsonObject event = event("gap");
    event.addProperty("symbol", gap.getSymbol());
    event.addProperty("first_sequence", first);
    event.addProperty("last_sequence", last);
    print("gap %s %d to %d".formatted(gap.getSymbol(), first, last), event);
  }

  void caughtUp(CaughtUp caughtUp) throws IOException {
    JsonObject event = event("caught_up");
    event.addProperty("symbol", caughtUp.getSymbol());
    event.addProperty("sequence", caughtUp.getSequence());
    print("caught up %s %d".formatted(caughtUp.getSymbol(), caughtUp.getSequence()), event);
  }

  void disconnected(String endpoint, Status reason) throws IOException {
    JsonObject event = event("disconnected");
    event.addProperty("endpoint", endpoint);
    event.addProperty("reason", text(reason));
    warn("disconnected from %s: %s".formatted(endpoint, text(reason)), event);
  }

  /** The status in one line, with its root cause, which says why a connection failed. */
  static String text(Status status) {
    StringBuilder text = new StringBuilder(status.getCode().toString());
    if (status.getDescription() != null) {
      // That of a call that waited for a connection has the stack traces of failed ones.
      Stream<String> lines = status.getDescription().lines();
      text.append(": ").append(lines.filter(line -> !line.startsWith("\t")).collect(joining(" ")));
    }
    Throwable cause = status.getCause();
    while (cause != null && cause.getCause() != null) {
      cause = cause.getCause();
    }
    return cause == null
        ? text.toString()
        : text.append(": ").append(cause.getMessage()).toString();
  }

  private static JsonObject event(String name) {
    JsonObject event = new JsonObject();
    event.addProperty("event", name);
    return event;
  }

  private void warn(String text, JsonObject event) throws IOException {
    if (json) {
      print(GSON.toJson(event));
    } else {
      System.err.println(text);
    }
  }

  private void print(String text, JsonObject event) throws IOException {
    print(json ? GSON.toJson(event) : text);
  }

  private void print(String line) throws IOException {
    out.write(line + "\n");
    out.flush();
  }

  /** Exact, and with two decimals at least, as people write prices. */
  private static BigDecimal price(long nanos) {
    BigDecimal price = BigDecimal.valueOf(nanos, 9).stripTrailingZeros();
    return price.setScale(Math.max(price.scale(), 2));
  }

  private static Instant instant(Timestamp time) {
    return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
  }
}
