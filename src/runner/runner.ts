import { DurableObject } from "cloudflare:workers";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import type { Grant, RunAnswer, RunMessage } from "../protocol/grant.ts";
import { MINUTE_MS } from "../schema/limits.ts";
import { type RunPorts, runChain } from "./run-grant.ts";
import { runPorts } from "./run-ports.ts";
import { SettleBatch } from "./settle-batch.ts";

/** Outgoing connections that one invocation may have waiting for headers; a platform limit. */
export const ROOM = 6;
/** Slots take further grants for this long after the event that filled them, so that events end. */
const CHAIN_MS = MINUTE_MS;

/** Makes the calls that a shard's alarm hands over, in connections of its own. It stores nothing. */
export class Runner extends DurableObject<Env> {
  #inFlight = 0;
  readonly #batch: SettleBatch;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#batch = new SettleBatch({
      shard: (name) => env.SHARD.getByName(name),
      wait: clock.wait,
      inFlight: () => this.#inFlight,
    });
  }

  /**
   * Starts the calls of the first grants, as many as there is room for, and answers at once how many. Each is
   * settled with its shard as it ends, and its slot goes on with what the settle brings. The rest was not
   * started and stays the caller's.
   */
  async run(message: RunMessage): Promise<RunAnswer> {
    const chainUntil = clock.now() + CHAIN_MS;
    const ports = {
      ...runPorts(this.env, () => (clock.now() < chainUntil ? 1 : 0)),
      shard: (name: string) => this.#batch.shard(name),
    };
    const grants = message.grants.slice(0, ROOM - this.#inFlight);
    this.#inFlight += grants.length;
    for (const grant of grants) this.ctx.waitUntil(this.#runSlot(grant, ports));
    return { started: grants.length };
  }

  async #runSlot(grant: Grant, ports: RunPorts): Promise<void> {
    try {
      await runChain(grant, ports);
    } finally {
      this.#inFlight -= 1;
    }
  }
}
