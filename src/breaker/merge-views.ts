import type { ToldBreaker, ToldPart } from "../protocol/breaker-api.ts";
import { type BreakerAuditView, type BreakerState, MAX_BREAKER_AUDIT } from "../schema/breaker.ts";

/** A part of a breaker, by itself. */
export interface PartOfView {
  part: number;
  view: ToldBreaker;
}

/** How much a state keeps back: that of the part that keeps back most is shown for the whole. */
const WEIGHT: Record<BreakerState, number> = { isolated: 3, open: 2, half_open: 1, closed: 0 };

/** Several parts of a breaker as one, at least one: the state of the worst, sums of what is counted, one history. */
export function mergeViews(parts: readonly PartOfView[]): ToldBreaker {
  const views = parts.map(({ view }) => view);
  const worst = views.reduce((a, b) => (WEIGHT[b.state] > WEIGHT[a.state] ? b : a));
  const windows = views.map((view) => view.windows).reduce(added);
  const calls = windows.ok + windows.failed;
  const probes = views.flatMap(({ next_probe_at }) => next_probe_at ?? []);
  return {
    ...worst,
    windows,
    failure_rate: calls === 0 ? null : windows.failed / calls,
    limit: total(views.map(({ limit }) => limit)),
    load_factor: most(views.map(({ load_factor }) => load_factor)),
    budget_left: total(views.map(({ budget_left }) => budget_left)),
    parked: total(views.map(({ parked }) => parked)) ?? 0,
    next_probe_at: probes.sort()[0] ?? null,
    knownHolds: views.flatMap(({ knownHolds = [] }) => knownHolds),
    audit: onceEach(views.flatMap(({ audit }) => audit)),
    parts: parts.map(partView).sort((a, b) => a.part - b.part),
  };
}

function partView({ part, view: { state, since, until, reason, trips } }: PartOfView): ToldPart {
  return { part, state, since, until, reason, trips };
}

function added(a: ToldBreaker["windows"], b: ToldBreaker["windows"]): ToldBreaker["windows"] {
  return {
    ok: a.ok + b.ok,
    failed: a.failed + b.failed,
    slow: a.slow + b.slow,
    connect_failed: a.connect_failed + b.connect_failed,
  };
}

/** The latest changes of all parts, newest first; what an operator did to each stands there once. */
function onceEach(audits: readonly BreakerAuditView[]): BreakerAuditView[] {
  const byText = new Map(
    audits.map((entry) => [JSON.stringify([entry.at, entry.to, entry.reason, entry.by]), entry]),
  );
  const newestFirst = [...byText.values()].sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : 0));
  return newestFirst.slice(0, MAX_BREAKER_AUDIT);
}

/** Null: nothing to add up. */
function total(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter((number) => number !== null);
  return known.length === 0 ? null : known.reduce((sum, number) => sum + number, 0);
}

function most(numbers: readonly (number | null)[]): number | null {
  const known = numbers.filter((number) => number !== null);
  return known.length === 0 ? null : Math.max(...known);
}
