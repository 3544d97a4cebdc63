import { callbackBody, messageId, sealedPart } from "../../callback/payload.ts";
import type { CallRequest } from "../../core/call/call.ts";
import { weightOf } from "../../core/pressure/weight.ts";
import { attemptRequest, callbackRequest, probeRequest, withKeys } from "../../core/task/call-request.ts";
import { callbackHeaders } from "../../core/task/callback-settings.ts";
import { deliver } from "../../core/task/deliver.ts";
import { isEventId, ownerId } from "../../core/task/row-id.ts";
import { attemptsInRound, type Task } from "../../core/task/task.ts";
import { transition } from "../../core/task/transition.ts";
import { type Grant, LEASE_MARGIN_MS } from "../../protocol/grant.ts";
import type { ShardContext } from "../state/context.ts";
import { type Flight, keepTask } from "../storage/flights.ts";

/** A row that was admitted: what to write, and the grant to hand out. */
export interface Admission {
  task: Task;
  grant: Grant;
  flight: Flight;
}

/** Admits a waiting task to its next attempt. Throws where the state machine refuses: claims read only what waits. */
export function admitAttempt(ctx: ShardContext, task: Task): Admission {
  const leaseMs = ctx.terms.timeoutOf(task) + LEASE_MARGIN_MS;
  const result = transition(task, { type: "admit", leaseMs }, ctx.terms.transitionContext(task));
  if (!result.ok) throw new Error(result.detail);
  return admission(ctx, result.task, "attempt", leaseMs);
}

/** Admits a final task's callback to its next delivery; throws as `admitAttempt`. */
export function admitDelivery(ctx: ShardContext, task: Task, handedWith: number | null): Admission {
  const leaseMs = ctx.terms.deliveryTimeoutOf(task) + LEASE_MARGIN_MS;
  const admitted = deliver(task, { type: "admit", leaseMs }, ctx.now());
  if (admitted?.callback == null) throw new Error(`the callback of ${task.id} cannot be delivered now`);
  const handed = { ...admitted, callback: { ...admitted.callback, handedWith } };
  return admission(ctx, handed, "callback", leaseMs);
}

/** A grant is given out: its flight is counted, for its target and for the queue's rate too. */
export function letGo(ctx: ShardContext, flight: Flight): void {
  ctx.flights.add(flight);
  ctx.targets.granted(flight);
  if (flight.kind !== "callback") ctx.rate.take();
  ctx.polls.noteLetGo(flight.kind);
}

/** The grant and flight of a probe, a GET that is no attempt, to the target of `lane`. `number` counts those of this id. */
export function probeAdmission(
  ctx: ShardContext,
  probe: { id: string; lane: string; url: string; timeoutMs: number; lease: number; number: number },
): Pick<Admission, "grant" | "flight"> {
  const { id, lane, lease, number } = probe;
  const leaseMs = probe.timeoutMs + LEASE_MARGIN_MS;
  const leaseUntil = ctx.now() + leaseMs;
  const request = probeRequest(probe.url, probe.timeoutMs);
  return {
    grant: { kind: "probe", shard: ctx.name, id, round: 0, number, lease, leaseUntil, leaseMs, request },
    flight: {
      id,
      kind: "probe",
      lane,
      lease,
      leaseUntil,
      retry: false,
      probe: null,
      runner: null,
      seq: null,
      weight: 0,
    },
  };
}

/** The grant of the lease that a row has in flight; for a repeated answer as well as for a first one. */
export function grantOf(ctx: ShardContext, task: Task, kind: "attempt" | "callback", leaseMs: number): Grant {
  return {
    kind,
    shard: ctx.name,
    id: task.id,
    round: task.round,
    number: kind === "attempt" ? task.attempt : (task.callback?.attempt ?? 0),
    lease: task.lease,
    leaseUntil: task.leaseUntil ?? 0,
    leaseMs,
    request: kind === "attempt" ? attemptCall(ctx, task) : deliveryCall(ctx, task),
  };
}

/** How much of a row's lease is left; what a grant that is given once more may use. */
export function leaseLeft(ctx: ShardContext, task: Task): number {
  return Math.max(0, (task.leaseUntil ?? 0) - ctx.now());
}

function admission(ctx: ShardContext, task: Task, kind: "attempt" | "callback", leaseMs: number): Admission {
  const grant = grantOf(ctx, task, kind, leaseMs);
  const lane = kind === "attempt" ? task.target : (task.callback?.lane ?? "");
  const retry = kind === "attempt" && attemptsInRound(task) > 1;
  const { lease, leaseUntil } = grant;
  const flight: Flight = {
    id: task.id,
    kind,
    lane,
    lease,
    leaseUntil,
    retry,
    probe: null,
    runner: null,
    seq: null,
    weight: weightOf(grant.request.body?.length ?? 0),
  };
  return { task, grant, flight: keepTask(flight, task) };
}

function attemptCall(ctx: ShardContext, task: Task): CallRequest {
  const request = attemptRequest(
    task,
    ctx.terms.policyOf(task).maxAttempts,
    ctx.terms.timeoutOf(task),
    ctx.now(),
  );
  const { bodySealed } = task.call;
  const isToSeal = ctx.queue.settings.encrypt && ctx.queue.dataKeys !== undefined;
  if (bodySealed === undefined && !isToSeal) return withKeys(request, ctx.queue);
  return withKeys(request, ctx.queue, {
    ...(bodySealed && { body: true }),
    ...(isToSeal && { answer: true }),
  });
}

/** The signed message; its URL was settled when the round ended, all else is as set now. */
function deliveryCall(ctx: ShardContext, task: Task): CallRequest {
  const { secrets, previousSecretUntil, name, settings } = ctx.queue;
  const rotating = previousSecretUntil !== null && ctx.now() < previousSecretUntil;
  const id = ownerId(task.id);
  const url = task.callback?.url ?? "";
  const body = isEventId(task.id) ? (task.call.body ?? "") : callbackBody({ ...task, id }, name, ctx.now());
  const request = callbackRequest({
    url,
    headers: callbackHeaders(task.call.callback, settings.callback, url),
    body,
    messageId: messageId(id, task.round),
    secrets: rotating ? secrets : secrets.slice(0, 1),
    timeoutMs: ctx.terms.deliveryTimeoutOf(task),
  });
  const payload = sealedPart(body, task.response);
  return withKeys(request, ctx.queue, payload && { payload });
}
