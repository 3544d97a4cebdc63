import { type Fetch, RedriveClient, type RedriveClientOptions } from "../../src/client/index.ts";

/** A request as the fake API saw it. */
interface SeenRequest {
  method: string;
  /** Path and query. */
  path: string;
  headers: Headers;
  body: unknown;
}

/** What the fake API does with one request: answer, fail as a network does, or stay silent until aborted. */
type Step = Response | Error | "hang" | ((request: SeenRequest) => Response);

/** A client on a fetch that follows a script, one step for each request, and notes requests and waits. */
export function fakeApi(script: Step[], options: Partial<RedriveClientOptions> = {}) {
  const requests: SeenRequest[] = [];
  const waits: number[] = [];
  const fetch: Fetch = async (url, init) => {
    const { pathname, search } = new URL(url);
    const body: unknown = typeof init.body === "string" ? JSON.parse(init.body) : undefined;
    const method = init.method ?? "GET";
    const request = { method, path: pathname + search, headers: new Headers(init.headers), body };
    requests.push(request);
    const step = script[requests.length - 1];
    if (step === undefined)
      throw new Error(`expected ${script.length} requests, got one more: ${request.path}`);
    if (step === "hang") return untilAborted(init.signal);
    if (step instanceof Error) throw step;
    return step instanceof Response ? step : step(request);
  };
  const wait = async (delayMs: number) => {
    waits.push(delayMs);
  };
  const client = new RedriveClient({
    url: "http://redrive.test/",
    apiKey: "key-1",
    fetch,
    random: () => 0.5,
    wait,
    ...options,
  });
  return { client, requests, waits };
}

/** A JSON answer. */
export function json(body: unknown, status = 200, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(body), { status, headers });
}

/** A problem+json answer. */
export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  const body = {
    type: "about:blank",
    title: code,
    status,
    code,
    detail: `the ${code} case`,
    request_id: "req-7",
  };
  return json(body, status, { "content-type": "application/problem+json", ...headers });
}

function untilAborted(signal: AbortSignal | null | undefined): Promise<Response> {
  return new Promise((_, reject) => signal?.addEventListener("abort", () => reject(signal.reason)));
}
