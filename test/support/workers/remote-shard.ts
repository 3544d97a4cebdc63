import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, vi } from "vitest";
import type { NewTask } from "../../../src/core/task/new-task.ts";
import type { Env } from "../../../src/platform/env.ts";
import type { Grant } from "../../../src/protocol/grant.ts";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import type { SubmitResult } from "../../../src/protocol/shard-api.ts";
import { buildConfig, buildNewTask, type TaskOverrides } from "../shard/shard-messages.ts";

const bindings = env as unknown as Env;
let queues = 100;

/** One shard of a queue of its own, by its name: a new stub for each call, as the API makes them. */
export class RemoteShard {
  readonly config: QueueConfig;
  readonly name: string;

  constructor(settings: Parameters<typeof buildConfig>[0] = {}) {
    const ref = queues++;
    this.name = `q${ref}-0`;
    this.config = buildConfig(settings, { ref });
  }

  get stub() {
    return bindings.SHARD.getByName(this.name);
  }

  async submit(...tasks: NewTask[]): Promise<SubmitResult[]> {
    await this.stub.configure(this.config);
    return this.stub.submit({ queueVersion: 1, tasks });
  }

  async submitGranted(overrides: TaskOverrides = {}): Promise<Grant> {
    const [result] = await this.submit(buildNewTask(Date.now(), overrides));
    if (!result?.ok || result.grant === null) throw new Error(`no grant: ${JSON.stringify(result)}`);
    return result.grant;
  }

  async view(id: string) {
    const answer = await this.stub.get(id);
    if (!answer.ok) throw new Error(answer.detail);
    return answer.task;
  }

  /** Moves the clock, and runs the alarm there. */
  async alarmAfter(ms: number): Promise<void> {
    vi.setSystemTime(Date.now() + ms);
    expect(await runDurableObjectAlarm(this.stub)).toBe(true);
  }

  alarmAt(): Promise<number | null> {
    return runInDurableObject(this.stub, (_, { storage }) => storage.getAlarm());
  }

  rows(query: string, ...values: (string | number | null)[]) {
    return runInDurableObject(this.stub, (_, { storage }) => storage.sql.exec(query, ...values).toArray());
  }
}
