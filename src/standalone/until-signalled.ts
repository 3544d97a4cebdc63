/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP, which from this call on no longer end the process by
 * themselves. More of them change nothing: npm sends Ctrl-C on, so one press may arrive twice.
 */
export function untilSignalled(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
  });
}
