const PARENT_POLL_MS = 200;

/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP, which from this call on no longer end the process by
 * themselves. More of them change nothing: npm sends Ctrl-C on, so one press may arrive twice. Resolves as well once
 * the npm that runs this as a script is gone: it sends on neither SIGHUP nor its own SIGKILL.
 */
export function untilSignalled(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
    if (process.env.npm_lifecycle_event !== undefined) whenParentDies(resolve);
  });
}

/** The system then names another parent. No event tells, so this looks again and again; it keeps no process alive. */
function whenParentDies(tell: () => void): void {
  const parent = process.ppid;
  const looking = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(looking);
    tell();
  }, PARENT_POLL_MS);
  looking.unref();
}
