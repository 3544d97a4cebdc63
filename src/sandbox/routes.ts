import { Hono } from "hono";
import { z } from "zod";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import { shapeOf } from "../schema/shape.ts";
import type { InboxPort, Received } from "./inbox-port.ts";
import { problem } from "./problem.ts";
import { answerByScript } from "./target.ts";
import { isVerified } from "./verify.ts";

/** The largest callback that the inbox takes: 64 KB of answer, escaped at worst, and a history. */
const MAX_CALLBACK_BYTES = 512 * 1_024;

/**
 * The sandbox, mounted under `/sandbox`: a target that answers by a script, a readiness check and an inbox for
 * callbacks. Every route answers 404 unless REDRIVE_SANDBOX is `on`. None asks for a key: the API guards what the inbox holds.
 */
export const sandboxRoutes = new Hono<{ Bindings: Env }>();

sandboxRoutes.use(async (context, next) => {
  if (context.env.REDRIVE_SANDBOX === "on") return next();
  return problem(404, "not_found", "The sandbox is off. REDRIVE_SANDBOX=on switches it on.");
});

sandboxRoutes.all("/target", answerByScript);

sandboxRoutes.get("/ready", (context) => {
  const at = context.req.query("at") ?? "";
  if (!/^\d{1,15}$/.test(at)) {
    const message = `expected epoch milliseconds, got ${shapeOf(at)}`;
    return problem(400, "invalid_request", "The query is not what it must be.", [{ path: "at", message }]);
  }
  return new Response(null, { status: clock.now() < Number(at) ? 503 : 204 });
});

sandboxRoutes.post("/inbox", async (context) => {
  const body = await readAtMost(context.req.raw, MAX_CALLBACK_BYTES);
  if (body === null) {
    return problem(413, "body_too_large", `A callback has at most ${MAX_CALLBACK_BYTES} bytes.`);
  }
  await inboxOf(context.env).add(await received(context.req.raw.headers, body, context.env));
  return context.body(null, 204);
});

sandboxRoutes.get("/inbox", async (context) => {
  const { callbacks, total } = await inboxOf(context.env).list(context.req.query("task") ?? null);
  return context.json({ callbacks: callbacks.map(callbackView), total });
});

sandboxRoutes.delete("/inbox", async (context) => {
  await inboxOf(context.env).empty();
  return context.body(null, 204);
});

function inboxOf(env: Env): InboxPort {
  return env.SANDBOX.getByName("inbox") as unknown as InboxPort;
}

async function received(headers: Headers, body: Uint8Array, env: Env): Promise<Received> {
  const message = {
    id: headers.get("webhook-id") ?? "",
    timestamp: headers.get("webhook-timestamp") ?? "",
    signature: headers.get("webhook-signature") ?? "",
    body,
  };
  const now = clock.now();
  const secret = env.REDRIVE_SIGNING_SECRET;
  const text = new TextDecoder().decode(body);
  return {
    id: message.id === "" ? null : message.id,
    ...tellingParts(text),
    receivedAt: now,
    verified: secret !== undefined && (await isVerified(message, secret, now)),
    body: text,
  };
}

/** Anyone may post here, so the body need not be a callback. */
const Telling = z.object({ type: z.string(), data: z.object({ task: z.object({ id: z.string() }) }) });

function tellingParts(text: string): Pick<Received, "taskId" | "type"> {
  const parsed = Telling.safeParse(jsonOrNull(text));
  return { taskId: parsed.data?.data.task.id ?? null, type: parsed.data?.type ?? null };
}

function callbackView(callback: Received) {
  return {
    id: callback.id,
    task_id: callback.taskId,
    type: callback.type,
    received_at: new Date(callback.receivedAt).toISOString(),
    verified: callback.verified,
    body: jsonOrNull(callback.body) ?? callback.body,
  };
}

function jsonOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** The body's bytes, or null where there are more than `maxBytes`; reads no more than it must to know. */
async function readAtMost(request: Request, maxBytes: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > maxBytes) return null;
    chunks.push(chunk);
  }
  return concat(chunks, length);
}

function concat(chunks: Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}
