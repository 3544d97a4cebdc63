/** The one place that asks the runtime for time and chance; everything else is handed them. */
export const clock = {
  /** Epoch milliseconds. On Workers it stands still between two I/O events. */
  now: (): number => Date.now(),
  /** A number in [0, 1), good for jitter and for the noise of ids, not for secrets. */
  random: (): number => Math.random(),
  /** Resolves after `ms` milliseconds. */
  wait: (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms)),
};
