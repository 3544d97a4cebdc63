import type { TaskRequestInput } from "../../src/schema/task.ts";
import type { RawAnswer } from "../support/server/stories.ts";

/** The final state that a task has to reach. */
export type FinalState = "succeeded" | "failed";

/** A task as it is sent, under the key that makes every repeat of it the same task. */
export interface SentTask {
  request: TaskRequestInput & { idempotency_key: string };
  endsAs: FinalState;
  /** Calls that the target gets for it when nothing goes wrong on our side. */
  callsNeeded: number;
}

/** What was sent to the server over all its lives, and what it answered. */
export class Ledger {
  /** Acknowledged tasks, by id. */
  readonly accepted = new Map<string, SentTask>();
  /** Sent and not acknowledged, by idempotency key: they may exist or not. */
  readonly unanswered = new Map<string, SentTask>();
  /** How often each answer from 400 on came: `503 storage_unavailable`. */
  readonly refusals = new Map<string, number>();
  /** Server errors that were no 503 with a code and Retry-After. */
  readonly unclear: string[] = [];

  sent(task: SentTask): void {
    this.unanswered.set(task.request.idempotency_key, task);
  }

  /** A 202 for a task, or the 200 of a repeat. */
  acknowledge(id: string, task: SentTask): void {
    this.unanswered.delete(task.request.idempotency_key);
    this.accepted.set(id, task);
  }

  /** Notes the answer to a request of any kind, whatever it says. */
  note({ status, headers, body }: RawAnswer): void {
    if (status < 400) return;
    const refusal = `${status} ${body?.code ?? "without a code"}`;
    this.refusals.set(refusal, (this.refusals.get(refusal) ?? 0) + 1);
    if (status < 500) return;
    const isClear = status === 503 && body?.code !== undefined && Number(headers.get("retry-after")) > 0;
    if (!isClear) this.unclear.push(refusal);
  }

  /** How many server errors came that were a clear 503. */
  get clear503(): number {
    const all = [...this.refusals].filter(([refusal]) => /^5/.test(refusal));
    return all.reduce((sum, [, count]) => sum + count, 0) - this.unclear.length;
  }
}
