/** CPU time that this thread has taken so far, in milliseconds: other processes do not add to it as to a clock. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

/** The least CPU time of three runs: what the work takes, and not what a busy processor adds to it. */
export function leastCpuMs(work: () => void): number {
  const runs = Array.from({ length: 3 }, () => {
    const startedAt = cpuMs();
    work();
    return cpuMs() - startedAt;
  });
  return Math.min(...runs);
}
