/** Callbacks kept, and callbacks shown at once: the newest. */
export const MAX_CALLBACKS_KEPT = 500;
export const MAX_CALLBACKS_SHOWN = 50;

/** A callback as it came. */
export interface Received {
  /** webhook-id; null where there was none. */
  id: string | null;
  taskId: string | null;
  type: string | null;
  /** Epoch milliseconds. */
  receivedAt: number;
  /** The message is signed with the deployment's secret, and fresh. */
  verified: boolean;
  body: string;
}

/** What the routes need of the Sandbox object. */
export interface InboxPort {
  /** Keeps a callback, and of all the last 500. */
  add(callback: Received): Promise<void>;
  /** The last 50 callbacks, newest first, of one task or (null) of all, and how many are kept of them. */
  list(taskId: string | null): Promise<{ callbacks: Received[]; total: number }>;
  empty(): Promise<void>;
}
