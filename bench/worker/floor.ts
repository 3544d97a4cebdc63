/** The bare Worker: answers 202, then makes the two POSTs of a task in waitUntil. It stores nothing and repeats nothing. */
import { EXAMPLE_CALLBACK } from "./example-callback.ts";

interface FloorTask {
  url: string;
  body: unknown;
  callback: { url: string };
}

export default {
  async fetch(request: Request, _env: unknown, ctx: ExecutionContext): Promise<Response> {
    const task: FloorTask = await request.json();
    ctx.waitUntil(callAndTell(task));
    return new Response(null, { status: 202 });
  },
};

async function callAndTell({ url, body, callback }: FloorTask): Promise<void> {
  await post(url, JSON.stringify(body));
  await post(callback.url, EXAMPLE_CALLBACK);
}

async function post(url: string, body: string): Promise<void> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body });
  await response.arrayBuffer();
}
