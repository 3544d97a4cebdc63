/** What a probe would use up. */
interface ProbeCost {
  /** Attempts used in the task's round. */
  attemptsUsed: number;
  /** Attempts left in it; a task with one left ends if the probe fails. */
  attemptsLeft: number;
}

/** A task that waits for a breaker. */
export interface ParkedTask extends ProbeCost {
  id: string;
  dueAt: number;
}

/** A shard that has tasks waiting for a breaker, as the Breaker object knows it. */
export interface ParkedShard {
  shard: string;
  /** How many; at least 1. */
  tasks: number;
  /** What `chooseProbe` found in it; null: a probe costs nothing there (the queue names a readiness URL). */
  probe: ProbeCost | null;
  /** When it had a probe last; 0: never. */
  probedAt: number;
}

/**
 * The task whose attempt is the probe, so that nobody dies of probing: one that has another attempt left goes
 * before one that has not, then the one that has used the fewest, then the one due longest. Null: none is parked.
 */
export function chooseProbe(parked: readonly ParkedTask[]): ParkedTask | null {
  return least(parked, (a, b) => byCost(a, b) || a.dueAt - b.dueAt || (a.id < b.id ? -1 : 1));
}

/**
 * The shard that gets the probe: where it costs nothing, else by the rule for tasks; among equals the one whose
 * last probe is longest ago. Null: none is parked.
 */
export function chooseShard(parked: readonly ParkedShard[]): ParkedShard | null {
  return least(
    parked,
    (a, b) => byCost(a.probe, b.probe) || a.probedAt - b.probedAt || (a.shard < b.shard ? -1 : 1),
  );
}

function byCost(a: ProbeCost | null, b: ProbeCost | null): number {
  if (a === null || b === null) return Number(a !== null) - Number(b !== null);
  const aEnds = a.attemptsLeft <= 1;
  const bEnds = b.attemptsLeft <= 1;
  return Number(aEnds) - Number(bEnds) || a.attemptsUsed - b.attemptsUsed;
}

function least<T>(items: readonly T[], compare: (a: T, b: T) => number): T | null {
  return items.reduce<T | null>(
    (best, item) => (best === null || compare(item, best) < 0 ? item : best),
    null,
  );
}
