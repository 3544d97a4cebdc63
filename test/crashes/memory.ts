import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const SAMPLE_EVERY_MS = 500;

/**
 * The least memory (MB) that a process holds in the next `restMs`: its resident set, as Linux tells it. workerd gives
 * memory back only some seconds after it has become idle. 0 on other systems. Throws where the process has ended.
 */
export async function restingMemoryMb(pid: number, restMs: number): Promise<number> {
  let least = await memoryMb(pid);
  for (const untilAt = Date.now() + restMs; Date.now() < untilAt; ) {
    await delay(SAMPLE_EVERY_MS);
    least = Math.min(least, await memoryMb(pid));
  }
  return least;
}

async function memoryMb(pid: number): Promise<number> {
  if (process.platform !== "linux") return 0;
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1];
  if (kilobytes === undefined) throw new Error(`process ${pid} has no resident set`);
  return Number(kilobytes) / 1_024;
}
