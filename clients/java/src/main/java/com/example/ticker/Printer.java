package com.example.ticker;

import static java.util.stream.Collectors.joining;

import com.google.gson.Gson;
import com.google.protobuf.Timestamp;
import io.grpc.StatusException;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine.Option;
import ticker.v1.Ticker;
import ticker.v1.Ticker.SymbolStatusCode;

/** Prints events: in columns, or as one JSON object each. */
final class Printer implements Watch.Listener {
  private static final DateTimeFormatter NANOSECONDS =
      new DateTimeFormatterBuilder().appendInstant(9).toFormatter();

  private final Gson gson = new Gson();
  private final Set<String> titled = new HashSet<>();

  @Option(names = "--json")
  private boolean json;

  /** Prints an event and its fields: a key, its value, the next key, its value, and so on. */
  void print(String event, Object... fields) {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("event", event);
    for (int i = 0; i < fields.length; i += 2) {
      values.put((String) fields[i], fields[i + 1]);
    }
    StringBuilder titles = new StringBuilder();
    StringBuilder row = new StringBuilder();
    values.forEach((key, value) -> {
      String column = key.endsWith("time") ? "%-30s " : "%-11s ";
      titles.append(column.formatted(key));
      row.append(column.formatted(value));
    });
    if (!json && titled.add(event)) {
      System.out.println(titles.toString().stripTrailing());
    }
    System.out.println(json ? gson.toJson(values) : row.toString().stripTrailing());
    // Otherwise nobody would notice that a pipe has no reader any more.
    if (System.out.checkError()) {
      throw new IllegalStateException("cannot write to standard output");
    }
  }

  @Override
  public void received(String endpoint, Ticker.WatchResponse message) {
    switch (message.getEventCase()) {
      case SUBSCRIPTION_RESULT -> {
        var result = message.getSubscriptionResult();
        print("connected", "endpoint", endpoint, "tape_id", result.getTapeId());
        for (var status : result.getStatusesList()) {
          if (status.getCode() != SymbolStatusCode.SYMBOL_STATUS_CODE_SUBSCRIBED) {
            print("refused", "symbol", status.getSymbol(), "message", status.getMessage());
          }
        }
      }
      case TICK -> {
        var tick = message.getTick();
        print("tick", "symbol", tick.getSymbol(), "sequence", tick.getSequence(),
            "ltp", tick.getLtp(), "time", time(tick.getTime()),
            "bid", tick.getQuote().getBidNanos() / 1e9, "ask", tick.getQuote().getAskNanos() / 1e9,
            "snapshot", tick.getSnapshot());
      }
      case GAP -> {
        var gap = message.getGap();
        print("gap", "symbol", gap.getSymbol(),
            "first_sequence", gap.getFirstSequence(), "last_sequence", gap.getLastSequence());
      }
      case CAUGHT_UP -> {
        var caughtUp = message.getCaughtUp();
        print("caught_up", "symbol", caughtUp.getSymbol(), "sequence", caughtUp.getSequence());
      }
      default -> {} // A heartbeat, or that the token expires soon.
    }
  }

  @Override
  public void disconnected(String endpoint, StatusException reason) {
    print("disconnected", "endpoint", endpoint, "reason", reason(reason));
  }

  static String time(Timestamp time) {
    return NANOSECONDS.format(Instant.ofEpochSecond(time.getSeconds(), time.getNanos()));
  }

  /** One line, with the root cause, which says why a connection failed. */
  static String reason(Exception e) {
    Throwable root = e;
    while (root.getCause() != null) {
      root = root.getCause();
    }
    String reason = root == e ? e.getMessage() : e.getMessage() + ": " + root.getMessage();
    // That of a call that waited for a connection has the stack traces of failed ones.
    return reason.lines().filter(line -> !line.startsWith("\t")).collect(joining(" "));
  }
}
