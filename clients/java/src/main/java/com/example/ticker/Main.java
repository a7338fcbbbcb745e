package com.example.ticker;

import static java.util.concurrent.TimeUnit.MILLISECONDS;
import static java.util.concurrent.TimeUnit.SECONDS;

import io.grpc.Deadline;
import io.grpc.Status.Code;
import io.grpc.StatusException;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.logging.LogManager;
import picocli.CommandLine;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import ticker.v1.Ticker;
import ticker.v1.TickerStreamServiceGrpc;

/** Prints the last candles of some symbols, and then every tick, across replicas that fail. */
public final class Main implements Callable<Integer> {
  /** A call about a symbol that is refused ends with one of these. The watch says why it is. */
  private static final Set<Code> REFUSALS =
      Set.of(Code.NOT_FOUND, Code.PERMISSION_DENIED, Code.INVALID_ARGUMENT);

  @Option(names = "--symbols", split = ",", defaultValue = "RELIANCE,TCS")
  private List<String> symbols;

  @Option(names = "--seconds", defaultValue = "10")
  private double seconds;

  @Mixin private Channels channels;
  @Mixin private Printer printer;

  /** Exits with 0 at the end of the time, 1 after a failure, and 2 after a bad command line. */
  public static void main(String[] args) {
    // What gRPC logs about failed connections comes back in the status of the calls as well.
    LogManager.getLogManager().reset();
    CommandLine command = new CommandLine(new Main());
    command.setParameterExceptionHandler((e, arguments) -> fail(2, e));
    command.setExecutionExceptionHandler((e, main, result) -> fail(1, e));
    System.exit(command.execute(args));
  }

  private static int fail(int exitCode, Exception e) {
    System.err.println("error: " + Printer.reason(e));
    return exitCode;
  }

  @Override
  public Integer call() throws IOException, InterruptedException, StatusException {
    check(seconds > 0, "--seconds must be positive");
    check(!symbols.contains(""), "--symbols takes SYMBOL[,SYMBOL...]");
    check(!channels.endpoints.isEmpty(), "--endpoints takes HOST:PORT[,HOST:PORT...]");
    for (String endpoint : channels.endpoints) {
      check(endpoint.matches(".+:\\d{1,5}"), endpoint + " is not HOST:PORT");
    }
    File ca = channels.tlsCa;
    File token = channels.tokenFile;
    check(ca == null || ca.canRead(), "cannot read " + ca);
    check(token == null || token.canRead(), "cannot read " + token);
    check(token == null || ca != null, "--token-file needs --tls-ca");
    printHistory();
    Deadline end = Deadline.after((long) (seconds * 1000), MILLISECONDS);
    new Watch(channels.endpoints, symbols, channels::to, printer).until(end);
    return 0;
  }

  private void check(boolean condition, String message) {
    if (!condition) {
      throw new CommandLine.ParameterException(new CommandLine(this), message);
    }
  }

  /** Prints the identity of the tape, and the last five minutes of each symbol. */
  private void printHistory() throws IOException, StatusException {
    var channel = channels.toAll();
    var stub = TickerStreamServiceGrpc.newBlockingV2Stub(channel);
    var tape = stub.withDeadlineAfter(5, SECONDS)
        .getTape(Ticker.GetTapeRequest.getDefaultInstance());
    printer.print("tape", "tape_id", tape.getTapeId(), "time", Printer.time(tape.getTime()));
    for (String symbol : symbols) {
      var request = Ticker.ListCandlesRequest.newBuilder().setSymbol(symbol);
      request.getIntervalBuilder().setSeconds(60);
      request.getStartTimeBuilder().setSeconds(tape.getTime().getSeconds() - 300);
      request.setEndTime(tape.getTime());
      try {
        do {
          var page = stub.withDeadlineAfter(5, SECONDS).listCandles(request.build());
          for (Ticker.Candle candle : page.getCandlesList()) {
            printer.print("candle", "symbol", symbol,
                "open_time", Printer.time(candle.getOpenTime()),
                "open", candle.getOpenPrice(), "high", candle.getHighPrice(),
                "low", candle.getLowPrice(), "close", candle.getClosePrice(),
                "volume", candle.getVolume());
          }
          request.setPageToken(page.getNextPageToken());
        } while (!request.getPageToken().isEmpty());
      } catch (StatusException e) {
        if (!REFUSALS.contains(e.getStatus().getCode())) {
          throw e;
        }
      }
    }
    channel.shutdownNow();
  }
}
