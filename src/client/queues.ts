import type { z } from "zod";
import type { QueueList, QueueSettingsInput, QueueView, RotatedSecret } from "../schema/queue.ts";
import { RedriveError } from "./errors.ts";
import { type Call, type Connection, send } from "./http.ts";
import { segment } from "./path.ts";

/** Options that every call takes: with `signal` it can be broken off. */
export interface CallOptions {
  signal?: AbortSignal | undefined;
}

/** How `delete` deletes. */
export interface DeleteOptions extends CallOptions {
  /** Drops callbacks that are not delivered yet; false when left out. Tasks that are not final are never dropped. */
  force?: boolean;
}

/** The queues of a deployment. Every method throws `RedriveError` when refused or not answered. */
export class QueuesClient {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Makes the queue, or replaces all its settings. */
  async put(name: string, settings: QueueSettingsInput = {}, options: CallOptions = {}): Promise<QueueView> {
    const body = JSON.stringify(settings);
    return (await this.#send({ method: "PUT", body, repeatable: true, ...options }, name)) as QueueView;
  }

  /** The queue with its counts. */
  async get(name: string, options: CallOptions = {}): Promise<QueueView> {
    return (await this.#send({ method: "GET", repeatable: true, ...options }, name)) as QueueView;
  }

  /** All queues that the key may see. */
  async list(options: CallOptions = {}): Promise<QueueView[]> {
    const call: Call = { method: "GET", path: "/v1/queues", repeatable: true, ...options };
    const answer = (await send(this.#connection, call)) as z.infer<typeof QueueList>;
    return answer.queues;
  }

  /**
   * Deletes the queue; refused with `queue_not_empty` while it has tasks that are not final or, but for `force`,
   * callbacks that are not delivered.
   */
  async delete(name: string, { force = false, ...options }: DeleteOptions = {}): Promise<void> {
    try {
      await this.#send({ method: "DELETE", repeatable: true, ...options }, name, force ? "?force=true" : "");
    } catch (error) {
      // The answer of an earlier try was lost, and that try deleted it.
      const isDone = error instanceof RedriveError && error.code === "queue_not_found" && error.tries > 1;
      if (!isDone) throw error;
    }
  }

  /** Stops calls for the queue; tasks are still taken and wait. */
  async pause(name: string, options: CallOptions = {}): Promise<QueueView> {
    return (await this.#send({ method: "POST", repeatable: true, ...options }, name, "/pause")) as QueueView;
  }

  /** Lets a paused queue go on. */
  async resume(name: string, options: CallOptions = {}): Promise<QueueView> {
    return (await this.#send({ method: "POST", repeatable: true, ...options }, name, "/resume")) as QueueView;
  }

  /**
   * Makes a new signing secret, shown this once; messages carry the old signature too until
   * `previous_valid_until`. Not repeated when its answer is lost: a second rotation would end the old secret.
   */
  async rotateSecret(name: string, options: CallOptions = {}): Promise<z.infer<typeof RotatedSecret>> {
    const call = { method: "POST", repeatable: false, ...options } as const;
    return (await this.#send(call, name, "/rotate-secret")) as z.infer<typeof RotatedSecret>;
  }

  #send(call: Omit<Call, "path">, name: string, action = ""): Promise<unknown> {
    return send(this.#connection, { ...call, path: `/v1/queues/${segment("queue name", name)}${action}` });
  }
}
