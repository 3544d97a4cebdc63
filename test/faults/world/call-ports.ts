import type { RunPorts } from "../../../src/runner/run-grant.ts";
import type { Life } from "./host.ts";
import type { World } from "./world.ts";

/** What calls need: the simulated targets, on the clock of whoever makes them. */
export function callPorts(world: World, life: Life): Omit<RunPorts, "shard" | "want"> {
  return {
    fetch: ((url: string, init: RequestInit) => world.targets.fetch(life, url, init)) as typeof fetch,
    now: () => life.now(),
    wait: (ms) => world.wait(life, ms),
    checkUrl: () => ({ ok: false, message: "redirects are refused here" }),
  };
}
