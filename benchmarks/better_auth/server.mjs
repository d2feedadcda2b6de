// Node's own server in as many processes as the others have workers.
import cluster from "node:cluster";
import http from "node:http";

if (cluster.isPrimary) {
  for (let i = 0; i < Number(process.env.PEER_WORKERS); i++) cluster.fork();
  process.on("SIGTERM", () => process.exit(0));
} else {
  const { toNodeHandler } = await import("better-auth/node");
  const { auth } = await import("./auth.mjs");
  const answer = toNodeHandler(auth);
  http
    .createServer((request, response) =>
      request.url === "/readyz" ? response.end("ready") : answer(request, response),
    )
    .listen(Number(process.env.PEER_PORT), "127.0.0.1");
}
