import app, { QueueShard as ThisShard } from "../../../src/index.ts";
import type { Env } from "../../../src/platform/env.ts";
import { migrate } from "../../../src/platform/migrate.ts";

export { Breaker, Catalog, Runner, Sandbox } from "../../../src/index.ts";

const MIGRATIONS = [
  { name: "9999_next", sql: "ALTER TABLE tasks ADD COLUMN next_release TEXT NOT NULL DEFAULT 'added'" },
];

/** A shard of a release to come: with a column that this one knows nothing of. */
export class QueueShard extends ThisShard {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    migrate(storage.sql, (run) => storage.transactionSync(run), MIGRATIONS, Date.now());
  }
}

/** The Worker of a release to come: it says so in a header of every answer. */
export default {
  async fetch(request, env, ctx) {
    const answer = await app.fetch(request, env, ctx);
    const headers = new Headers(answer.headers);
    headers.set("x-release", "next");
    return new Response(answer.body, { status: answer.status, headers });
  },
} satisfies ExportedHandler<Env>;
