import { createHmac } from "node:crypto";
import { clock } from "../../../src/platform/clock.ts";
import type { Chance } from "./random.ts";
import type { SimTime } from "./time.ts";

/** A simulated timer. */
interface Timer {
  due: boolean;
}

/**
 * While `run` runs, the timers that the code under test asks the runtime for are simulated ones, and signing is done
 * at once instead of in another thread. What it logs goes to `log`. Puts everything back at the end.
 */
export async function withPatches<T>(
  time: SimTime,
  chance: Chance,
  log: (line: string) => void,
  run: () => Promise<T>,
): Promise<T> {
  const before = { ...clock };
  const { setTimeout: realSet, clearTimeout: realClear } = globalThis;
  const { error } = console;
  const { subtle } = crypto;
  const own = { sign: subtle.sign, importKey: subtle.importKey };
  Object.assign(globalThis, timersOf(time));
  Object.assign(clock, {
    now: () => time.now,
    random: chance.next,
    wait: (ms: number) => new Promise<void>((resolve) => time.after(ms, resolve)),
  });
  Object.assign(subtle, { sign, importKey: async (_: string, bytes: Uint8Array) => bytes });
  console.error = (line: unknown) => log(String(line));
  try {
    return await run();
  } finally {
    Object.assign(globalThis, { setTimeout: realSet, clearTimeout: realClear });
    Object.assign(clock, before);
    Object.assign(subtle, own);
    console.error = error;
  }
}

function timersOf(time: SimTime) {
  return {
    setTimeout: (run: () => void, ms = 0): Timer => {
      const timer: Timer = { due: true };
      time.after(Math.max(1, ms), () => {
        if (timer.due) run();
      });
      return timer;
    },
    clearTimeout: (timer: Timer | undefined) => {
      if (timer !== undefined) timer.due = false;
    },
  };
}

async function sign(_: string, key: Uint8Array, content: Uint8Array): Promise<ArrayBuffer> {
  const { buffer, byteOffset, length } = createHmac("sha256", key).update(content).digest();
  return buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer;
}
