import type { Context } from "hono";
import { clock } from "../platform/clock.ts";
import { issuesOf, OPTIONS } from "../schema/issues.ts";
import { problem } from "./problem.ts";
import { attemptOf, hangMs, type Step, stepFor, TargetQuery } from "./script.ts";

/** Statuses whose answers have no body. */
const BODILESS = [204, 205, 304];

/** Answers as the script in the query says for the attempt that asks; 400 where the query is wrong. */
export async function answerByScript(context: Context): Promise<Response> {
  const query = TargetQuery.safeParse(Object.fromEntries(new URL(context.req.url).searchParams), OPTIONS);
  if (!query.success) {
    return problem(
      400,
      "invalid_request",
      "The target's query is not what it must be.",
      issuesOf(query.error),
    );
  }
  const attempt = attemptOf(context.req.header("redrive-attempt"));
  const step = stepFor(query.data.script, attempt);
  const waitMs =
    step === "timeout" ? hangMs(context.req.header("redrive-deadline"), clock.now()) : query.data.delay;
  if (waitMs > 0) await clock.wait(waitMs);
  return step === "reset" ? cutShort() : answer(step === "timeout" ? 504 : step, attempt, query.data);
}

function answer(status: Exclude<Step, string>, attempt: number, query: TargetQuery): Response {
  const body = query.body ?? JSON.stringify({ status, attempt });
  const headers = new Headers({
    "content-type": isJson(body) ? "application/json" : "text/plain; charset=utf-8",
  });
  if (query.retry_after !== undefined && status >= 400) {
    headers.set("retry-after", String(Math.ceil(query.retry_after / 1_000)));
  }
  return new Response(BODILESS.includes(status) ? null : body, { status, headers });
}

/** An answer whose body fails: the runtime then breaks the connection, workerd before it has sent the headers. */
function cutShort(): Response {
  let isBegun = false;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (isBegun) controller.error(new Error("the script says reset"));
      else controller.enqueue(new TextEncoder().encode("{"));
      isBegun = true;
    },
  });
  return new Response(body, { headers: { "content-type": "application/json" } });
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
