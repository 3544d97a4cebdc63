/** A thread that sends inputs through the parsers, so that one which never ends can be told from outside. */
import { parentPort, workerData } from "node:worker_threads";
import { fuzzParsers } from "./in-process.ts";

/** What the thread is started with. `progress` holds the index that it is at. */
export interface WorkerInput {
  seed: number;
  from: number;
  to: number;
  progress: SharedArrayBuffer;
}

const { seed, from, to, progress } = workerData as WorkerInput;
const at = new Int32Array(progress);
const report = await fuzzParsers(seed, from, to, (index) => Atomics.store(at, 0, index));
parentPort?.postMessage(report);
