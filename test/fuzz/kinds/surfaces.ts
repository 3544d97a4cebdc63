import { BreakerQuery } from "../../../src/api/breakers/breaker-query.ts";
import { AppError, refused } from "../../../src/api/http/app-error.ts";
import { makeCursor, readCursor } from "../../../src/api/http/cursor.ts";
import { parse } from "../../../src/api/http/parse.ts";
import { readBody } from "../../../src/api/http/read-body.ts";
import { RetryQuery } from "../../../src/api/tasks/retry-query.ts";
import { checkTargetUrl, parseAddressRules } from "../../../src/core/address/target-url.ts";
import { parseTaskId } from "../../../src/core/task/task-id.ts";
import { apiKeyId } from "../../../src/core/text/api-key.ts";
import { checkQueueSettings } from "../../../src/intake/check-call.ts";
import { SubmittedTask, taskFromRequest } from "../../../src/intake/task-from-request.ts";
import type { QueueConfig } from "../../../src/protocol/queue-config.ts";
import { nextHop } from "../../../src/runner/redirect.ts";
import { BreakerOperation, BreakersQuery } from "../../../src/schema/breaker.ts";
import { parseDuration } from "../../../src/schema/duration.ts";
import { KeyRequest } from "../../../src/schema/key.ts";
import { MAX_BATCH_BYTES, MAX_SETTINGS_BYTES, MAX_TASK_BYTES } from "../../../src/schema/limits.ts";
import { QueueSettings } from "../../../src/schema/queue.ts";
import { BatchRequest, TaskQuery } from "../../../src/schema/task.ts";
import { ACCEPTED, REFUSED } from "../../core/address/target-url.corpus.ts";
import { takeAnswer, takeExpression } from "../outcomes.ts";
import { FULL_BATCH, FULL_KEY, FULL_OPERATION, FULL_QUEUE, FULL_TASK } from "./bases.ts";
import type { Chance } from "./chance.ts";
import { hostileExpression } from "./expressions.ts";
import { hostileText, mutateText } from "./texts.ts";
import { mutateValue } from "./values.ts";
import { hostileYaml } from "./yaml.ts";

/** One thing of ours that reads what strangers write. */
export interface Surface {
  /** How often it is picked, beside the others. */
  weight: number;
  make(chance: Chance): string;
  /** Reads the text as the server does. Throws an AppError where it refuses it, and nothing else ever. */
  take(text: string): Promise<unknown> | unknown;
}

const NOW = Date.parse("2026-11-23T10:00:00Z");
const RULES = parseAddressRules(undefined);
const { shards: _, ...SETTINGS } = QueueSettings.parse({});
const QUEUE: QueueConfig = {
  name: "fuzzed",
  ref: 7,
  shards: 4,
  version: 1,
  paused: false,
  settings: SETTINGS,
  secrets: [],
  previousSecretUntil: null,
  createdAt: 0,
  updatedAt: 0,
};
const FILTERS = { queue: null, state: null };
const CURSOR = await makeCursor("tsk_01KBR0000000000000000000000", FILTERS, "secret");
const CORPUS = [...Object.values(REFUSED).flat(), ...ACCEPTED.map(([text]) => text)];
const IDS = [
  "tsk_01KBR1D2E3F4G5H6J7K8M9N0P01",
  "rdk_AAAAAAAAAAAAAAAA",
  "tsk_ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ",
];

/** By name: every parser that a request, a policy or a target's answer goes through. */
export const SURFACES: Readonly<Record<string, Surface>> = {
  "task, json": { weight: 20, make: jsonOf(FULL_TASK), take: (text) => takeTask(text, "json") },
  "task, yaml": { weight: 10, make: (chance) => hostileYaml(chance, FULL_TASK), take: (text) => takeTask(text, "yaml") },
  "queue, json": { weight: 10, make: jsonOf(FULL_QUEUE), take: (text) => takeQueue(text, "json") },
  "queue, yaml": { weight: 10, make: (chance) => hostileYaml(chance, FULL_QUEUE), take: (text) => takeQueue(text, "yaml") },
  batch: { weight: 4, make: jsonOf(FULL_BATCH), take: takeBatch },
  key: { weight: 3, make: jsonOf(FULL_KEY), take: (text) => takeSettings(text, KeyRequest) },
  operation: { weight: 3, make: jsonOf(FULL_OPERATION), take: (text) => takeSettings(text, BreakerOperation) },
  expression: { weight: 15, make: hostileExpression, take: takeExpression },
  url: { weight: 10, make: near(CORPUS), take: takeUrl },
  id: { weight: 3, make: near(IDS), take: (text) => [parseTaskId(text), apiKeyId(text)] },
  cursor: { weight: 3, make: near([CURSOR]), take: (text) => readCursor(text, FILTERS, "secret") },
  query: { weight: 5, make: hostileQuery, take: takeQuery },
  duration: { weight: 3, make: near(["1d10h3m4.5s6ms", "90s", "1h"]), take: (text) => parseDuration(text) },
  answer: { weight: 6, make: hostileAnswer, take: takeAnswer },
}; // biome-ignore format: one surface a line

