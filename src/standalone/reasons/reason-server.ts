import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { CallReasons } from "./call-reasons.ts";

/** The Worker gives up somewhat later. */
const PATIENCE_MS = 700;
const REFERENCE = /^\/([0-9a-z]{1,64})$/;

/** Where the Worker asks why a call failed. */
export interface ReasonServer {
  /** `address:port`, of loopback. */
  address: string;
  /** Made for this start; without it nothing is told. */
  token: string;
  stop(): void;
}

/**
 * Serves the reasons to this start's workerd: `GET /{reference}` with the token answers 200 and the reason as text,
 * anything else 404 without a body. It listens on loopback, where a task may reach it as well: hence the token.
 */
export async function serveReasons(reasons: CallReasons): Promise<ReasonServer> {
  const token = randomBytes(24).toString("base64url");
  const server = createServer((request, response) => void answer(reasons, token, request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  server.unref(); // It is there for workerd, and no reason to live on without it.
  const { port } = server.address() as AddressInfo;
  const stop = () => {
    server.close();
    server.closeAllConnections();
  };
  return { address: `127.0.0.1:${port}`, token, stop };
}

async function answer(
  reasons: CallReasons,
  token: string,
  { url = "", headers }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const reference = REFERENCE.exec(url)?.[1];
  const isAllowed = reference !== undefined && isSame(headers.authorization ?? "", token);
  const reason = isAllowed ? await reasons.take(reference, PATIENCE_MS) : null;
  response.writeHead(reason === null ? 404 : 200).end(reason ?? "");
}

function isSame(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
