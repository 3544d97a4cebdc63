/** CPU time that this thread has taken so far, in milliseconds: other processes do not add to it as to a clock. */
export function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
