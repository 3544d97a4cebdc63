import type { SettleAnswer, SettleMessage, ShardPort } from "../protocol/grant.ts";

/** How long a runner with several calls under way gathers the settles of those that have ended. */
const GATHER_MS = 2;

/** What gathering needs of the world. */
export interface SettleBatchPorts {
  /** A new stub for each call: one that threw may be broken for good. */
  shard(name: string): ShardPort;
  wait(ms: number): Promise<void>;
  /** How many calls this runner has under way. */
  inFlight(): number;
}

interface Waiting {
  message: SettleMessage;
  resolve(answer: SettleAnswer): void;
  reject(error: unknown): void;
}

/**
 * The shards as a Runner object sees them: settles of calls that end at about the same time go to their shard in one
 * call, since a call costs more than what it carries. A runner with one call under way settles at once.
 */
export class SettleBatch {
  readonly #ports: SettleBatchPorts;
  readonly #waitingByShard = new Map<string, Waiting[]>();

  constructor(ports: SettleBatchPorts) {
    this.#ports = ports;
  }

  /** The shard of this name; its `settle` rejects where the shard did not take that message in. */
  shard(name: string): Pick<ShardPort, "settle"> {
    return {
      settle: (message) => {
        if (this.#ports.inFlight() <= 1) return this.#ports.shard(name).settle(message);
        return new Promise((resolve, reject) => this.#add(name, { message, resolve, reject }));
      },
    };
  }

  #add(name: string, one: Waiting): void {
    const waiting = this.#waitingByShard.get(name);
    if (waiting !== undefined) {
      waiting.push(one);
      return;
    }
    this.#waitingByShard.set(name, [one]);
    void this.#ports.wait(GATHER_MS).then(() => this.#send(name));
  }

  async #send(name: string): Promise<void> {
    const batch = this.#waitingByShard.get(name) ?? [];
    this.#waitingByShard.delete(name);
    try {
      const answers = await this.#ports.shard(name).settleAll(batch.map(({ message }) => message));
      for (const [i, { resolve, reject }] of batch.entries()) {
        const answer = answers[i];
        if (answer) resolve(answer);
        else reject(new Error("the shard could not take this settle in"));
      }
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
