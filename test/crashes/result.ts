import type { Result } from "./audit.ts";

/**
 * How much more memory workerd may hold at the end than before: a quarter, and so much. V8 lets its heap grow with
 * load and gives it back late and in part; what leaks with each task, call or failed commit shows as far more.
 */
const MEMORY_SHARE = 1.25;
const MEMORY_MB = 64;

/** What a scenario may not show; none where it passed. `memoryMb`: more where the warm-up was short. */
export function faultsOf(result: Result, memoryMb = MEMORY_MB): string[] {
  const { accepted, final, callbacks, lost, other5xx, memoryBeforeMb, memoryAfterMb } = result;
  const isGrown = memoryAfterMb > memoryBeforeMb * MEMORY_SHARE + memoryMb;
  return [
    ...lost.slice(0, 10),
    ...(lost.length > 10 ? [`and ${lost.length - 10} more`] : []),
    ...(final < accepted ? [`${accepted - final} of ${accepted} are not final`] : []),
    ...(callbacks < accepted ? [`${accepted - callbacks} of ${accepted} were not told`] : []),
    ...other5xx,
    ...(isGrown ? [`memory grew from ${memoryBeforeMb.toFixed(0)} to ${memoryAfterMb.toFixed(0)} MB`] : []),
  ];
}
