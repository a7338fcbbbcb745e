package com.example.ticker;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** The command line. {@code tlsCa} and {@code tokenFile} are null when they are not given. */
record Options(
    List<String> endpoints,
    List<String> symbols,
    double seconds,
    boolean json,
    Path tlsCa,
    Path tokenFile) {

  private static final List<String> FLAGS =
      List.of("--endpoints", "--symbols", "--seconds", "--tls-ca", "--token-file");

  static Options parse(String... args) throws UsageException {
    Map<String, String> values = new HashMap<>();
    boolean json = false;
    for (int i = 0; i < args.length; i++) {
      if (args[i].equals("--json")) {
        json = true;
      } else if (!FLAGS.contains(args[i])) {
        throw new UsageException(
            "unknown argument " + args[i] + "; there are --json, " + String.join(", ", FLAGS));
      } else if (i + 1 == args.length) {
        throw new UsageException(args[i] + " needs a value");
      } else {
        values.put(args[i], args[++i]);
      }
    }
    List<String> endpoints = list(values.getOrDefault("--endpoints", "127.0.0.1:50051"));
    if (!endpoints.stream().allMatch(Options::isEndpoint)) {
      throw new UsageException("--endpoints takes HOST:PORT[,HOST:PORT...]");
    }
    List<String> symbols = list(values.getOrDefault("--symbols", "RELIANCE,TCS"));
    if (symbols.contains("")) {
      throw new UsageException("--symbols takes SYMBOL[,SYMBOL...]");
    }
    Path tlsCa = file(values.get("--tls-ca"));
    Path tokenFile = file(values.get("--token-file"));
    if (tokenFile != null && tlsCa == null) {
      throw new UsageException("--token-file needs --tls-ca: a token is not sent in plain text");
    }
    double seconds = seconds(values.getOrDefault("--seconds", "10"));
    return new Options(endpoints, symbols, seconds, json, tlsCa, tokenFile);
  }

  private static List<String> list(String value) {
    return List.of(value.split(",", -1));
  }

  private static boolean isEndpoint(String value) {
    return value.matches("[\\w.:\\[\\]-]+:\\d{1,5}")
        && Integer.parseInt(value.substring(value.lastIndexOf(':') + 1)) <= 65535;
  }

  private static double seconds(String value) throws UsageException {
    try {
      double seconds = Double.parseDouble(value);
      if (seconds > 0 && Double.isFinite(seconds)) {
        return seconds;
      }
    } catch (NumberFormatException e) {
      // Refused below, like zero.
    }
    throw new UsageException("--seconds " + value + " is not a positive number");
  }

  private static Path file(String name) throws UsageException {
    if (name != null && !Files.isReadable(Path.of(name))) {
      throw new UsageException("cannot read the file " + name);
    }
    return name == null ? null : Path.of(name);
  }

  /** What is wrong with the command line. */
  static final class UsageException extends Exception {
    private static final long serialVersionUID = 1;

    UsageException(String message) {
      super(message);
    }
  }
}
