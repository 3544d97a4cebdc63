import { BriefRoom } from "../core/brief-room.ts";
import { exceptionFor, isLost, lostConnection, referenceIn } from "../core/call/call-reason.ts";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import { look } from "./look.ts";
import { Looks } from "./looks.ts";

/** How long the launcher may take to tell a reason. */
const ASK_TIMEOUT_MS = 1_000;
/** Asked at a time by one isolate; further failures keep workerd's own message. */
const MAX_ASKED = 16;
const asking = new BriefRoom(MAX_ASKED, 2 * ASK_TIMEOUT_MS);
const looks = new Looks();

type ReasonEnv = Pick<Env, "REASONS" | "REDRIVE_REASONS_TOKEN">;

/**
 * `fetch` whose exceptions say why there was no connection. Plain workerd says only a reference, or that the connection
 * was lost: the launcher, which reads workerd's log, is asked, and a look tells whether anything listens there. It takes
 * up to a second longer to fail. An exception that nothing is known of is fetch's own.
 */
export function toldFetch(env: ReasonEnv): typeof fetch {
  // `fetch` is looked up for each call: a stored reference to the global would lose its receiver.
  return async (input, init) => {
    try {
      return await fetch(input, init);
    } catch (error) {
      if (init?.signal?.aborted || !(error instanceof Error)) throw error;
      throw (await hiddenBy(error, env)) ?? (await lostBy(error, urlOf(input), env)) ?? error;
    }
  };
}

async function hiddenBy({ message }: Error, env: ReasonEnv): Promise<Error | null> {
  const reference = referenceIn(message);
  if (reference === null || env.REASONS === undefined) return null;
  const free = asking.take(clock.now());
  if (free === null) return null;
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
    free();
  }
}

/** Only on plain workerd, which has a launcher: elsewhere a lost connection was one that there was. */
async function lostBy({ message }: Error, url: string, env: ReasonEnv): Promise<Error | null> {
  if (env.REASONS === undefined || !isLost(message)) return null;
  return lostConnection(await looks.at(url, { now: clock.now, wait: clock.wait, look }));
}

function urlOf(input: RequestInfo | URL): string {
  return input instanceof Request ? input.url : String(input);
}
