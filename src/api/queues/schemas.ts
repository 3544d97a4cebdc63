import { z } from "zod";
import { QueueList, QueueSettings, QueueView, RotatedSecret } from "../../schema/queue.ts";
import type { NamedSchema } from "../http/route-doc.ts";

const PutView = QueueView.extend({
  signing_secret: z
    .string()
    .optional()
    .meta({ description: "Of a new queue with a secret of its own; shown this once" }),
});

/** What requests and answers of queues carry, by the names that the OpenAPI document gives them. */
export const QUEUE_SETTINGS: NamedSchema = { name: "QueueSettings", schema: QueueSettings };
export const QUEUE: NamedSchema = { name: "Queue", schema: QueueView };
export const QUEUE_PUT: NamedSchema = { name: "QueuePut", schema: PutView };
export const QUEUE_LIST: NamedSchema = { name: "QueueList", schema: QueueList };
export const ROTATED_SECRET: NamedSchema = { name: "RotatedSecret", schema: RotatedSecret };
