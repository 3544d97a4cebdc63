import { targetOfUrl } from "../../core/address/scope.ts";
import type { SettleAnswer, SettleMessage } from "../../protocol/grant.ts";
import type { Readiness } from "../../schema/breaker.ts";
import type { Claimed, EachRow } from "../lease/claim-row.ts";
import { probeAdmission } from "../lease/grants.ts";
import type { ShardContext } from "../state/context.ts";
import type { Flight } from "../storage/flights.ts";
import type { Tx } from "../storage/group-commit.ts";
import type { Target } from "../targets/target.ts";

const PREFIX = "readiness ";

/**
 * What is asked in place of a task while a target is half open; null: a task is its probe. A readiness URL speaks
 * for the target that it is part of itself, and for targets with a name of their own, but not for the receivers of callbacks.
 */
export function readinessOf(ctx: ShardContext, key: string): Readiness | null {
  const { readiness, scopes } = ctx.targets.policy;
  if (readiness === null) return null;
  return key.startsWith("key:") || targetOfUrl(readiness.url, scopes) === key ? readiness : null;
}

/** Makes the call to the readiness URL under the target's probe lease. No attempt is used. */
export function claimReadiness(
  ctx: ShardContext,
  { key, local }: Target,
  readiness: Readiness,
  eachRow: EachRow,
): Claimed | null {
  const id = PREFIX + key;
  const { url, timeout: timeoutMs } = readiness;
  const admitted = probeAdmission(ctx, {
    id,
    lane: key,
    url,
    timeoutMs,
    lease: local.breaker.version,
    number: 1,
  });
  const begun = eachRow(id, (tx) => ctx.targets.probing(tx, key, null));
  return begun === "failed" ? null : admitted;
}

/** The target whose readiness this call asks for; null where the id is of another kind of probe. */
export function readinessTarget(id: string): string | null {
  return id.startsWith(PREFIX) ? id.slice(PREFIX.length) : null;
}

/** Takes the answer of a readiness URL in: only a 2xx says that the target is ready. */
export function settleReadiness(
  ctx: ShardContext,
  tx: Tx,
  key: string,
  { id, lease, result }: SettleMessage,
): SettleAnswer {
  const flight = ctx.flights.get(id);
  if (flight === undefined || flight.lease !== lease) return { status: "stale", callback: null, next: [] };
  const ready = result.error === null && result.status >= 200 && result.status < 300;
  endReadiness(ctx, tx, key, flight, ready);
  return { status: "accepted", callback: null, next: [] };
}

/** The call has ended; `ready` null: it is not known how, or it was not made. */
export function endReadiness(
  ctx: ShardContext,
  tx: Tx,
  key: string,
  flight: Flight,
  ready: boolean | null,
): void {
  if (flight.probe !== null) ctx.targets.probeEnded(tx, key, flight.probe, ready);
  tx.after(() => ctx.flights.remove(flight.id));
}
