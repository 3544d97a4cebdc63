import { chooseProbe, type ParkedTask } from "../../core/breaker/choose-probe.ts";
import { weightOf } from "../../core/pressure/weight.ts";
import { attemptsInRound, isFinal } from "../../core/task/task.ts";
import type { SqlRow } from "../../platform/sql-port.ts";
import { type Claimed, claimRow, type EachRow, FAILED_ROW_MS, isOver } from "../lease/claim-row.ts";
import type { ShardContext } from "../state/context.ts";
import { barIn, gateOf } from "../state/gate.ts";
import type { Target } from "../targets/target.ts";
import { claimPoll } from "./claim-poll.ts";
import { goingLanes, hasParked } from "./parked.ts";
import { claimReadiness, readinessOf } from "./readiness.ts";

/** Parked rows of each lane that a probe is chosen from: the first in turn, not a million. */
const SAMPLE = 50;

/** A parked row that could be a probe. */
export interface Candidate extends ParkedTask {
  lane: string;
  row: SqlRow;
  /** How long its call may take. */
  timeoutMs: number;
}

/**
 * Makes the calls that are leased as probes of half-open breakers: the readiness URL's, a parked row's, or a poll's.
 * `taken` is how many slots this turn has given away already.
 */
export function claimBreakerProbes(ctx: ShardContext, eachRow: EachRow, taken: number): Claimed[] {
  const claimed: Claimed[] = [];
  for (const target of ctx.targets.leased()) {
    const { breaker } = target.local;
    const lease = breaker.state === "half_open" ? (breaker.probe?.lease ?? null) : null;
    if (lease === null) continue;
    const made = claimProbe(ctx, target, taken + claimed.length, eachRow);
    if (made === "later") continue;
    if (made === null) eachRow(target.key, (tx) => ctx.targets.probeEnded(tx, target.key, lease, null));
    else claimed.push({ ...made, flight: { ...made.flight, probe: lease } });
  }
  return claimed;
}

/** The parked row that should be the probe, as far as a look at the first of each lane tells; null: none is parked. */
export function probeCandidate(ctx: ShardContext, key: string): Candidate | null {
  const candidates = candidatesFor(ctx, key);
  const chosen = chooseProbe(candidates);
  return candidates.find(({ id }) => id === chosen?.id) ?? null;
}

/** `later`: there is one to make, but no slot or no rate for it; null: there is none. */
function claimProbe(
  ctx: ShardContext,
  target: Target,
  taken: number,
  eachRow: EachRow,
): Claimed | "later" | null {
  if (!hasParked(ctx, target.key)) return null;
  const gate = () => {
    const found = gateOf(ctx, target.key);
    return found.probe ? { ...found, room: 1 } : found;
  };
  // What is parked may go as far as its queue is concerned; what it weighs is asked once its row is chosen.
  const barred = barIn(ctx, target.key, { taken, paused: false, gate, fits: () => true });
  if (barred !== null) return barred.bar === "target" ? null : "later";
  const readiness = readinessOf(ctx, target.key);
  if (readiness !== null) return claimReadiness(ctx, target, readiness, eachRow);
  return claimCandidate(ctx, target.key, eachRow) ?? claimAnyPoll(ctx, target.key, eachRow);
}

/**
 * Claims the row that should be the probe; where it ends instead, or its work fails, the next one. `later`: its body does
 * not fit beside those in flight.
 */
function claimCandidate(ctx: ShardContext, key: string, eachRow: EachRow): Claimed | "later" | null {
  let candidates = candidatesFor(ctx, key);
  for (;;) {
    const chosen = chooseProbe(candidates);
    const candidate = candidates.find(({ id }) => id === chosen?.id);
    if (candidate === undefined) return null;
    const { id, lane, row } = candidate;
    if (!isOver(ctx, row) && !ctx.weights.mayClaim(lane, weightOf(ctx.rows.bytesOf(row)))) return "later";
    const claimed = claimRow(ctx, row, eachRow);
    if (claimed === "failed") ctx.tasks.putOff(id, lane, FAILED_ROW_MS);
    else if (claimed !== null && claimed !== "moved") {
      ctx.weights.claimed(claimed.flight.weight);
      eachRow(id, (tx) => ctx.targets.probing(tx, key, id));
      return claimed;
    }
    candidates = candidates.filter((other) => other !== candidate);
  }
}

/** Nothing but polls waits for the target: one that is due is the probe. */
function claimAnyPoll(ctx: ShardContext, key: string, eachRow: EachRow): Claimed | null {
  if (ctx.queue.paused) return null;
  for (const url of ctx.polls.rows.due(key, ctx.now(), SAMPLE)) {
    const claimed = claimPoll(ctx, url, eachRow);
    if (claimed === null || claimed === "failed") continue;
    eachRow(url, (tx) => ctx.targets.probing(tx, key, url));
    ctx.polls.lanes.correct(key, ctx.polls.rows.firstDueAt(key), ctx.now());
    return claimed;
  }
  return null;
}

function candidatesFor(ctx: ShardContext, key: string): Candidate[] {
  return goingLanes(ctx, key).flatMap((lane) =>
    ctx.laneRows.sampleDue(lane, ctx.now(), SAMPLE).map((row) => candidateOf(ctx, lane, row)),
  );
}

function candidateOf(ctx: ShardContext, lane: string, row: SqlRow): Candidate {
  const base = { id: String(row.id), lane, row, dueAt: Number(row.due_at) };
  try {
    const task = ctx.rows.toTaskWithoutBodies(row);
    const delivers = isFinal(task.state);
    const attemptsUsed = delivers ? (task.callback?.attempt ?? 0) : attemptsInRound(task);
    const policy = delivers ? ctx.terms.deliveryPolicyOf(task) : ctx.terms.policyOf(task);
    const timeoutMs = delivers ? ctx.terms.deliveryTimeoutOf(task) : ctx.terms.timeoutOf(task);
    return { ...base, attemptsUsed, attemptsLeft: policy.maxAttempts - attemptsUsed, timeoutMs };
  } catch {
    // A row that cannot be read is buried when it is claimed.
    return { ...base, attemptsUsed: 0, attemptsLeft: 0, timeoutMs: 0 };
  }
}