function jsonOf(base: unknown): (chance: Chance) => string {
  return (chance) => {
    const text = JSON.stringify(chance.is(0.9) ? mutateValue(chance, base) : base) ?? "null";
    return chance.is(0.3) ? mutateText(chance, text) : text;
  };
}

function near(texts: readonly string[]): (chance: Chance) => string {
  return (chance) => (chance.is(0.9) ? mutateText(chance, chance.pick(texts)) : hostileText(chance));
}

function hostileQuery(chance: Chance): string {
  const names = [
    "queue",
    "state",
    "label",
    "target",
    "created_after",
    "limit",
    "cursor",
    "force",
    "key",
    "__proto__",
  ];
  const values = ["fuzzed", "failed", "2026-11-23T10:00:00Z", "50", "true", CURSOR];
  const pairs = Array.from({ length: chance.below(4) }, (): [string, string] => {
    const value = chance.is(0.4) ? chance.pick(values) : hostileText(chance);
    return [chance.pick(names), value.toWellFormed()];
  });
  return new URLSearchParams(pairs).toString();
}

/** What a target may answer with: a status, headers that we read, and a body. */
function hostileAnswer(chance: Chance): string {
  const names = [
    "retry-after",
    "ratelimit",
    "ratelimit-reset",
    "x-ratelimit-reset",
    "redrive-retry",
    "content-type",
  ];
  const values = ["120", "Mon, 23 Nov 2026 10:00:00 GMT", '"default";r=0;t=30', "1763892000", "6m0s", "no"];
  const headers = Object.fromEntries(
    names.map((name) => [
      name,
      chance.is(0.5) ? chance.pick(values) : mutateText(chance, chance.pick(values)),
    ]),
  );
  const error = { error: { code: hostileText(chance), message: hostileText(chance) }, items: [1, 2] };
  const body = chance.is(0.6) ? jsonOf(error)(chance) : hostileText(chance);
  return JSON.stringify({ status: chance.pick([0, 200, 404, 429, 489, 503, 599]), headers, body });
}

function request(text: string, type: "json" | "yaml"): Request {
  const headers = { "content-type": `application/${type}` };
  return new Request("http://redrive.test/", { method: "POST", headers, body: text });
}

async function takeTask(text: string, type: "json" | "yaml"): Promise<unknown> {
  return toTask(await readBody(request(text, type), MAX_TASK_BYTES, { yaml: true }));
}

async function toTask(raw: unknown): Promise<unknown> {
  const situation = {
    queue: QUEUE,
    rules: RULES,
    now: NOW,
    random: () => 0.5,
    traceparent: null,
    mayEdge: true,
  };
  const routed = await taskFromRequest(parse(SubmittedTask, raw), situation);
  if (!routed.ok) throw refused(routed);
  return routed;
}

async function takeQueue(text: string, type: "json" | "yaml"): Promise<unknown> {
  const raw = await readBody(request(text, type), MAX_SETTINGS_BYTES, { yaml: true });
  return checkQueueSettings(parse(QueueSettings, raw), RULES);
}

async function takeBatch(text: string): Promise<void> {
  const { tasks } = parse(BatchRequest, await readBody(request(text, "json"), MAX_BATCH_BYTES));
  const results = await Promise.allSettled(tasks.map(toTask));
  const reasons = results.flatMap((result) =>
    result.status === "rejected" ? [result.reason as unknown] : [],
  );
  // Each task is refused by itself; what is no refusal counts first.
  if (reasons.length > 0) throw reasons.find((reason) => !(reason instanceof AppError)) ?? reasons[0];
}

async function takeSettings(text: string, schema: Parameters<typeof parse>[0]): Promise<unknown> {
  return parse(schema, await readBody(request(text, "json"), MAX_SETTINGS_BYTES));
}

/** A URL as a task gives it, and as a target's answer does. What is called is accepted when it is checked again. */
function takeUrl(text: string): void {
  const checked = checkTargetUrl(text, RULES);
  if (checked.ok && !checkTargetUrl(checked.url, RULES).ok)
    throw new Error(`accepted once only: ${checked.url}`);
  if (!URL.canParse(text, "https://api.redrive.invalid/a")) return;
  const hop = {
    url: "https://api.redrive.invalid/a",
    method: "POST",
    headers: { authorization: "x" },
    body: null,
  };
  for (const mode of ["strict", "loose"] as const)
    checkHop(nextHop({ ...hop, method: "GET" }, 307, text, mode));
}

function checkHop(next: ReturnType<typeof nextHop>): void {
  if (next === null) return;
  const check = checkTargetUrl(next.url, RULES);
  if (check.ok && check.origin !== "https://api.redrive.invalid" && "authorization" in next.headers) {
    throw new Error(`a secret would go to ${check.origin}`);
  }
}

/** Each route's own query; a refusal by one keeps none of the others from being tried. */
function takeQuery(text: string): void {
  const query = Object.fromEntries(new URLSearchParams(text));
  for (const schema of [TaskQuery, BreakersQuery, BreakerQuery, RetryQuery]) {
    const result = schema.safeParse(query);
    if (!result.success && result.error.issues.length === 0) throw new Error("refused for no reason");
  }
  parse(TaskQuery, query);
}
