// Prints the last candles of some symbols, then every tick of them, from whichever replica answers.

import { type CallOptions, type ClientUnaryCall, Metadata, type ServiceError } from "@grpc/grpc-js";
import { connectToAll } from "./connect.js";
import { ListCandlesRequest, type TickerStreamServiceClient } from "./generated/ticker/v1/ticker.js";
import { type Options, parseOptions } from "./options.js";
import { type Event, printJson, printText } from "./output.js";
import { describe, Watcher } from "./watch.js";

const stop = new AbortController();

async function run(options: Options): Promise<void> {
  const print = options.json ? printJson : printText;
  const client = connectToAll(options.endpoints, options.credentials);
  for await (const event of history(client, options.symbols)) print(event);
  client.close();

  setTimeout(() => stop.abort(), options.seconds * 1_000);
  const watcher = new Watcher(options.endpoints, options.symbols, options.credentials, options.token);
  for await (const event of watcher.run(stop.signal)) print(event);
}

/** The tape, and candles of a minute of the five minutes before its time. */
async function* history(client: TickerStreamServiceClient, symbols: string[]): AsyncGenerator<Event> {
  const tape = await unary(client.getTape.bind(client), {});
  yield { $case: "tape", value: tape };
  const { seconds, nanos } = tape.time!;
  for (const symbol of symbols) {
    try {
      let pageToken = "";
      do {
        const request = ListCandlesRequest.create({
          symbol,
          interval: { seconds: 60n },
          startTime: { seconds: seconds - 300n, nanos },
          endTime: { seconds, nanos },
          pageToken,
        });
        const page = await unary(client.listCandles.bind(client), request);
        for (const candle of page.candles) yield { $case: "candle", value: { symbol, ...candle } };
        pageToken = page.nextPageToken;
      } while (pageToken !== "");
    } catch (error) {
      if (stop.signal.aborted) throw error;
      console.error(`no candles of ${symbol}: ${describe(error)}`);
    }
  }
}

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => ClientUnaryCall;

/** A call as a promise, with a deadline. */
function unary<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
  return new Promise((resolve, reject) => {
    // grpc-js reads retries from the service config, but not `waitForReady`.
    const metadata = new Metadata({ waitForReady: true });
    const call = method(request, metadata, { deadline: Date.now() + 5_000 }, (error, response) => {
      stop.signal.removeEventListener("abort", cancel);
      if (error === null) resolve(response);
      else reject(error);
    });
    const cancel = () => call.cancel();
    stop.signal.addEventListener("abort", cancel);
  });
}

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions();
  } catch (error) {
    console.error(describe(error));
    return 2;
  }
  process.once("SIGINT", () => stop.abort());
  // The reader of a pipe has gone, as in `| head`.
  process.stdout.on("error", () => process.exit());
  try {
    await run(options);
  } catch (error) {
    if (stop.signal.aborted) return 0;
    console.error(describe(error));
    return 1;
  }
  return 0;
}

// A connection that is still being attempted would keep the process alive.
process.exit(await main());
