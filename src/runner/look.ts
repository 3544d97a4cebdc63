import { headFault } from "../core/call/answer-head.ts";
import { LISTENING_RULES, type Listening, SPEECH_RULES } from "./looks.ts";

const REFUSED = /cannot connect to the specified address/;
/** As much of an answer is read to see whether it is HTTP. */
const MAX_HEAD_BYTES = 16_384;

/**
 * Opens a connection to a URL's place on plain workerd and closes it at once. It goes by the same rules for addresses
 * as calls do.
 */
export async function look(url: URL): Promise<Listening> {
  const late = Promise.withResolvers<Listening>();
  const timer = setTimeout(() => late.resolve("unknown"), LISTENING_RULES.timeoutMs);
  try {
    const socket = await connectTo(url, "off");
    const listening = await Promise.race([socket.opened.then(() => "yes" as const), late.promise]);
    socket.close().catch(() => undefined);
    return listening;
  } catch (error) {
    return REFUSED.test(String(error)) ? "no" : "unknown";
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks a URL's server, on plain workerd, by an OPTIONS of its path: safe by its definition, and with nothing of a task
 * in it, no query either. Tells why its answer is no HTTP; null: it is, or none came in time.
 */
export async function listen(url: URL): Promise<string | null> {
  const late = Promise.withResolvers<null>();
  const timer = setTimeout(() => late.resolve(null), SPEECH_RULES.timeoutMs);
  let socket: Socket | null = null;
  try {
    socket = await connectTo(url, url.protocol === "https:" ? "on" : "off");
    const head = await Promise.race([headAfter(socket, url), late.promise]);
    return head === null ? null : headFault(head);
  } catch {
    return null;
  } finally {
    clearTimeout(timer);
    socket?.close().catch(() => undefined);
  }
}

async function connectTo({ hostname, port, protocol }: URL, secureTransport: "on" | "off"): Promise<Socket> {
  // Asked for only here: Node, where unit tests run, has no such module.
  const { connect } = await import("cloudflare:sockets");
  const place = {
    hostname: hostname.replace(/^\[|\]$/g, ""),
    port: Number(port) || (protocol === "https:" ? 443 : 80),
  };
  const socket = connect(place, { secureTransport, allowHalfOpen: false });
  socket.closed.catch(() => undefined); // Told by `opened`, or by what is read, as well.
  return socket;
}

/** The answer up to the end of its head, or of what came before the connection broke off. */
async function headAfter(socket: Socket, { pathname, host }: URL): Promise<string> {
  const request = `OPTIONS ${pathname} HTTP/1.1\r\nhost: ${host}\r\nuser-agent: Redrive\r\nconnection: close\r\n\r\n`;
  const writer = socket.writable.getWriter();
  await writer.write(new TextEncoder().encode(request));
  let text = "";
  try {
    for await (const bytes of socket.readable as ReadableStream<Uint8Array>) {
      text += String.fromCharCode(...bytes.subarray(0, MAX_HEAD_BYTES));
      // A greeting is judged by its first line: no other may follow.
      if (text.length >= MAX_HEAD_BYTES || /\n\r?\n/.test(text) || headFault(text) !== null) break;
    }
  } catch {
    // It broke off: what came before that is looked at all the same.
  }
  return text;
}
