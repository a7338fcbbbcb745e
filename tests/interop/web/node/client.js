// Makes calls through the gRPC-Web clients that browsers use: `@connectrpc/connect-web` over fetch, and `grpc-web` over the
// XMLHttpRequest of jsdom. Each line of standard input is a call as JSON, or says that one is cancelled; each line of standard
// output is a message of its answer, or its end. Messages are in proto3 JSON.
//
//     node client.js DESCRIPTORS

"use strict";
const fs = require("fs");
const readline = require("readline");
const { createFileRegistry, fromBinary, fromJson, toBinary, toJson } = require("@bufbuild/protobuf");
const { FileDescriptorSetSchema } = require("@bufbuild/protobuf/wkt");
const { Code, ConnectError, createClient } = require("@connectrpc/connect");
const { createGrpcWebTransport } = require("@connectrpc/connect-web");
const { JSDOM } = require("jsdom");

const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, fs.readFileSync(process.argv[2])));
const print = (id, content) => console.log(JSON.stringify({ id, ...content }));
const codeName = (code) => Code[code].replace(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
const methodOf = ({ service, method }) => registry.getService(service).methods.find(({ name }) => name === method);

/** How each call is cancelled. */
const cancels = new Map();

/** Counts the messages of a call, prints them, and cancels the call after as many as it asks for. */
function printer({ id, cancelAfter }, { output }, cancel) {
  cancels.set(id, cancel);
  let count = 0;
  return (message) => {
    // What has arrived already when the call is cancelled is not printed.
    if (count === cancelAfter) return;
    count += 1;
    print(id, { message: toJson(output, message, { registry }) });
    if (count === cancelAfter) cancel();
  };
}

async function callConnect(call) {
  const transport = createGrpcWebTransport({ baseUrl: call.url });
  const method = methodOf(call);
  const client = createClient(method.parent, transport);
  const abort = new AbortController();
  const found = { headers: {}, trailers: {} };
  const options = {
    timeoutMs: call.timeoutMs,
    signal: abort.signal,
    headers: call.headers,
    onHeader: (headers) => (found.headers = Object.fromEntries(headers)),
    onTrailer: (trailers) => (found.trailers = Object.fromEntries(trailers)),
  };
  const onMessage = printer(call, method, () => abort.abort());
  const request = fromJson(method.input, call.request, { registry });
  try {
    const answer = client[method.localName](request, options);
    if (method.methodKind === "unary") onMessage(await answer);
    else for await (const message of answer) onMessage(message);
    print(call.id, { end: { code: "OK", message: "", ...found } });
  } catch (error) {
    const { code, rawMessage: message, details, metadata } = ConnectError.from(error);
    const types = details.map(({ type }) => type);
    print(call.id, { end: { code: codeName(code), message, details: types, ...found, metadata: Object.fromEntries(metadata) } });
  }
}

/** The `grpc-web` of a page of this origin. */
function pageOf(origin) {
  // As the standard says and browsers do, and jsdom does not: until a binary answer is whole, there is none.
  globalThis.XMLHttpRequest = class extends new JSDOM("", { url: origin }).window.XMLHttpRequest {
    get response() {
      return this.responseType === "arraybuffer" && this.readyState !== this.DONE ? null : super.response;
    }
  };
  return require("grpc-web");
}

function callGrpcWeb(call) {
  const { GrpcWebClientBase, MethodDescriptor, MethodType, StatusCode } = pageOf(call.origin ?? call.url);
  const client = new GrpcWebClientBase({ format: call.format });
  const method = methodOf(call);
  const unary = method.methodKind === "unary";
  const path = `/${call.service}/${call.method}`;
  const kind = unary ? MethodType.UNARY : MethodType.SERVER_STREAMING;
  const encode = (message) => toBinary(method.input, message);
  const decode = (bytes) => fromBinary(method.output, new Uint8Array(bytes));
  const descriptor = new MethodDescriptor(path, kind, Object, Object, encode, decode);
  const metadata = { ...call.headers };
  if (call.timeoutMs) metadata.deadline = String(Date.now() + call.timeoutMs);
  const end = (code, message) => {
    const name = Object.keys(StatusCode).find((name) => StatusCode[name] === code);
    print(call.id, { end: { code: name, message } });
  };
  const request = fromJson(method.input, call.request, { registry });
  if (unary) {
    const onMessage = printer(call, method);
    client.rpcCall(call.url + path, request, metadata, descriptor, (error, message) => {
      if (error) return end(error.code, error.message);
      onMessage(message);
      end(StatusCode.OK, "");
    });
    return;
  }
  const stream = client.serverStreaming(call.url + path, request, metadata, descriptor);
  const onMessage = printer(call, method, () => {
    stream.cancel();
    end(StatusCode.CANCELLED, "");
  });
  stream.on("data", onMessage);
  stream.on("error", ({ code, message }) => end(code, message));
  stream.on("end", () => end(StatusCode.OK, ""));
}

const CLIENTS = { "connect-web": callConnect, "grpc-web": callGrpcWeb };
readline.createInterface({ input: process.stdin }).on("line", (line) => {
  const call = JSON.parse(line);
  if (call.cancel) cancels.get(call.id)();
  else CLIENTS[call.client](call);
});
