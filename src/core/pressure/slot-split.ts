/** Tasks of one target that are due. */
export interface DueCounts {
  firsts: number;
  retries: number;
}

/** What holds the attempts of one target now. */
export interface SlotSituation {
  /** Attempts that may be in flight (limitInForce, held down by a ramp), or Infinity. */
  limit: number;
  inFlight: number;
  /** Of them. */
  retriesInFlight: number;
  /** Retries that the budget allows (budgetLeft), or Infinity. */
  budget: number;
}

/**
 * How many first attempts and retries of a target may go now. Retries have waited longer and go first, but while
 * first attempts wait they hold at most half of the limit (at least one slot), and never more than the budget
 * allows. Slots that one kind does not need are the other's.
 */
export function splitSlots(
  due: DueCounts,
  { limit, inFlight, retriesInFlight, budget }: SlotSituation,
): DueCounts {
  const free = Math.max(0, limit - inFlight);
  const most = due.firsts > 0 ? Math.max(1, Math.floor(limit / 2)) : limit;
  const retries = Math.max(0, Math.min(due.retries, free, budget, most - retriesInFlight));
  return { firsts: Math.min(due.firsts, free - retries), retries };
}
