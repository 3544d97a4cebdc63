import { createApp } from "./api/app.ts";

export { Breaker } from "./breaker/breaker.ts";
export { CallingShard as QueueShard } from "./calling-shard.ts";
export { Catalog } from "./catalog/catalog.ts";
export { Runner } from "./runner/runner.ts";
export { Sandbox } from "./sandbox/sandbox.ts";

/** The Worker: the HTTP API in front of the Durable Objects above. */
export default createApp();
