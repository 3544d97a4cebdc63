/** The longest delay a timer takes; a longer one would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Waits; rejects with the signal's reason as soon as it aborts. */
export type Wait = (delayMs: number, signal?: AbortSignal) => Promise<void>;

/** A `Wait` on the runtime's own timer. */
export const timerWait: Wait = (delayMs, signal) =>
  new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, delayMs);
    signal?.addEventListener("abort", abort, { once: true });
  });

/**
 * Runs `run` with a signal that aborts after `timeoutMs` (24 days at most) with a DOMException named
 * `TimeoutError`, or as the given signal does. Leaves no timer and no listener behind.
 */
export async function withTimeout<T>(
  timeoutMs: number,
  signal: AbortSignal | undefined,
  run: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  const expire = () => controller.abort(new DOMException(`not done within ${timeoutMs} ms`, "TimeoutError"));
  const timer = setTimeout(expire, Math.min(timeoutMs, MAX_TIMER_MS));
  signal?.addEventListener("abort", abort, { once: true });
  try {
    return await run(controller.signal);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/** Whether `error` is what a signal of `withTimeout` aborts with when the time is over. */
export function isTimeout(error: unknown): boolean {
  return error instanceof DOMException && error.name === "TimeoutError";
}
