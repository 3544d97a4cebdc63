import type { Grant, SettleAnswer, SettleMessage } from "../../../src/protocol/grant.ts";
import type { SubmitResult } from "../../../src/protocol/shard-api.ts";
import { SECOND_MS } from "../../../src/schema/limits.ts";
import type { Ledger } from "../ledger.ts";
import type { Life } from "./host.ts";
import type { World } from "./world.ts";

/** Carries the name of a grant through the code under test to its call. */
const GRANT = "x-sim-grant";
/** The longest lease that a shard's object may use itself, after whatever event; and right after a call of its own. */
const LONGEST_MS = 40 * SECOND_MS;
const LONGEST_NEXT_MS = 37 * SECOND_MS;

/** A grant that the object took, and the longest lease that it may have. */
interface Taken {
  grant: Grant;
  longestMs: number;
}

/** The calls that one life of a shard's object makes itself: one for each grant it takes, at once, and none that may take long. */
export class OwnCalls {
  readonly #life: Life;
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #taken = new Map<string, Taken>();
  /** Grants that have their call, here or with a Runner object. */
  readonly #begun = new Set<string>();

  constructor(life: Life, world: World, ledger: Ledger) {
    this.#life = life;
    this.#world = world;
    this.#ledger = ledger;
  }

  /** Notes a grant that goes to the object's own runner; gives it with the name that its call is known by. */
  taken(grant: Grant, longestMs = LONGEST_MS): Grant {
    const name = nameOf(grant);
    // Leases of probes are numbered from 1 again; none is granted twice.
    if (grant.kind === "probe") this.#begun.delete(name);
    this.#taken.set(name, { grant, longestMs });
    this.#world.time.after(1, () => {
      if (this.#life.alive && !this.#begun.has(name)) this.#violate("has no call after it was taken", grant);
    });
    const { request } = grant;
    return { ...grant, request: { ...request, headers: { ...request.headers, [GRANT]: name } } };
  }

  /** As `taken`, of the grant in a submit's result. */
  takenWith(result: SubmitResult): SubmitResult {
    if (!result.ok || result.grant === null) return result;
    return { ...result, grant: this.taken(result.grant) };
  }

  /** Checks what the caller of a submit gets. */
  left(result: SubmitResult): SubmitResult {
    if (result.ok && result.grant !== null) this.#violate("is left to the caller too", result.grant);
    return result;
  }

  /** A grant goes on to a Runner object. */
  handedOn(grant: Grant): void {
    this.#begin(grant);
  }

  /** A settle by the object itself goes nowhere: nothing is lost, late or done twice. */
  settlingWith(settle: (message: SettleMessage) => Promise<SettleAnswer>) {
    return {
      settle: async (message: SettleMessage): Promise<SettleAnswer> => {
        const { kind, id, round, lease, result } = message;
        this.#note(
          `settle ${kind} ${id}, round ${round}, lease ${lease}: ${result.status} in its own object`,
        );
        this.#ledger.settling(message);
        const answer = await settle(message);
        const { callback, next } = answer;
        return {
          ...answer,
          callback: callback && this.taken(callback, LONGEST_NEXT_MS),
          next: next.map((grant) => this.taken(grant, LONGEST_NEXT_MS)),
        };
      },
    };
  }

  /** The object's fetch: it leaves once what was written before is on disk. */
  readonly fetch = ((url: string, init: RequestInit) => {
    const name = (init.headers as Record<string, string>)[GRANT] ?? "";
    const taken = this.#taken.get(name);
    if (taken === undefined) {
      this.#ledger.violate("a call has a grant", `${this.#life.name} calls ${url}`, this.#life.name);
      return Promise.reject(new Error("a call without a grant"));
    }
    const { grant, longestMs } = taken;
    this.#begin(grant);
    if (grant.leaseMs > longestMs) this.#violate(`may take ${grant.leaseMs} ms`, grant);
    const { signal } = init;
    return new Promise<Response>((resolve, reject) => {
      signal?.addEventListener("abort", () => {
        if (this.#life.alive) reject(signal.reason);
      });
      this.#life.send(() => {
        if (signal?.aborted) return;
        this.#ledger.started(grant);
        this.#ledger.totals.ownCalls++;
        this.#world.targets.fetch(this.#life, url, init).then(resolve, reject);
      });
    });
  }) as typeof fetch;

  #begin(grant: Grant): void {
    const name = nameOf(grant);
    if (this.#begun.has(name)) this.#violate("gets a second call", grant);
    this.#begun.add(name);
  }

  #violate(what: string, grant: Grant): void {
    this.#ledger.violate(
      "a shard makes its short calls, once each",
      `${nameOf(grant)} in ${this.#life.name} ${what}`,
      grant.id,
      this.#life.name,
    );
  }

  #note(what: string): void {
    this.#world.note(this.#life.name, what);
  }
}

function nameOf({ kind, id, round, lease }: Grant): string {
  return `${kind} ${id}, round ${round}, lease ${lease}`;
}
