// A reverse proxy that speaks HTTP/1.1 and nothing else, to both sides. It streams what comes and buffers nothing.
//
//     node proxy.js TARGET_HOST TARGET_PORT

"use strict";
const http = require("http");

const [host, port] = process.argv.slice(2);
const HOP_BY_HOP = ["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
const forwarded = (headers) => Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_BY_HOP.includes(name)));

const server = http.createServer((request, response) => {
  const { method, url: path } = request;
  const upstream = http.request({ host, port, method, path, headers: forwarded(request.headers) }, (answer) => {
    response.writeHead(answer.statusCode, { ...forwarded(answer.headers), via: `${answer.httpVersion} proxy` });
    response.flushHeaders();
    answer.pipe(response);
    // An answer that was cut is cut for the client as well.
    answer.on("error", () => response.destroy());
  });
  upstream.on("error", () => (response.headersSent ? response.destroy() : response.writeHead(502).end()));
  response.on("close", () => upstream.destroy());
  request.pipe(upstream);
});
server.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${server.address().port}`));
