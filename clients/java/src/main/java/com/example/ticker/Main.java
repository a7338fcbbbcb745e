package com.example.ticker;

import static java.util.concurrent.TimeUnit.NANOSECONDS;

import io.grpc.Deadline;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelRegistry.ProviderNotFoundException;
import io.grpc.StatusException;
import java.io.IOException;
import java.time.Duration;
import java.util.logging.LogManager;
import ticker.v1.Ticker.Candle;
import ticker.v1.Ticker.GetTapeRequest;
import ticker.v1.Ticker.GetTapeResponse;
import ticker.v1.Ticker.ListCandlesRequest;
import ticker.v1.Ticker.ListCandlesResponse;
import ticker.v1.TickerStreamServiceGrpc.TickerStreamServiceBlockingV2Stub;
import ticker.v1.TickerStreamServiceGrpc;

/** Prints the last candles of some symbols, and then watches them. */
public final class Main {
  private static final Duration CALL_TIMEOUT = Duration.ofSeconds(5);

  private Main() {}

  /** Exits with 0 at the end of the time, 1 after a failure, and 2 after a bad command line. */
  public static void main(String[] args) {
    // What gRPC logs about failed connections comes back in the status of the calls as well.
    LogManager.getLogManager().reset();
    System.exit(run(args));
  }

  private static int run(String... args) {
    try {
      Options options = Options.parse(args);
      Channels channels = new Channels(options);
      Output output = new Output(options.json());
      printPast(options, channels, output);
      Deadline end = Deadline.after((long) (options.seconds() * 1e9), NANOSECONDS);
      new Watch(options, channels, output, end).run();
      return 0;
    } catch (Options.UsageException e) {
      System.err.println("error: " + e.getMessage());
      return 2;
    } catch (StatusException e) {
      System.err.println("error: " + Output.text(e.getStatus()));
    } catch (ProviderNotFoundException e) {
      // This is how gRPC says that the file of the CA has no certificate.
      System.err.println("error: --tls-ca: " + e.getMessage());
    } catch (IOException e) {
      System.err.println("error: " + e);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    return 1;
  }

  /** Prints the identity of the tape, and the last five minutes of each symbol. */
  private static void printPast(Options options, Channels channels, Output output)
      throws IOException, StatusException {
    ManagedChannel channel = channels.toAll();
    try {
      TickerStreamServiceBlockingV2Stub stub = TickerStreamServiceGrpc.newBlockingV2Stub(channel);
      GetTapeResponse tape =
          stub.withDeadlineAfter(CALL_TIMEOUT).getTape(GetTapeRequest.getDefaultInstance());
      output.tape(tape);
      output.candleColumns();
      for (String symbol : options.symbols()) {
        ListCandlesRequest.Builder request = ListCandlesRequest.newBuilder().setSymbol(symbol);
        request.getIntervalBuilder().setSeconds(60);
        request.getStartTimeBuilder().setSeconds(tape.getTime().getSeconds() - 300);
        request.setEndTime(tape.getTime());
        try {
          ListCandlesResponse page;
          do {
            page = stub.withDeadlineAfter(CALL_TIMEOUT).listCandles(request.build());
            for (Candle candle : page.getCandlesList()) {
              output.candle(symbol, candle);
            }
            request.setPageToken(page.getNextPageToken());
          } while (!page.getNextPageToken().isEmpty());
        } catch (StatusException e) {
          System.err.println("no candles of " + symbol + ": " + Output.text(e.getStatus()));
        }
      }
    } finally {
      channel.shutdownNow();
    }
  }
}
