import type { Env } from "./platform/env.ts";
import type { RunnerPort } from "./protocol/grant.ts";
import type { SubmitMessage, SubmitResult } from "./protocol/shard-api.ts";
import { LocalRunner } from "./runner/local-runner.ts";
import { runPorts } from "./runner/run-ports.ts";
import { QueueShard } from "./shard/queue-shard.ts";

/** The object of a shard as a deployment runs it: where `REDRIVE_CALLS` is `shard`, it makes its short calls itself. */
export class CallingShard extends QueueShard {
  readonly #local: LocalRunner | null;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#local = env.REDRIVE_CALLS === "shard" ? this.#localRunner(ctx, env) : null;
  }

  override async submit(message: SubmitMessage): Promise<SubmitResult[]> {
    const local = this.#local;
    const results = await super.submit(message);
    return local === null ? results : results.map((result) => local.take(result));
  }

  protected override runner(index: number): RunnerPort {
    const remote = () => super.runner(index);
    return this.#local === null ? remote() : this.#local.inPlaceOf(remote);
  }

  #localRunner(ctx: DurableObjectState, env: Env): LocalRunner {
    const keepAlive = (promise: Promise<unknown>) => ctx.waitUntil(promise);
    return new LocalRunner({ ...runPorts(env, () => 0), shard: this, keepAlive });
  }
}
