import { checkRedirect } from "../core/address/target-url.ts";
import { clock } from "../platform/clock.ts";
import { addressRulesOf, type Env } from "../platform/env.ts";
import { keyringOf } from "../sealing/env-keyring.ts";
import type { RunPorts } from "./run-grant.ts";
import { toldFetch } from "./told-fetch.ts";

/**
 * The real ports of whoever runs grants in this deployment; `want` is how many further grants it can take. The
 * edge takes none. Throws a RangeError where a setting is wrong.
 */
export function runPorts(env: Env, want: () => number): RunPorts {
  const rules = addressRulesOf(env);
  return {
    fetch: toldFetch(env),
    now: clock.now,
    wait: clock.wait,
    checkUrl: (url, from) => checkRedirect(from, url, rules),
    shard: (name) => env.SHARD.getByName(name),
    want,
    keyring: keyringOf(env),
  };
}
