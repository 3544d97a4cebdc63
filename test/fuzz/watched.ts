import { Worker } from "node:worker_threads";
import { inputOf, type ParserReport } from "./in-process.ts";
import type { WorkerInput } from "./worker.ts";

/** An input that has not ended after this long never does. */
const HANG_MS = 120_000;
const LOOK_EVERY_MS = 1_000;

/**
 * Sends inputs `from` to below `to` through the parsers, in a thread of its own. Rejects with the seed and the number of
 * an input that does not end.
 */
export async function fuzzParsersWatched(seed: number, from: number, to: number): Promise<ParserReport> {
  const progress = new SharedArrayBuffer(4);
  const workerData: WorkerInput = { seed, from, to, progress };
  const worker = new Worker(new URL("./worker.ts", import.meta.url), { workerData });
  const watch = watchdog(new Int32Array(progress));
  try {
    return await Promise.race([finished(worker), watch.hung]);
  } catch (error) {
    if (!(error instanceof Hang)) throw error;
    const { where, text } = inputOf(seed, error.index);
    throw new Error(
      `input ${error.index} of seed ${seed} does not end (${where}): ${JSON.stringify(text.slice(0, 2_000))}`,
    );
  } finally {
    watch.stop();
    await worker.terminate();
  }
}

class Hang extends Error {
  readonly index: number;

  constructor(index: number) {
    super(`input ${index} does not end`);
    this.index = index;
  }
}

function finished(worker: Worker): Promise<ParserReport> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
    worker.once("exit", (code) => reject(new Error(`the thread ended with ${code}`)));
  });
}

/** Rejects once the same index has stood for HANG_MS. */
function watchdog(progress: Int32Array): { hung: Promise<never>; stop(): void } {
  let seen = -1;
  let sinceAt = Date.now();
  let timer: NodeJS.Timeout | undefined;
  const hung = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      const index = Atomics.load(progress, 0);
      if (index !== seen) [seen, sinceAt] = [index, Date.now()];
      else if (Date.now() - sinceAt > HANG_MS) reject(new Hang(index));
    }, LOOK_EVERY_MS);
  });
  return { hung, stop: () => clearInterval(timer) };
}
