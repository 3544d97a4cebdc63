import { exceptionFor, isLost, lostConnection, referenceIn } from "../core/call/call-reason.ts";
import { KeptAlive } from "../core/call/kept-alive.ts";
import { BriefRoom } from "../core/under-way.ts";
import { clock } from "../platform/clock.ts";
import type { Env } from "../platform/env.ts";
import { listen, look } from "./look.ts";
import { LISTENING_RULES, Looks, SPEECH_RULES } from "./looks.ts";

/** How long the launcher may take to tell a reason. */
const ASK_TIMEOUT_MS = 1_000;
/** Asked at a time by one isolate; further failures keep workerd's own message. */
const MAX_ASKED = 16;
const asking = new BriefRoom(MAX_ASKED, 2 * ASK_TIMEOUT_MS);
const looks = new Looks(LISTENING_RULES);
const speech = new Looks(SPEECH_RULES);
const keptAlive = new KeptAlive();

type ReasonEnv = Pick<Env, "REASONS" | "REDRIVE_REASONS_TOKEN">;

/**
 * `fetch` that makes a call once more where a connection of before had died, and whose exceptions say why there was no
 * answer. Plain workerd says only a reference, or that the connection was lost: the launcher, which reads workerd's log,
 * is asked, a look tells whether anything listens there, and a request of its own whether that speaks HTTP. It takes up
 * to two seconds longer to fail. An exception that nothing is known of is fetch's own.
 */
export function toldFetch(env: ReasonEnv): typeof fetch {
  return async (input, init) => {
    try {
      return await repeatedFetch(input, init);
    } catch (error) {
      if (init?.signal?.aborted || !(error instanceof Error)) throw error;
      throw (await hiddenBy(error, env)) ?? (await lostBy(error, urlOf(input), env)) ?? error;
    }
  };
}

/** Both calls go by the same signal, so that they share the time that the attempt has. */
const repeatedFetch: typeof fetch = async (input, init) => {
  const startedAt = clock.now();
  try {
    return await notedFetch(input, init);
  } catch (error) {
    if (init?.signal?.aborted || !(error instanceof Error) || !isLost(error.message)) throw error;
    const { method = "GET", headers, body } = init ?? {};
    const call = { method, headers: Object.fromEntries(new Headers(headers)), hasBody: isAtHand(body) };
    const origin = originOf(input);
    if (!keptAlive.mayRepeat({ ...call, origin, startedAt, lostAt: clock.now() })) throw error;
    return await notedFetch(input, init);
  }
};

/** `fetch` is looked up for each call: a stored reference to the global would lose its receiver. */
const notedFetch: typeof fetch = async (input, init) => {
  const response = await fetch(input, init);
  keptAlive.answered(originOf(input), clock.now());
  return response;
};

/** Whether there is a body that can be sent a second time: a stream is gone. */
function isAtHand(body: RequestInit["body"]): boolean {
  return typeof body === "string" || ArrayBuffer.isView(body);
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
  const { now, wait } = clock;
  const listening = await looks.at(url, { now, wait, look });
  const fault = listening === "yes" ? await speech.at(url, { now, wait, look: listen }) : null;
  return lostConnection({ listening, fault });
}

function originOf(input: RequestInfo | URL): string {
  return new URL(urlOf(input)).origin;
}

function urlOf(input: RequestInfo | URL): string {
  return input instanceof Request ? input.url : String(input);
}
