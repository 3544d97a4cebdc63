import { DurableObject } from "cloudflare:workers";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import { migrate } from "../platform/migrate.ts";
import { type InboxPort, MAX_CALLBACKS_KEPT, MAX_CALLBACKS_SHOWN, type Received } from "./inbox-port.ts";
import { SANDBOX_MIGRATIONS } from "./migrations.ts";

/** The one object of the sandbox: an inbox for callbacks, in its SQLite. */
export class Sandbox extends DurableObject<Env> implements InboxPort {
  readonly #sql: SqlStorage;

  constructor(context: DurableObjectState, env: Env) {
    super(context, env);
    const { storage } = context;
    this.#sql = storage.sql;
    const transaction = (run: () => void) => storage.transactionSync(run);
    migrate(storage.sql, transaction, SANDBOX_MIGRATIONS, clock.now());
  }

  async add(callback: Received): Promise<void> {
    this.#sql.exec(
      "INSERT INTO callbacks (id, task_id, type, received_at, verified, body) VALUES (?, ?, ?, ?, ?, ?)",
      callback.id,
      callback.taskId,
      callback.type,
      callback.receivedAt,
      callback.verified ? 1 : 0,
      callback.body,
    );
    this.#sql.exec(
      "DELETE FROM callbacks WHERE seq <= (SELECT max(seq) FROM callbacks) - ?",
      MAX_CALLBACKS_KEPT,
    );
  }

  async list(taskId: string | null): Promise<{ callbacks: Received[]; total: number }> {
    const rows = this.#sql
      .exec<CallbackRow>(
        "SELECT * FROM callbacks WHERE ?1 IS NULL OR task_id = ?1 ORDER BY seq DESC LIMIT ?2",
        taskId,
        MAX_CALLBACKS_SHOWN,
      )
      .toArray();
    const { total } = this.#sql
      .exec<{ total: number }>(
        "SELECT count(*) AS total FROM callbacks WHERE ?1 IS NULL OR task_id = ?1",
        taskId,
      )
      .one();
    return { callbacks: rows.map(rowToReceived), total };
  }

  async empty(): Promise<void> {
    this.#sql.exec("DELETE FROM callbacks");
  }
}

type CallbackRow = {
  id: string | null;
  task_id: string | null;
  type: string | null;
  received_at: number;
  verified: number;
  body: string;
};

function rowToReceived(row: CallbackRow): Received {
  return {
    id: row.id,
    taskId: row.task_id,
    type: row.type,
    receivedAt: row.received_at,
    verified: row.verified === 1,
    body: row.body,
  };
}
