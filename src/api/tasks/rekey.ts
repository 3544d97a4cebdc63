import { shardName } from "../../protocol/names.ts";
import { MAX_SETTINGS_BYTES } from "../../schema/limits.ts";
import { RekeyRequest, type RekeyResult, TaskRekey } from "../../schema/rekey.ts";
import { type AppContext, callShard } from "../access/app-env.ts";
import { findQueue } from "../access/find-queue.ts";
import { pathParam, type Route } from "../access/route.ts";
import { makeCursor, readCursor } from "../http/cursor.ts";
import { parse } from "../http/parse.ts";
import { readBody } from "../http/read-body.ts";
import { BODY_PROBLEMS, JSON_TYPE } from "../http/route-doc.ts";
import { answerTask } from "./answer-task.ts";
import { shardOfTask } from "./find-task.ts";
import { REKEY_REQUEST, REKEY_RESULT, TASK, TASK_REKEY } from "./schemas.ts";

/** Tasks that one call to a shard moves at most; each is a commit's part, which others wait for. */
const SLICE = 200;
/** Calls to shards that one request makes at most: then it answers with a cursor. */
const MOST_SLICES = 20;

/** Give tasks that wait another `breaker_key`. */
export const REKEY_ROUTES: readonly Route[] = [
  {
    method: "POST",
    path: "/v1/tasks/{id}/rekey",
    tag: "Tasks",
    summary: "Give a task another breaker_key",
    description:
      "It stands in the line of its new target at once; one that is running goes by it from its next attempt on.",
    scope: "operate",
    request: {
      schema: TASK_REKEY,
      types: [JSON_TYPE],
      example: JSON.stringify({ breaker_key: "alice" }),
    },
    responses: [{ status: 200, description: "The task as it is now", schema: TASK }],
    problems: [...BODY_PROBLEMS, "task_not_found", "invalid_state"],
    handle: async (c) => {
      const id = pathParam(c, "id");
      const name = await shardOfTask(c, id);
      const { breaker_key: key } = parse(TaskRekey, await readBody(c.req.raw, MAX_SETTINGS_BYTES));
      const answer = await callShard(c.env, name, (shard) => shard.rekeyTask(id, key));
      return answerTask(c.env, answer);
    },
  },
  {
    method: "POST",
    path: "/v1/tasks/rekey",
    tag: "Tasks",
    summary: "Give many tasks another breaker_key",
    description:
      "Those of a queue that the filter lets through and that are not final. Some thousand are looked at with each " +
      "request: repeat it with `next_cursor` as `cursor` until that is null. To repeat one changes nothing more.",
    scope: "operate",
    request: {
      schema: REKEY_REQUEST,
      types: [JSON_TYPE],
      example: JSON.stringify({
        queue: "webhooks",
        target: "https://api.example.com",
        label: "customer:alice",
        breaker_key: "alice",
      }),
    },
    responses: [{ status: 200, description: "What was done", schema: REKEY_RESULT }],
    problems: [...BODY_PROBLEMS, "queue_not_found", "invalid_cursor"],
    handle: async (c) => {
      const request = parse(RekeyRequest, await readBody(c.req.raw, MAX_SETTINGS_BYTES));
      return c.json(await rekeyMany(c, request));
    },
  },
];

/** Goes through the queue's shards one after the other, newest tasks first in each, for so many slices. */
async function rekeyMany(c: AppContext, request: RekeyRequest): Promise<RekeyResult> {
  const { cursor, breaker_key: breakerKey, dry_run: dryRun } = request;
  const { queue, target = null, label = null, state = null } = request;
  const config = await findQueue(c, queue);
  const filters = { rekey: breakerKey, dryRun: Number(dryRun), queue, target, label, state };
  const secret = c.env.REDRIVE_API_KEY ?? "";
  let place = cursor === undefined ? FIRST : placeFrom(await readCursor(cursor, filters, secret));
  const result = { matched: 0, changed: 0, dry_run: dryRun };
  for (let slices = 0; place.shard < config.shards; slices++) {
    if (slices === MOST_SLICES)
      return { ...result, next_cursor: await makeCursor(textOf(place), filters, secret) };
    const { before } = place;
    const message = { before, target, label, state, limit: SLICE, breakerKey, dryRun };
    const answer = await callShard(c.env, shardName(config.ref, place.shard), (shard) =>
      shard.rekey(message),
    );
    result.matched += answer.matched;
    result.changed += answer.changed;
    place = placeAfter(place, answer.examinedTo);
  }
  return { ...result, next_cursor: null };
}

/** How far a request has come: the shard, and the task in it that the next slice goes on below; null: its newest. */
interface Place {
  shard: number;
  before: string | null;
}

const FIRST: Place = { shard: 0, before: null };

function placeAfter({ shard }: Place, examinedTo: string | null): Place {
  return examinedTo === null ? { shard: shard + 1, before: null } : { shard, before: examinedTo };
}

function textOf({ shard, before }: Place): string {
  return `${shard}/${before ?? ""}`;
}

/** Expects what `textOf` has made, and the cursor's signature says so. */
function placeFrom(text: string): Place {
  const [shard, before] = text.split("/");
  return { shard: Number(shard), before: before === undefined || before === "" ? null : before };
}
