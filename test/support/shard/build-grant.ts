import type { Grant } from "../../../src/protocol/grant.ts";

/** What matters of a grant to the test; `url` is where its call goes. */
export type GrantOverrides = Partial<Grant> & { url?: string };

/** The right to make one call of a task's first attempt. */
export function buildGrant({ url = "https://api.example.com/", ...rest }: GrantOverrides = {}): Grant {
  return {
    kind: "attempt",
    shard: "default-0",
    id: "tsk_1",
    round: 1,
    number: 1,
    lease: 1,
    leaseUntil: 30_000,
    leaseMs: 30_000,
    request: { url, method: "POST", headers: {}, body: null, timeoutMs: 20_000, maxRedirects: 0, sign: null },
    ...rest,
  };
}
