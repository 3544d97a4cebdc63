import { type Listening, LOOK_TIMEOUT_MS } from "./looks.ts";

const REFUSED = /cannot connect to the specified address/;

/**
 * Opens a connection to a place on plain workerd and closes it at once. It goes by the same rules for addresses as
 * calls do.
 */
export async function look(hostname: string, port: number): Promise<Listening> {
  // Asked for only here: Node, where unit tests run, has no such module.
  const { connect } = await import("cloudflare:sockets");
  const late = Promise.withResolvers<Listening>();
  const timer = setTimeout(() => late.resolve("unknown"), LOOK_TIMEOUT_MS);
  try {
    const socket = connect({ hostname: hostname.replace(/^\[|\]$/g, ""), port });
    socket.closed.catch(() => undefined); // Told by `opened` as well.
    const listening = await Promise.race([socket.opened.then(() => "yes" as const), late.promise]);
    socket.close().catch(() => undefined);
    return listening;
  } catch (error) {
    return REFUSED.test(String(error)) ? "no" : "unknown";
  } finally {
    clearTimeout(timer);
  }
}
