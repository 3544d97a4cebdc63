import type {
  Grant,
  RunAnswer,
  RunMessage,
  RunnerPort,
  SettleMessage,
  ShardPort,
} from "../protocol/grant.ts";
import type { SubmitResult } from "../protocol/shard-api.ts";
import { SECOND_MS } from "../schema/limits.ts";
import { type RunPorts, runChain } from "./run-grant.ts";

/**
 * An object with nothing but promises to wait for is evicted, on plain workerd 70 s after its last event at the
 * earliest: an attempt of 30 s and the delivery of its callback are over by then.
 */
const LONGEST_LEASE_MS = 40 * SECOND_MS;

/** What a runner inside a shard's object needs of it. */
export interface LocalRunnerPorts extends Omit<RunPorts, "shard" | "want"> {
  shard: Pick<ShardPort, "settle">;
  /** Keeps the object up until the promise has settled. */
  keepAlive(promise: Promise<unknown>): void;
}

/**
 * Makes calls in the object of the shard that grants them, so that neither a grant nor a settle is a call between
 * objects. For plain workerd only: on Cloudflare an invocation may wait for six answers at once.
 */
export class LocalRunner {
  readonly #ports: RunPorts;
  readonly #keepAlive: LocalRunnerPorts["keepAlive"];
  /** Ids of the tasks and probes whose calls are under way, each with its lease. */
  readonly #underWay = new Map<string, number>();

  constructor({ shard, keepAlive, ...ports }: LocalRunnerPorts) {
    this.#keepAlive = keepAlive;
    this.#ports = {
      ...ports,
      shard: () => ({ settle: (message) => settleHere(shard, message) }),
      want: () => 0,
    };
  }

  /** Makes the first attempt that a submit was granted, in place of the caller: the result it gets has no grant. */
  take(result: SubmitResult): SubmitResult {
    if (!result.ok || result.grant === null) return result;
    this.#start(result.grant);
    return { ...result, grant: null };
  }

  /** A Runner object (`remote`) whose calls are made here, but for batches with calls that may take long. */
  inPlaceOf(remote: () => RunnerPort): RunnerPort {
    return {
      run: async (message: RunMessage): Promise<RunAnswer> => {
        if (message.grants.some(({ leaseMs }) => leaseMs > LONGEST_LEASE_MS)) return remote().run(message);
        for (const grant of message.grants) this.#start(grant);
        return { started: message.grants.length };
      },
    };
  }

  /** A submit that is repeated is granted the same lease again. */
  #start(grant: Grant): void {
    const { id, lease } = grant;
    if (this.#underWay.get(id) === lease) return;
    this.#underWay.set(id, lease);
    const ended = runChain(grant, this.#ports).finally(() => {
      if (this.#underWay.get(id) === lease) this.#underWay.delete(id);
    });
    this.#keepAlive(ended);
  }
}

/** As an edge that has just answered: a callback that may take longer than an edge has is not granted with the answer. */
function settleHere(shard: Pick<ShardPort, "settle">, message: SettleMessage) {
  return shard.settle({ ...message, edgeElapsedMs: 0 });
}
