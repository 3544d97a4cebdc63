import type { CallResult } from "../core/call/call.ts";
import { loggedError } from "../core/text/logged-error.ts";
import type { Grant, SettleAnswer, SettleMessage, ShardPort } from "../protocol/grant.ts";
import type { Keyring } from "../sealing/keyring.ts";
import type { CallPorts } from "./make-call.ts";
import { callGranted } from "./open-request.ts";

const FIRST_REPEAT_MS = 50;

/** What repeating a settle needs of the world. */
export interface SettlePorts {
  /** Epoch milliseconds. */
  now(): number;
  wait(ms: number): Promise<void>;
}

/** What running a grant needs of the world. */
export interface RunPorts extends CallPorts, SettlePorts {
  /** A new stub for each call: one that threw may be broken for good. */
  shard(name: string): Pick<ShardPort, "settle">;
  /** How many further grants may come with the next settle's answer. */
  want(): number;
  /** What opens sealed values; left out: grants have none. */
  keyring?: Keyring;
}

/** The invocation of a Worker that answered its client at `answeredAt` (epoch ms) and has to end soon. */
export interface Edge {
  answeredAt: number;
}

/**
 * Settles, again and again until it is answered: after 50 ms, then twice as long each time, up to `until`
 * (epoch ms on the runner's clock, the lease's end). `message` is asked anew for each try, as the time since
 * the edge answered is part of it. Null: never answered, which is logged; the lease will lapse. Never throws.
 */
export async function settleUntilAnswered(
  shard: () => Pick<ShardPort, "settle">,
  message: () => SettleMessage,
  until: number,
  ports: SettlePorts,
): Promise<SettleAnswer | null> {
  for (let tries = 1, delayMs = FIRST_REPEAT_MS; ; tries++, delayMs *= 2) {
    try {
      return await shard().settle(message());
    } catch (error) {
      if (ports.now() + delayMs >= until) {
        logSettleFailed(message(), tries, error);
        return null;
      }
    }
    await ports.wait(delayMs);
  }
}

/**
 * Makes a grant's call and settles it, then the callback that its answer grants, if any. Gives the further
 * grants that came with the answers, which the caller runs at once, since their leases have begun. Never throws.
 */
export async function runGrant(grant: Grant, ports: RunPorts, edge: Edge | null): Promise<Grant[]> {
  const next: Grant[] = [];
  let current: Grant | null = grant;
  while (current !== null) {
    // With a grant in hand already, this slot can take no other.
    const want = () => (next.length > 0 ? 0 : ports.want());
    const answer: SettleAnswer | null = await callAndSettle(current, ports, edge, want);
    next.push(...(answer?.next ?? []));
    current = answer?.callback ?? null;
  }
  return next;
}

/** Runs a grant and, in the same slot, the grants that its settles bring, until they bring none. Never throws. */
export async function runChain(first: Grant, ports: RunPorts): Promise<void> {
  const waiting = [first];
  for (let grant = waiting.shift(); grant !== undefined; grant = waiting.shift()) {
    waiting.push(...(await runGrant(grant, ports, null)));
  }
}

async function callAndSettle(
  grant: Grant,
  ports: RunPorts,
  edge: Edge | null,
  want: () => number,
): Promise<SettleAnswer | null> {
  // The lease's end by this clock: the shard's own may differ.
  const until = ports.now() + grant.leaseMs;
  const result: CallResult = await callGranted(grant, ports);
  const { kind, shard, id, round, lease } = grant;
  const message = (): SettleMessage => ({
    kind,
    id,
    round,
    lease,
    result,
    edgeElapsedMs: edge === null ? null : ports.now() - edge.answeredAt,
    want: want(),
  });
  return settleUntilAnswered(() => ports.shard(shard), message, until, ports);
}

function logSettleFailed(message: SettleMessage, tries: number, error: unknown): void {
  const { kind, id, round, lease } = message;
  console.error(
    JSON.stringify({ event: "settle_failed", kind, id, round, lease, tries, error: loggedError(error) }),
  );
}
