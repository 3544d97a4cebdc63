import type { BreakerSettings } from "../../schema/breaker.ts";

/**
 * Whether a queue's breaker settings would decide for other queues too, when it gets them: those of a queue that others
 * trust. `before`: the settings it has, undefined: none; these may stay.
 */
export function changesSharedBreakers(
  settings: BreakerSettings,
  before: BreakerSettings | undefined,
): boolean {
  if (settings.share !== "trusted") return false;
  return before?.share !== "trusted" || !sameThresholds(settings, before);
}

/** `enabled`, `scopes` and `split` say whether a queue goes by a breaker, and by which: that is its own affair. */
function sameThresholds(a: BreakerSettings, b: BreakerSettings): boolean {
  const text = ({ enabled: _, share: __, scopes: ___, split: ____, ...thresholds }: BreakerSettings) =>
    JSON.stringify(Object.entries(thresholds).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return text(a) === text(b);
}
