import type { TargetRun } from "./target-process.ts";

/** Something that takes tasks and sees to it that the target is called and told: Redrive, or a floor to compare with. */
export interface Subject {
  /** The process whose memory counts; null: none of its own. */
  pid: number | null;
  /** Hands in task `n` of a run; resolves once it was taken in. Rejects where it was refused. */
  submit(run: TargetRun, n: number): Promise<void>;
  stop(): Promise<void>;
}

/** What every task sends to its target. */
export const TASK_BODY = { order: 991, amount: 5, currency: "EUR" };
