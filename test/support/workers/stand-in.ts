import { DurableObject } from "cloudflare:workers";

/** A Worker with the classes that the configuration names and none of their work: for tests of the launcher. */
class Counter extends DurableObject {
  /** Counts on disk: how often it has been called. */
  async count(): Promise<number> {
    const { storage } = this.ctx;
    const count = ((await storage.get<number>("count")) ?? 0) + 1;
    await storage.put("count", count);
    return count;
  }
}

export class QueueShard extends Counter {}
export class Runner extends Counter {}
export class Catalog extends Counter {}
export class Breaker extends Counter {}
export class Sandbox extends Counter {}

interface Env {
  SHARD: { getByName(name: string): { count(): Promise<number> } };
  REDRIVE_API_KEY?: string;
  REDRIVE_SANDBOX?: string;
  REDRIVE_ALLOW_TARGETS?: string;
  REDRIVE_OPEN_FILES?: string;
}

export default {
  /**
   * `/slow?ms=`: begins its answer at once and ends it late, with a count. `/fetch?url=`: whether this server
   * may call that. Any other path: what the server is told, and a count.
   */
  async fetch(request: Request, env: Env): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname === "/slow") return answerLate(Number(searchParams.get("ms")), env);
    if (pathname === "/fetch") return tryFetch(searchParams.get("url") ?? "");
    const { SHARD, ...told } = env;
    const count = await SHARD.getByName("one").count();
    return Response.json({ count, ...textsOf(told) });
  },
};

/** The bindings that are texts. */
function textsOf(env: object): Record<string, string> {
  return Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === "string"));
}

function answerLate(ms: number, env: Env): Response {
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const write = async () => {
    const writer = writable.getWriter();
    await writer.write(new TextEncoder().encode("begun "));
    await new Promise((resolve) => setTimeout(resolve, ms));
    await writer.write(new TextEncoder().encode(`count ${await env.SHARD.getByName("one").count()}`));
    await writer.close();
  };
  void write();
  return new Response(readable);
}

async function tryFetch(url: string): Promise<Response> {
  try {
    return Response.json({ status: (await fetch(url)).status });
  } catch {
    return Response.json({ status: null });
  }
}
