package com.example.ticker;

import static java.util.stream.Collectors.joining;

import com.google.gson.Gson;
import com.google.protobuf.Timestamp;
import java.time.Instant;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeFormatterBuilder;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import picocli.CommandLine.Option;

/** Prints events: in columns, or as one JSON object each. */
final class Printer {
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
