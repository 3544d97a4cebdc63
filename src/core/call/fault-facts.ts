import type { ErrorType, FaultClass } from "../../schema/task.ts";

/** What is to be known of a fault. */
export interface FaultFacts {
  /** What it comes from, as docs/state-machine.md says it. */
  sentence: string;
  /** Whether it is retried if no rule and no condition says otherwise. */
  class: Exclude<FaultClass, "conditional">;
  /** Whether the target may have seen the call. */
  mayHaveArrived: boolean;
  /**
   * What it says of the target. `nothing`: the call is not known to have been made, or Redrive refused it; `works`: the
   * target answers, and means this one call. The others are the target's own, by how far the call came: to an answer,
   * to a connection that broke off without one, to none, or nobody knows.
   */
  target: "nothing" | "works" | "answered" | "dropped" | "unreached" | "unknown";
  /** The target may have had too many calls at a time: its limit falls. A 503 says so too, whatever its fault. */
  isOverload: boolean;
  /** It ends a callback, too, all of whose other failures are tried again. */
  endsCallback: boolean;
  /** The wait for the next try is fixed where nobody set a backoff: asking less often does not help. */
  waitsFixed: boolean;
}

const PASSES = { class: "transient", isOverload: false, endsCallback: false, waitsFixed: false } as const;
const STAYS = { ...PASSES, class: "permanent", mayHaveArrived: true, target: "works" } as const;

/** Every fault: whoever adds one is led here by the compiler. */
export const FAULTS: Readonly<Record<ErrorType, FaultFacts>> = {
  timeout: {
    ...PASSES,
    sentence: "no headers within `timeout`; 524 made by Cloudflare's edge",
    mayHaveArrived: true,
    target: "unknown",
    isOverload: true,
  },
  dns: {
    ...PASSES,
    sentence: "the name does not resolve; 530 with error 1016 or 1001 made by the edge",
    mayHaveArrived: false,
    target: "unreached",
  },
  connect: {
    ...PASSES,
    sentence: "connection refused or no route; 521, 522, 523, 530 made by the edge",
    // Plain workerd says the same of a reset, and not every such call could be looked into.
    mayHaveArrived: true,
    target: "unreached",
    isOverload: true,
  },
  tls: {
    ...PASSES,
    sentence: "certificate or handshake; 525, 526 made by the edge",
    mayHaveArrived: false,
    target: "unreached",
  },
  reset: {
    ...PASSES,
    sentence: "the connection broke off before headers came; 520 made by the edge",
    mayHaveArrived: true,
    target: "dropped",
    isOverload: true,
  },
  protocol: {
    ...PASSES,
    sentence: "what came is no HTTP: another protocol, folded or invalid headers (standalone only)",
    mayHaveArrived: true,
    target: "dropped",
  },
  network: {
    ...PASSES,
    sentence: "anything else that is no answer",
    mayHaveArrived: true,
    target: "unknown",
  },
  rate_limited: {
    ...PASSES,
    sentence: "429; 503 or any other 4xx with a readable `Retry-After`; 403, 420, 430 whose limit is used up",
    mayHaveArrived: true,
    target: "answered",
    isOverload: true,
  },
  server_error: { ...PASSES, sentence: "other 5xx", mayHaveArrived: true, target: "answered" },
  not_ready: { ...PASSES, sentence: "408, 425", mayHaveArrived: true, target: "works" },
  conflict: { ...PASSES, sentence: "409, 423", mayHaveArrived: true, target: "works", waitsFixed: true },
  interrupted: {
    ...PASSES,
    sentence: "the lease ended without a result: the call may or may not have arrived",
    mayHaveArrived: true,
    target: "nothing",
  },
  encryption: {
    ...PASSES,
    sentence: "a stored secret that cannot be decrypted; no call was made",
    mayHaveArrived: false,
    target: "nothing",
  },
  auth: { ...STAYS, sentence: "401, 403, 407" },
  client_error: { ...STAYS, sentence: "other 4xx" },
  gone: { ...STAYS, sentence: "410", endsCallback: true },
  redirect: { ...STAYS, sentence: "a 3xx that was not followed, or too many redirects" },
  invalid_request: {
    ...STAYS,
    sentence: "a URL or redirect hop that is refused, or a name that resolves to a refused address",
    target: "nothing",
    endsCallback: true,
  },
};
