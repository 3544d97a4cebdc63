import { createApp } from "./api/app.ts";

export { Breaker } from "./breaker/breaker.ts";
export { Catalog } from "./catalog/catalog.ts";
export { Runner } from "./runner/runner.ts";
export { Sandbox } from "./sandbox/sandbox.ts";
export { QueueShard } from "./shard/queue-shard.ts";

/** The Worker: the HTTP API in front of the Durable Objects above. */
export default createApp();
