import type { Claimed, EachRow } from "../lease/claim-row.ts";
import { probeAdmission } from "../lease/grants.ts";
import type { ShardContext } from "../state/context.ts";
import { setFree } from "./polls.ts";

/** Leases the poll of a URL, whatever its gate says; null where there is nobody to poll for, or it is ready already. */
export function claimPoll(ctx: ShardContext, url: string, eachRow: EachRow): Claimed | null | "failed" {
  return eachRow(url, (tx) => {
    const poll = ctx.polls.rows.read(url);
    if (poll === null) return null;
    if (poll.readyMs !== null) {
      setFree(ctx, tx, poll, poll.readyMs);
      return null;
    }
    if (ctx.polls.rows.probesHeldOn(url, null, 1).length === 0) {
      ctx.polls.rows.delete(url);
      return null;
    }
    const { lane, timeoutMs } = poll;
    const lease = poll.lease + 1;
    const admitted = probeAdmission(ctx, { id: url, lane, url, timeoutMs, lease, number: lease });
    ctx.polls.rows.put({ ...poll, lease, leaseUntil: admitted.grant.leaseUntil });
    return admitted;
  });
}
