import type { TaskSummary } from "../../src/schema/task.ts";
import { isDone, repeatUnanswered, restingMemory, type Story } from "./story.ts";

/** A scenario's line in the table. */
export interface Result {
  scenario: string;
  rounds: number;
  /** Tasks that were acknowledged. */
  accepted: number;
  /** Of them, those that have reached the final state that they had to. */
  final: number;
  /** Of them, those whose receiver was told that state. */
  callbacks: number;
  /** Accepted, and not final or not told; tasks that are there though nobody sent them; what else was wrong. */
  lost: string[];
  /** Calls of targets and receivers beyond what was needed: delivery is at least once. */
  repeated: number;
  /** Answers 503 with a code and Retry-After. */
  clear503: number;
  /** Server errors that no scenario may show. */
  other5xx: string[];
  memoryBeforeMb: number;
  memoryAfterMb: number;
  /** What else was seen. */
  notes: string[];
}

/** What a scenario tells beside what all of them are checked for. */
export interface Told {
  scenario: string;
  rounds: number;
  memoryBeforeMb: number;
  /** Whether storage was away for a time, so that a clear 503 is a right answer. */
  storageWasAway?: boolean;
  /** What the scenario itself found wrong. */
  faults?: string[];
  notes?: string[];
}

/** Waits until everything that was acknowledged has ended, and compares what was sent with what was seen. */
export async function audit(story: Story, told: Told): Promise<Result> {
  const { ledger, witness } = story;
  await repeatUnanswered(story);
  // The table then says how many are not.
  const late = await isDone(story).then(
    () => [],
    (error: Error) => [error.message],
  );
  const taskById = new Map((await allTasks(story)).map((task) => [task.id, task]));
  const accepted = [...ledger.accepted];
  const final = accepted.filter(([id, { endsAs }]) => taskById.get(id)?.state === endsAs);
  const callbacks = accepted.filter(([id, { endsAs }]) => witness.toldById.get(id)?.includes(endsAs));
  const isFinal = new Set(final);
  const isWhole = new Set(callbacks.filter((task) => isFinal.has(task)));
  const { storageWasAway = false, notes = [], faults = [], ...named } = told;
  const wrong503 = storageWasAway ? [] : [...ledger.refusals.keys()].filter((key) => key.startsWith("5"));
  return {
    ...named,
    accepted: accepted.length,
    final: final.length,
    callbacks: callbacks.length,
    lost: [
      ...late,
      ...faults,
      ...accepted.filter((task) => !isWhole.has(task)).map(([id]) => faultOf(story, id, taskById.get(id))),
      ...[...taskById.keys()].filter((id) => !ledger.accepted.has(id)).map((id) => `${id}: made twice`),
    ],
    repeated: repeatedCalls(story),
    clear503: ledger.clear503,
    other5xx: [...new Set([...ledger.unclear, ...wrong503])],
    memoryAfterMb: await restingMemory(story),
    notes,
  };
}

async function allTasks({ world, queue }: Story): Promise<TaskSummary[]> {
  const tasks: TaskSummary[] = [];
  for await (const task of world.client.list({ queue, limit: 200 })) tasks.push(task);
  return tasks;
}

function faultOf({ witness }: Story, id: string, task: TaskSummary | undefined): string {
  return `${id}: ${task?.state ?? "gone"}, told ${witness.toldById.get(id)?.join(", ") ?? "nothing"}`;
}

function repeatedCalls({ ledger, witness }: Story): number {
  let repeated = 0;
  for (const [id, { callsNeeded }] of ledger.accepted) {
    repeated += Math.max(0, (witness.callsById.get(id) ?? 0) - callsNeeded);
    repeated += Math.max(0, (witness.toldById.get(id)?.length ?? 0) - 1);
  }
  return repeated;
}
