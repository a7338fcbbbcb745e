// Prints the last candles of some symbols, then every tick of them, from whichever replica answers.

import { parseArgs, promisify } from "node:util";
import { type CallOptions, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { connect, createCredentials } from "./connect.js";
import type { Timestamp } from "./generated/google/protobuf/timestamp.js";
import { ListCandlesRequest, type TickerStreamServiceClient } from "./generated/ticker/v1/ticker.js";
import { formatTime, type Print, printer, rows } from "./print.js";
import { Watcher } from "./watch.js";

/** A call about a symbol that is refused ends with one of these. The watch says why it is. */
const REFUSALS = [status.NOT_FOUND, status.PERMISSION_DENIED, status.INVALID_ARGUMENT];

/** Throws an error when the command line is wrong. */
function parseOptions() {
  const { values } = parseArgs({
    options: {
      endpoints: { type: "string", default: "127.0.0.1:50051" },
      symbols: { type: "string", default: "RELIANCE,TCS" },
      seconds: { type: "string", default: "10" },
      json: { type: "boolean", default: false },
      "tls-ca": { type: "string" },
      "token-file": { type: "string" },
    },
  });
  const endpoints = values.endpoints.split(",");
  const wrong = endpoints.find((endpoint) => !/^([^:]+|\[.+\]):\d+$/.test(endpoint));
  if (wrong !== undefined) throw new Error(`--endpoints: "${wrong}" is not HOST:PORT`);
  const symbols = values.symbols.split(",");
  if (symbols.includes("")) throw new Error(`--symbols: "${values.symbols}" has an empty part`);
  const seconds = Number(values.seconds);
  // A timer of Node.js holds at most 2^31 - 1 milliseconds, and fires at once when it is given more.
  if (!(seconds > 0 && seconds <= 2_147_483))
    throw new Error(`--seconds: ${values.seconds} is not above 0 and at most 2147483`);
  const credentials = createCredentials(values["tls-ca"], values["token-file"]);
  return { endpoints, symbols, seconds, credentials, print: printer(values.json) };
}

/** Prints the tape, then the candles of the last five minutes of each symbol. */
async function printHistory(client: TickerStreamServiceClient, symbols: string[], print: Print): Promise<void> {
  const { tapeId, time } = await unary(client.getTape.bind(client), {});
  print({ event: "tape", tape_id: tapeId, time: formatTime(time!) });
  for (const symbol of symbols) {
    await printCandles(client, symbol, time!, print).catch((error: ServiceError) => {
      if (!REFUSALS.includes(error.code)) throw error;
    });
  }
}

async function printCandles(client: TickerStreamServiceClient, symbol: string, endTime: Timestamp, print: Print) {
  const request = ListCandlesRequest.create({
    symbol,
    interval: { seconds: 60n },
    startTime: { ...endTime, seconds: endTime.seconds - 300n },
    endTime,
  });
  do {
    const page = await unary(client.listCandles.bind(client), request);
    for (const candle of page.candles) {
      print({
        event: "candle",
        symbol,
        open_time: formatTime(candle.openTime!),
        open: candle.openPrice,
        high: candle.highPrice,
        low: candle.lowPrice,
        close: candle.closePrice,
        volume: Number(candle.volume),
      });
    }
    request.pageToken = page.nextPageToken;
  } while (request.pageToken !== "");
}

type Method<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

/** A call as a promise, with a deadline. */
function unary<Request, Response>(method: Method<Request, Response>, request: Request): Promise<Response> {
  // grpc-js reads retries from the service config, but not `waitForReady`.
  const metadata = new Metadata({ waitForReady: true });
  return promisify(method)(request, metadata, { deadline: Date.now() + 5_000 });
}

// The reader of a pipe has gone, as in `| head`.
process.stdout.on("error", () => process.exit());

let exitCode = 2;
try {
  const { endpoints, symbols, seconds, credentials, print } = parseOptions();
  exitCode = 1;
  const client = connect(endpoints, credentials);
  await printHistory(client, symbols, print);
  client.close();
  const signal = AbortSignal.timeout(Math.ceil(seconds * 1_000));
  await new Watcher({
    endpoints,
    symbols,
    connect: (endpoint) => connect([endpoint], credentials),
    received: (endpoint, event) => rows(endpoint, event).forEach(print),
    disconnected: (endpoint, { message }) => print({ event: "disconnected", endpoint, reason: message }),
  }).run(signal);
  exitCode = 0;
} catch (error) {
  console.error(`error: ${(error as Error).message.split("\n", 1)[0]}`);
}
// A connection that is still being attempted would keep the process alive.
process.exit(exitCode);
