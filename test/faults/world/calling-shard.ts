import type { RunMessage, RunnerPort } from "../../../src/protocol/grant.ts";
import type { SubmitMessage, SubmitResult } from "../../../src/protocol/shard-api.ts";
import { LocalRunner } from "../../../src/runner/local-runner.ts";
import { Shard } from "../../../src/shard/shard.ts";
import type { ShardPorts } from "../../../src/shard/state/ports.ts";
import type { Ledger } from "../ledger.ts";
import { callPorts } from "./call-ports.ts";
import type { Life } from "./host.ts";
import { OwnCalls } from "./own-calls.ts";
import type { World } from "./world.ts";

/** As the class of src/calling-shard.ts where `REDRIVE_CALLS` is `shard`: the calls it makes end with its life. */
export class SimCallingShard extends Shard {
  readonly #local: LocalRunner;
  readonly #calls: OwnCalls;

  constructor(name: string, ports: ShardPorts, life: Life, world: World, ledger: Ledger) {
    super(name, { ...ports, runner: (index) => this.#runner(() => ports.runner(index)) });
    this.#calls = new OwnCalls(life, world, ledger);
    const shard = this.#calls.settlingWith((message) => this.settle(message));
    const { fetch } = this.#calls;
    const keepAlive = (promise: Promise<unknown>) => world.keepAlive(life, promise);
    this.#local = new LocalRunner({ ...callPorts(world, life), fetch, shard, keepAlive });
  }

  override async submit(message: SubmitMessage): Promise<SubmitResult[]> {
    const results = await super.submit(message);
    return results.map((result) => this.#calls.left(this.#local.take(this.#calls.takenWith(result))));
  }

  #runner(remote: () => RunnerPort): RunnerPort {
    const noting = (): RunnerPort => ({
      run: (message) => {
        for (const grant of message.grants) this.#calls.handedOn(grant);
        return remote().run(message);
      },
    });
    return {
      run: ({ grants }: RunMessage) =>
        this.#local.inPlaceOf(noting).run({ grants: grants.map((grant) => this.#calls.taken(grant)) }),
    };
  }
}
