import { BreakersQuery } from "../../schema/breaker.ts";
import { BODY_PROBLEMS, JSON_TYPE, type RouteDoc } from "../http/route-doc.ts";
import { BreakerQuery } from "./breaker-query.ts";

const OPERATION = {
  tag: "Breakers",
  scope: "operate",
  query: BreakerQuery,
  responses: [{ status: 200, description: "The breaker as it is now", schema: "Breaker" }],
} as const;

/** The routes of breakers. */
export const BREAKER_ROUTES: readonly RouteDoc[] = [
  {
    method: "GET",
    path: "/v1/breakers",
    tag: "Breakers",
    summary: "List breakers",
    description:
      "Those that are not closed, and those of targets that are held or were called within the last hour, of the queues " +
      "that the key may see. Those that are not closed or held come first, each part by name. A page may come back short, " +
      "even empty, with a `next_cursor`: go on until that is null.",
    scope: "read",
    query: BreakersQuery,
    responses: [{ status: 200, description: "The breakers", schema: "BreakerList" }],
    problems: ["invalid_request", "invalid_cursor", "rate_limited"],
  },
  {
    method: "GET",
    path: "/v1/breakers/{key}",
    tag: "Breakers",
    summary: "Read a breaker",
    description:
      "By its target key, percent-encoded: an origin, one with a path that a queue's `scopes` name, or " +
      "`key:<queue>/<breaker_key>`. A key that is limited to some " +
      "queues sees the breakers that these use, and their holds only.",
    scope: "read",
    query: BreakerQuery,
    responses: [{ status: 200, description: "The breaker", schema: "Breaker" }],
    problems: ["invalid_request", "queue_not_found", "breaker_not_found", "rate_limited"],
  },
  {
    ...OPERATION,
    method: "POST",
    path: "/v1/breakers/{key}/isolate",
    summary: "Stop all calls to a target",
    description:
      "Until a reset; tasks for it wait and use no attempt. Works before the first call too. A breaker that all " +
      "queues go by needs the scope `admin`, with a key that is not limited to some queues.",
    request: {
      schema: "BreakerOperation",
      types: [JSON_TYPE],
      example: JSON.stringify({ reason: "their data centre moves tonight" }),
    },
    problems: [...BODY_PROBLEMS, "queue_not_found"],
  },
  {
    ...OPERATION,
    method: "POST",
    path: "/v1/breakers/{key}/reset",
    summary: "Close a breaker, and release the target's holds",
    description:
      "Whatever it is; load comes back step by step. What the target asked for by `Retry-After` is over for all queues " +
      "that go by the breaker; `released_holds` says what that was. A breaker that all queues go by needs the scope `admin`, with a " +
      "key that is not limited to some queues.",
    request: {
      schema: "BreakerOperation",
      types: [JSON_TYPE],
      example: JSON.stringify({ reason: "they say that it works again" }),
    },
    problems: [...BODY_PROBLEMS, "queue_not_found", "breaker_not_found"],
  },
];
