import { createExecutionContext, waitOnExecutionContext } from "cloudflare:test";
import { env as rawEnv } from "cloudflare:workers";
import { afterEach, describe, expect, test, vi } from "vitest";
import { createApp } from "../../src/api/app.ts";
import type { Env } from "../../src/platform/env.ts";
import type { SubmitMessage } from "../../src/protocol/shard-api.ts";
import type { Problem } from "../../src/schema/problem.ts";
import type { TaskAccepted } from "../../src/schema/task.ts";
import { makeRequest, stubTargets } from "../support/workers/api.ts";

const URL = "https://api.example.com/x";
const env = rawEnv as unknown as Env;

/** Shards whose submits go through `fail` first, which may throw in their place. */
function envWith(fail: (message: SubmitMessage, submit: () => Promise<unknown>) => unknown): Env {
  const getByName = (name: string) => {
    const submit = (message: SubmitMessage) => fail(message, () => env.SHARD.getByName(name).submit(message));
    const settle = (message: never) => env.SHARD.getByName(name).settle(message);
    return { submit, settle };
  };
  return { ...env, SHARD: { getByName } as unknown as Env["SHARD"] };
}

async function post(path: string, body: object, with_: Env) {
  const ctx = createExecutionContext();
  const response = await createApp().fetch(makeRequest("POST", path, { body }), with_, ctx);
  const json = await response.json();
  await waitOnExecutionContext(ctx);
  return { status: response.status, headers: response.headers, json };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

describe("a submit whose shard gives no answer", () => {
  test("is repeated with the same id, and stored and called once", async () => {
    const received = stubTargets(() => new Response(null, { status: 204 }));
    const ids: string[] = [];
    let tries = 0;
    const lossy = envWith(async (message, submit) => {
      ids.push(...message.tasks.map(({ id }) => id));
      tries += 1;
      if (tries === 1) throw new Error("Network connection lost.");
      const answer = await submit();
      // Stored, and the answer is lost.
      if (tries === 2) throw new Error("Network connection lost.");
      return answer;
    });
    const { status, json } = await post("/v1/tasks", { url: URL }, lossy);
    expect(status).toBe(202);
    expect((json as TaskAccepted).duplicate).toBe(false);
    expect(ids).toEqual(Array(3).fill((json as TaskAccepted).id));
    expect(received).toHaveLength(1);
  });

  test("answers 503 unavailable after the fourth try", async () => {
    let tries = 0;
    const dead = envWith(() => {
      tries += 1;
      throw new Error("Network connection lost.");
    });
    const { status, headers, json } = await post("/v1/tasks", { url: URL }, dead);
    expect([status, (json as Problem).code, headers.get("retry-after"), tries]).toEqual([
      503,
      "unavailable",
      "1",
      4,
    ]);
  });

  test("answers 503 overloaded at once where the shard has too much to do", async () => {
    let tries = 0;
    const busy = envWith(() => {
      tries += 1;
      throw Object.assign(new Error("Durable Object is overloaded."), { overloaded: true });
    });
    const { status, headers, json } = await post("/v1/tasks", { url: URL }, busy);
    expect([status, (json as Problem).code, headers.get("retry-after"), tries]).toEqual([
      503,
      "overloaded",
      "1",
      1,
    ]);
  });

  test("refuses in a batch only the tasks of that shard", async () => {
    const half = envWith((message, submit) => {
      if (message.tasks.some(({ priority }) => priority === 9)) {
        throw Object.assign(new Error("Durable Object is overloaded."), { overloaded: true });
      }
      return submit();
    });
    const tasks = Array.from({ length: 40 }, (_, i) => ({
      url: URL,
      delay: "1h",
      priority: i === 0 ? 9 : 5,
    }));
    const { status, json } = await post("/v1/tasks/batch", { tasks }, half);
    const { results } = json as { results: ({ task: TaskAccepted } | { problem: Problem })[] };
    expect(status).toBe(202);
    expect(results).toHaveLength(40);
    expect(results[0]).toMatchObject({ problem: { code: "overloaded" } });
    expect(results.some((result) => "task" in result)).toBe(true);
  });
});

describe("a submit whose client leaves", () => {
  test("is stored and called all the same", async () => {
    const received = stubTargets(() => new Response(null, { status: 204 }));
    const ctx = createExecutionContext();
    const waited: Promise<unknown>[] = [];
    const watched = { ...ctx, waitUntil: (promise: Promise<unknown>) => void waited.push(promise) };
    let submitting = () => {};
    const begun = new Promise<void>((resolve) => {
      submitting = resolve;
    });
    const slow = envWith(async (_, submit) => {
      submitting();
      return submit();
    });
    const answering = createApp().fetch(
      makeRequest("POST", "/v1/tasks", { body: { url: URL } }),
      slow,
      watched as never,
    );
    await begun;
    // The platform was handed the work before the shard had answered.
    expect(waited).toHaveLength(1);
    await Promise.all(waited);
    expect(received).toHaveLength(1);
    await answering;
  });
});

describe("a batch", () => {
  test("offers to make the first attempts of its five highest priorities, wherever they stand", async () => {
    stubTargets(() => new Response(null, { status: 204 }));
    const offered: number[] = [];
    const watched = envWith((message, submit) => {
      offered.push(...message.tasks.flatMap(({ edge, priority }) => (edge ? [priority] : [])));
      return submit();
    });
    const tasks = [0, 1, 5, 9, 2, 3, 8, 5].map((priority) => ({ url: URL, priority }));
    const { status } = await post("/v1/tasks/batch", { tasks }, watched);
    expect(status).toBe(202);
    expect(offered.sort()).toEqual([3, 5, 5, 8, 9]);
  });
});
