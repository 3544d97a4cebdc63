/** What workerd's log says of a call that the Worker is only given a reference for, as the start of the reason. */
const TOLD = ["failed to lookup address information", "TLS handshake failed"] as const;
const REFUSED_ADDRESS = /^connecting to \S+ is not allowed/;
const REFERENCE = /^internal error; reference = ([0-9a-z]{1,64})$/;

/** The reference in the message of an exception that workerd hides; null: it hides none. */
export function referenceIn(message: string): string | null {
  return REFERENCE.exec(message)?.[1] ?? null;
}

/**
 * The exception that stands for a hidden one whose reason is known, or null where the reason is not one of a call's
 * connection. What an inner name resolves to is not told: a tenant could map a network by it.
 */
export function exceptionFor(reason: string): Error | null {
  if (TOLD.some((start) => reason.startsWith(start))) return new Error(reason);
  if (!REFUSED_ADDRESS.test(reason)) return null;
  return Object.assign(new Error("the host resolves to an address that targets may not have"), {
    name: "AddressRefusedError",
  });
}

/** Whether the runtime says no more than that there is no connection, or no longer. */
export function isLost(message: string): boolean {
  return /^network connection lost\.?$/i.test(message);
}

/** What was seen where a connection was lost. */
export interface Seen {
  /** Whether anything listens there. */
  listening: "yes" | "no" | "unknown";
  /** Why what is said there is no HTTP; null: it is, or nobody could ask. */
  fault: string | null;
}

/**
 * The exception of a lost connection, by what was seen there; null where that is nothing. What listens took the
 * connection, and perhaps the call.
 */
export function lostConnection({ listening, fault }: Seen): Error | null {
  if (fault !== null) return Object.assign(new Error(fault), { name: "ProtocolError" });
  if (listening === "unknown") return null;
  return new Error(listening === "yes" ? "connection reset before an answer came" : "connection refused");
}
