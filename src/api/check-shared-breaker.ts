import { BreakerSettings } from "../schema/breaker.ts";

const DEFAULTS = BreakerSettings.parse({});

/**
 * Whether a queue's breaker settings would decide for other queues too, when it gets them: thresholds other than the
 * defaults, for breakers that all queues go by. `before`: the settings it has, undefined: none; these may stay.
 */
export function changesSharedBreakers(
  settings: BreakerSettings,
  before: BreakerSettings | undefined,
): boolean {
  if (settings.share === "queue" || sameThresholds(settings, DEFAULTS)) return false;
  return before === undefined || before.share === "queue" || !sameThresholds(settings, before);
}

/** `enabled`, `share` and `scopes` say whether a queue goes by a breaker, and by which: that is its own affair. */
function sameThresholds(a: BreakerSettings, b: BreakerSettings): boolean {
  const text = ({ enabled: _, share: __, scopes: ___, ...thresholds }: BreakerSettings) =>
    JSON.stringify(Object.entries(thresholds).toSorted(([x], [y]) => (x < y ? -1 : 1)));
  return text(a) === text(b);
}
