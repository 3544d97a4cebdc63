import { BriefRoom } from "../core/brief-room.ts";

/** Whether something listens at an address. */
export type Listening = "yes" | "no" | "unknown";

/** What looking needs of the world. */
export interface LookPorts {
  /** Epoch milliseconds. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** Opens a connection and closes it at once; within LOOK_TIMEOUT_MS, never throws. */
  look(hostname: string, port: number): Promise<Listening>;
}

/** The longest that a look may take. */
export const LOOK_TIMEOUT_MS = 500;
/** Later failures of the same place are told by the same look: an outage is no reason for more connections. */
const KNOWN_MS = 2_000;
const MAX_KNOWN = 200;
const MAX_AT_ONCE = 4;
const POLL_MS = 10;

interface Known {
  at: number;
  /** Null: somebody is looking. */
  listening: Listening | null;
}

/**
 * Tells by a look whether something listens where a connection was lost, at most once in 2 s for each host and port and
 * few at a time. Objects of an isolate share what was seen, but no promise: none may wait for another's I/O.
 */
export class Looks {
  readonly #known = new Map<string, Known>();
  readonly #room = new BriefRoom(MAX_AT_ONCE, 2 * LOOK_TIMEOUT_MS);

  /** Whether something listens where this URL points; `unknown` where there was no room to look. */
  async at(url: string, ports: LookPorts): Promise<Listening> {
    const { hostname, port, protocol } = new URL(url);
    const place = { hostname, port: Number(port) || (protocol === "https:" ? 443 : 80) };
    const key = `${place.hostname}:${place.port}`;
    const known = this.#known.get(key);
    if (known !== undefined && known.at + KNOWN_MS > ports.now()) return seenBy(known, ports);
    return this.#look(key, place, ports);
  }

  async #look(key: string, place: { hostname: string; port: number }, ports: LookPorts): Promise<Listening> {
    const free = this.#room.take(ports.now());
    if (free === null) return "unknown";
    const known: Known = { at: ports.now(), listening: null };
    this.#keep(key, known);
    try {
      known.listening = await ports.look(place.hostname, place.port);
      return known.listening;
    } finally {
      free();
    }
  }

  #keep(key: string, known: Known): void {
    this.#known.delete(key);
    const [oldest] = this.#known.keys();
    if (this.#known.size >= MAX_KNOWN && oldest !== undefined) this.#known.delete(oldest);
    this.#known.set(key, known);
  }
}

async function seenBy(known: Known, ports: LookPorts): Promise<Listening> {
  const until = ports.now() + LOOK_TIMEOUT_MS;
  while (known.listening === null && ports.now() < until) await ports.wait(POLL_MS);
  return known.listening ?? "unknown";
}
