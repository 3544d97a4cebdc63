import type { AddressInfo } from "node:net";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** What is done about a request, in turn: bytes that are written, then perhaps how the connection ends. */
export type RawAnswer = readonly (string | Uint8Array | "FIN" | "RST")[];

/** A request as bytes came in, one for each. */
export interface RawCall {
  /** Head and body as text. */
  text: string;
  /** Which connection of the target it came by, from 1, and which request of that it was. */
  connection: number;
  number: number;
}

/** A target that answers by bytes, for what no HTTP server would say. */
export interface RawTarget {
  url: string;
  calls: RawCall[];
  stop(): Promise<void>;
}

/** Starts a target on a free port of loopback; `tls`: it speaks TLS with this certificate. */
export async function startRawTarget(
  script: (call: RawCall) => RawAnswer,
  tls?: TlsOptions,
): Promise<RawTarget> {
  const sockets = new Set<Socket>();
  const calls: RawCall[] = [];
  let connections = 0;
  const take = (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    serve(socket, ++connections, (call) => {
      calls.push(call);
      return script(call);
    });
  };
  const server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? "http" : "https"}://127.0.0.1:${port}/`,
    calls,
    stop: () => closed(server, sockets),
  };
}

/** A whole answer; lines of the head are joined by CRLF. */
export function raw(head: string, body: string | Uint8Array = ""): RawAnswer {
  return [`${head.replaceAll("\n", "\r\n")}\r\n\r\n`, body];
}

function serve(socket: Socket, connection: number, answerTo: (call: RawCall) => RawAnswer): void {
  let text = "";
  let number = 0;
  socket.on("data", (bytes) => {
    text += bytes.toString("latin1");
    const end = text.indexOf("\r\n\r\n");
    if (end === -1) return;
    const length = end + 4 + Number(/content-length: *(\d+)/i.exec(text.slice(0, end))?.[1] ?? 0);
    if (text.length < length) return;
    const call = { text: text.slice(0, length), connection, number: ++number };
    text = text.slice(length);
    for (const act of answerTo(call)) {
      if (act === "FIN") socket.end();
      else if (act === "RST") socket.resetAndDestroy();
      else socket.write(act);
    }
  });
}

async function closed(server: Server, sockets: Set<Socket>): Promise<void> {
  for (const socket of sockets) socket.destroy();
  await new Promise((resolve) => server.close(resolve));
}
