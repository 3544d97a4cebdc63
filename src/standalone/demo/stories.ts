import { z } from "zod";
import type { TaskRequestInput, TaskView } from "../../schema/task.ts";

/** A task of the demo and the outcome it must have. */
export interface Story {
  name: string;
  task: TaskRequestInput;
  expected: {
    state: TaskView["state"];
    /** What each attempt met: an error type, or null for success. */
    attempts: TaskView["attempts"][number]["error_type"][];
    /** The least time between the first attempt and the last. */
    atLeastMs: number;
  };
}

/** `GET /sandbox/inbox`, as far as the demo reads it. */
export const Inbox = z.object({
  callbacks: z.array(
    z.object({
      task_id: z.string().nullable(),
      type: z.string().nullable(),
      verified: z.boolean(),
    }),
  ),
});
/** A callback in the server's own inbox. */
export type InboxCallback = z.infer<typeof Inbox>["callbacks"][number];

const RETRY_AFTER_MS = 1_000;
const HELD_MS = 3_000;
const QUICK = { strategy: "fixed", initial_interval: "400ms", jitter: "none" } as const;

/** One story for each thing that can come of a call, all within a few seconds. `now` is epoch ms. */
export function storiesOn(serverUrl: string, now: number): Story[] {
  const sandbox = `${serverUrl}/sandbox`;
  const tell = (
    name: string,
    query: string,
    expected: Partial<Story["expected"]> & Pick<Story["expected"], "attempts">,
    task: Partial<TaskRequestInput> = {},
  ): Story => ({
    name,
    task: {
      url: `${sandbox}/target?${query}`,
      retry: { backoff: QUICK },
      callback: { url: `${sandbox}/inbox` },
      metadata: { story: name },
      ...task,
    },
    expected: { state: "succeeded", atLeastMs: 0, ...expected },
  });
  const probe = { url: `${sandbox}/ready?at=${now + HELD_MS}`, period: "1s" };
  return [
    tell("works at once", "script=200", { attempts: [null] }),
    tell("flaky", "script=503,503,200", { attempts: ["server_error", "server_error", null], atLeastMs: 800 }),
    tell("rate limited", `script=429,200&retry_after=${RETRY_AFTER_MS}`, {
      attempts: ["rate_limited", null],
      atLeastMs: RETRY_AFTER_MS,
    }),
    tell("times out once", "script=timeout,200", { attempts: ["timeout", null] }, { timeout: "700ms" }),
    tell("refused for good", "script=400", { state: "failed", attempts: ["client_error"] }),
    tell(
      "held until ready",
      "script=401,200",
      { attempts: ["auth", null] },
      { retry: { rules: [{ when: "status == 401", do: "hold", until: { probe } }] } },
    ),
  ];
}

/** What came out differently than the story says, one sentence each; empty where nothing did. */
export function differences(story: Story, task: TaskView, callbacks: readonly InboxCallback[]): string[] {
  const { expected } = story;
  const own = callbacks.filter((callback) => callback.task_id === task.id);
  const compare = (what: string, wanted: unknown, got: unknown): string[] =>
    JSON.stringify(wanted) === JSON.stringify(got)
      ? []
      : [`${story.name}: expected ${what} ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}.`];
  return [
    ...compare("state", expected.state, task.state),
    ...compare(
      "attempts",
      expected.attempts,
      task.attempts.map((attempt) => attempt.error_type),
    ),
    ...compare("callback", "delivered", task.callback?.state ?? null),
    ...compare("a callback of type", [`task.${expected.state}`], [...new Set(own.map(({ type }) => type))]),
    ...compare("a signature that holds", true, own.length > 0 && own.every(({ verified }) => verified)),
    ...tooSoon(story, task),
  ];
}

function tooSoon(story: Story, task: TaskView): string[] {
  const startedAt = task.attempts.map((attempt) => Date.parse(attempt.started_at));
  const tookMs = Math.max(...startedAt) - Math.min(...startedAt);
  if (startedAt.length === 0 || tookMs >= story.expected.atLeastMs) return [];
  return [
    `${story.name}: expected ${story.expected.atLeastMs} ms from first to last attempt, got ${tookMs} ms.`,
  ];
}
