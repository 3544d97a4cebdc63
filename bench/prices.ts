/**
 * Cloudflare's list prices of the paid plan in dollars, beyond what it includes.
 * @see https://developers.cloudflare.com/workers/platform/pricing/
 * @see https://developers.cloudflare.com/durable-objects/platform/pricing/ (read in November 2026)
 */
const PRICES = {
  workerRequest: 0.3e-6,
  /** Of the Worker; objects pay for duration instead. */
  cpuMs: 0.02e-6,
  objectRequest: 0.15e-6,
  gigabyteSecond: 12.5e-6,
  rowWritten: 1e-6,
  rowRead: 0.001e-6,
};
/** An object is billed with 128 MB, whatever it uses. */
const OBJECT_GB = 0.128;

/** What one task used, on average. */
export interface Usage {
  rowsWritten: number;
  rowsRead: number;
  /** Calls of objects, alarms that ran among them. */
  objectRequests: number;
  objectSeconds: number;
  workerRequests: number;
  cpuMs: number;
}

/** What a million such tasks cost, in dollars. */
export function dollarsPerMillion(usage: Usage): number {
  const dollars =
    usage.rowsWritten * PRICES.rowWritten +
    usage.rowsRead * PRICES.rowRead +
    usage.objectRequests * PRICES.objectRequest +
    usage.objectSeconds * OBJECT_GB * PRICES.gigabyteSecond +
    usage.workerRequests * PRICES.workerRequest +
    usage.cpuMs * PRICES.cpuMs;
  return dollars * 1e6;
}
