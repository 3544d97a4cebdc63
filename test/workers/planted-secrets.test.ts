import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { ROUTES } from "../../src/api/routes.ts";
import { call, stubTargets } from "../support/workers/api.ts";

/** What no answer and no log line may repeat: it looks as tokens do, and is part of every value below. */
const SECRET = "4eC39HqLyjWDarjtT1zdp7dc";
const VALUES: readonly unknown[] = [
  SECRET,
  `sk_live_${SECRET}`,
  `Bearer ${SECRET}`,
  [SECRET],
  [{ authorization: `Bearer ${SECRET}` }],
  { authorization: SECRET },
  { [SECRET]: 1 },
  { headers: { [`x-${SECRET}`]: SECRET, "x y": SECRET } },
  { headers: { host: SECRET, cookie: `${SECRET}\n` } },
  { url: SECRET },
  { url: `https://user:${SECRET}@api.example.com/` },
  { url: `https://api.example.com/?api_key=${SECRET}`, max_redirects: SECRET },
  { url: `https://localhost/${SECRET}?api_key=${SECRET}#${SECRET}` },
  { url: `https://api.example.com:${SECRET}/` },
  { url: `ftp://api.example.com/${SECRET}` },
  `https://10.0.0.1/${SECRET}?key=${SECRET}`,
  `https://api.example.com:22/${SECRET}`,
  `status == "${SECRET}`,
  `10 ${SECRET}`,
];
const FIELDS = [
  ...[
    "url",
    "method",
    "headers",
    "body",
    "body_base64",
    "queue",
    "idempotency_key",
    "delay",
    "run_at",
    "timeout",
  ],
  ...[
    "retry",
    "rules",
    "conditions",
    "when",
    "do",
    "until",
    "probe",
    "period",
    "backoff",
    "intervals",
    "labels",
  ],
  ...[
    "metadata",
    "callback",
    "tasks",
    "breaker",
    "readiness",
    "events",
    "scopes",
    "queues",
    "name",
    "reason",
  ],
  ...["breaker_key", "target", "label", "state", "cursor", "redirect_mode", "rate", "shards", "encrypt"],
];

/** A value with the secret in it, some fields deep, beside or in place of what belongs there. */
const planted = fc
  .record({
    value: fc.constantFrom(...VALUES),
    path: fc.array(fc.constantFrom(...FIELDS), { maxLength: 3 }),
    list: fc.boolean(),
  })
  .map(({ value, path, list }) => {
    const inner = path.reduceRight<unknown>((held, field) => ({ [field]: list ? [held] : held }), value);
    const isObject = typeof inner === "object" && inner !== null && !Array.isArray(inner);
    return isObject && path.length > 0 ? { url: "https://api.example.com/", method: "GET", ...inner } : inner;
  });

const text = fc.oneof(
  { weight: 6, arbitrary: planted.map((value) => JSON.stringify(value)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom(
      `{"headers": {"authorization": "${SECRET}`,
      `{"url": "https://api.example.com", ${SECRET}}`,
      `url: x\nheaders: {authorization: ${SECRET}`,
      `a: *${SECRET}`,
      `a: !${SECRET} b`,
      `${SECRET}: 1\n${SECRET}: 2`,
      `a: "\\${SECRET}"`,
      `%${SECRET}\n---\na: 1`,
    ),
  },
);
const query = fc.constantFrom(
  "",
  `?${SECRET}=1`,
  `?limit=${SECRET}`,
  `?state=${SECRET}`,
  `?cursor=${SECRET}`,
  `?queue=${SECRET}`,
  `?force=${SECRET}`,
  `?queue=${SECRET}&queue=${SECRET}`,
  `?${SECRET}=1&${SECRET}=2`,
);
const headers = fc.constantFrom<Record<string, string>>(
  { "content-type": "application/json" },
  { "content-type": "application/yaml" },
  { "content-type": `text/${SECRET}` },
  { "content-type": `application/json; charset=${SECRET}` },
  { "content-type": "application/json", "content-encoding": SECRET },
  { "content-type": "application/json", "idempotency-key": `${SECRET}\u00e9` },
  { "content-type": "application/json", authorization: `Bearer ${SECRET}` },
  { "content-type": "application/json", authorization: `Basic ${SECRET}` },
);
const name = fc.constantFrom(
  "default",
  SECRET,
  `https://api.example.com/?key=${SECRET}`,
  `key:default/${SECRET}`,
);

describe("a secret in a wrong place", () => {
  let logged: unknown[][];

  beforeEach(() => {
    logged = [];
    stubTargets(() => new Response(null, { status: 204 }));
    for (const method of ["log", "warn", "error", "info"] as const) {
      vi.spyOn(console, method).mockImplementation((...line) => void logged.push(line));
    }
  });

  afterEach(() => {
    vi.restoreAllMocks();
    vi.unstubAllGlobals();
  });

  test("is repeated by no problem and by no log line, whatever the route", async () => {
    let refusals = 0;
    const request = fc.record({ route: fc.constantFrom(...ROUTES), name, body: text, query, headers });
    await fc.assert(
      fc.asyncProperty(request, async ({ route, name: given, body, query: asked, headers: sent }) => {
        const path = route.path.replace(/\{\w+\}/, encodeURIComponent(given));
        const hasBody = route.method !== "GET";
        const response = await call(route.method, path + asked, { headers: sent, ...(hasBody && { body }) });
        const answer = await response.text();
        expect(response.status).not.toBe(500);
        // What was taken is given back to whoever may read it; what was refused is not.
        if (response.status >= 400) {
          refusals++;
          expect(answer).not.toContain(SECRET);
        }
        for (const { problem } of problemsOf(answer)) expect(JSON.stringify(problem)).not.toContain(SECRET);
        expect(JSON.stringify(logged)).not.toContain(SECRET);
      }),
      { numRuns: 1_500 },
    );
    expect(refusals).toBeGreaterThan(500);
  }, 120_000);
});

/** The problems of a batch's answer. */
function problemsOf(answer: string): { problem: unknown }[] {
  if (!answer.startsWith('{"results"')) return [];
  const { results } = JSON.parse(answer) as { results: object[] };
  return results.flatMap((result) => ("problem" in result ? [{ problem: result.problem }] : []));
}
