import { exceptionFor, referenceIn } from "../core/call-reason.ts";
import type { Env } from "../env.ts";

/** How long the launcher may take to tell a reason. */
const ASK_TIMEOUT_MS = 1_000;
/** Asked at a time by one isolate; further failures keep workerd's own message. */
const MAX_ASKED = 16;
let asked = 0;

type ReasonEnv = Pick<Env, "REASONS" | "REDRIVE_REASONS_TOKEN">;

/**
 * `fetch` whose exceptions say why there was no connection, where plain workerd says only a reference: the launcher
 * reads workerd's log and is asked. Takes up to a second longer to fail. Where there is nobody to ask, or no answer, the
 * exception is fetch's own.
 */
export function toldFetch(env: ReasonEnv): typeof fetch {
  // `fetch` is looked up for each call: a stored reference to the global would lose its receiver.
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (error) {
      if (init?.signal?.aborted || !(error instanceof Error)) throw error;
      throw (await hiddenBy(error, env)) ?? error;
    }
  };
}

async function hiddenBy({ message }: Error, env: ReasonEnv): Promise<Error | null> {
  const reference = referenceIn(message);
  if (reference === null || env.REASONS === undefined || asked >= MAX_ASKED) return null;
  asked++;
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), ASK_TIMEOUT_MS);
  try {
    const headers = { authorization: env.REDRIVE_REASONS_TOKEN ?? "" };
    const answer = await env.REASONS.fetch(`http://reasons/${reference}`, {
      headers,
      signal: patience.signal,
    });
    const reason = await answer.text();
    return answer.ok ? exceptionFor(reason) : null;
  } catch {
    return null; // The launcher is busy or gone: the reason stays in its log.
  } finally {
    clearTimeout(timer);
    asked--;
  }
}
