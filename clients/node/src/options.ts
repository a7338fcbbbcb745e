// The command line.

import { parseArgs } from "node:util";
import type { ChannelCredentials } from "@grpc/grpc-js";
import { createCredentials, TokenFile } from "./connect.js";

export interface Options {
  endpoints: string[];
  symbols: string[];
  seconds: number;
  json: boolean;
  credentials: ChannelCredentials;
  token: TokenFile | undefined;
}

/** Throws an error with one line of text when the command line is wrong. */
export function parseOptions(): Options {
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
  const endpoints = split("endpoints", values.endpoints);
  const wrong = endpoints.find((endpoint) => !/^.+:\d+$/.test(endpoint));
  if (wrong !== undefined) throw new Error(`--endpoints: ${wrong} is not HOST:PORT`);
  const seconds = Number(values.seconds);
  // A timer of Node.js holds at most 2^31 - 1 milliseconds, and fires at once when it is given more.
  if (!(seconds > 0 && seconds <= 2_147_483))
    throw new Error(`--seconds: ${values.seconds} is not above 0 and at most 2147483`);
  const file = values["token-file"];
  const token = file === undefined ? undefined : new TokenFile(file);
  return {
    endpoints,
    symbols: split("symbols", values.symbols),
    seconds,
    json: values.json,
    credentials: createCredentials(values["tls-ca"], token),
    token,
  };
}

function split(flag: string, text: string): string[] {
  const parts = text.split(",").map((part) => part.trim());
  if (parts.includes("")) throw new Error(`--${flag}: an empty part in "${text}"`);
  return parts;
}
