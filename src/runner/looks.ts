import { putLast } from "../core/bounded-map.ts";
import { BriefRoom } from "../core/under-way.ts";

/** Whether something listens at an address. */
export type Listening = "yes" | "no" | "unknown";

/** What looking needs of the world. */
export interface LookPorts<T> {
  /** Epoch milliseconds. */
  now(): number;
  wait(ms: number): Promise<void>;
  /** Looks at the place of a URL; ends within the time that it has, never throws. */
  look(url: URL): Promise<T>;
}

/** How looks of a kind are made. */
export interface LookRules<T> {
  /** The longest that one may take. */
  timeoutMs: number;
  /** Later failures of the same origin are told by the same look: an outage is no reason for more connections. */
  knownMs: number;
  /** What is told where none could be made. */
  unknown: T;
}

/** Whether anything listens, by a connection that is closed at once. */
export const LISTENING_RULES: LookRules<Listening> = { timeoutMs: 500, knownMs: 2_000, unknown: "unknown" };
/** Why what is said there is no HTTP, by a request; it is the target that this costs, so more seldom. */
export const SPEECH_RULES: LookRules<string | null> = { timeoutMs: 1_000, knownMs: 30_000, unknown: null };

const MAX_KNOWN = 200;
const MAX_AT_ONCE = 4;
const POLL_MS = 10;

interface Known<T> {
  at: number;
  /** Null: somebody is looking. */
  seen: { value: T } | null;
}

/**
 * Tells by a look what there is where a connection was lost, at most once in `knownMs` for each origin and few at a
 * time. Objects of an isolate share what was seen, but no promise: none may wait for another's I/O.
 */
export class Looks<T> {
  readonly #rules: LookRules<T>;
  readonly #known = new Map<string, Known<T>>();
  readonly #room: BriefRoom;

  constructor(rules: LookRules<T>) {
    this.#rules = rules;
    this.#room = new BriefRoom(MAX_AT_ONCE, 2 * rules.timeoutMs);
  }

  /** What there is where this URL points; `unknown` where there was no room to look. */
  async at(url: string, ports: LookPorts<T>): Promise<T> {
    const place = new URL(url);
    const known = this.#known.get(place.origin);
    if (known !== undefined && known.at + this.#rules.knownMs > ports.now())
      return this.#seenBy(known, ports);
    return this.#look(place, ports);
  }

  async #look(place: URL, ports: LookPorts<T>): Promise<T> {
    const free = this.#room.take(ports.now());
    if (free === null) return this.#rules.unknown;
    const known: Known<T> = { at: ports.now(), seen: null };
    putLast(this.#known, MAX_KNOWN, place.origin, known);
    try {
      const value = await ports.look(place);
      known.seen = { value };
      return value;
    } finally {
      free();
    }
  }

  async #seenBy(known: Known<T>, ports: LookPorts<T>): Promise<T> {
    const until = ports.now() + this.#rules.timeoutMs;
    while (known.seen === null && ports.now() < until) await ports.wait(POLL_MS);
    return known.seen === null ? this.#rules.unknown : known.seen.value;
  }
}
