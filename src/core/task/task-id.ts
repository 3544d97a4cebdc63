/** Crockford's base 32: no I, L, O, U; digits sort before letters, so string order is number order. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TIME_LENGTH = 10;
const RANDOM_LENGTH = 12;
const SHARD_LENGTH = 2;
/** What a queue reference has at most; those of new queues have as many. */
const REF_LENGTH = 7;
const PREFIX = "tsk_";
const SHAPE = /^tsk_[0-9A-HJKMNP-TV-Z]{25,31}$/;

/** What a task id tells: when it was made, and which shard of which queue has the task. */
export interface TaskIdParts {
  createdAt: number;
  shard: number;
  queueRef: number;
}

/**
 * Makes a task id: `tsk_` + time + random + shard + queue reference. The time comes first, so plain string
 * order is time order; the rest routes without a look-up. `random` gives numbers in [0, 1).
 */
export function makeTaskId(parts: TaskIdParts, random: () => number): string {
  let noise = "";
  for (let i = 0; i < RANDOM_LENGTH; i++) noise += ALPHABET.charAt(Math.floor(random() * 32));
  return (
    PREFIX +
    encode(parts.createdAt, TIME_LENGTH) +
    noise +
    encode(parts.shard, SHARD_LENGTH) +
    encode(parts.queueRef, 1)
  );
}

/** Reads a task id; null where it is not one. It does not tell whether the task exists. */
export function parseTaskId(id: string): TaskIdParts | null {
  if (!SHAPE.test(id)) return null;
  const shardAt = PREFIX.length + TIME_LENGTH + RANDOM_LENGTH;
  return {
    createdAt: decode(id.slice(PREFIX.length, PREFIX.length + TIME_LENGTH)),
    shard: decode(id.slice(shardAt, shardAt + SHARD_LENGTH)),
    queueRef: decode(id.slice(shardAt + SHARD_LENGTH)),
  };
}

/** The lowest id that a task made at this instant or later can have: a bound for ranges over ids. */
export function taskIdFloor(createdAt: number): string {
  return PREFIX + encode(createdAt, TIME_LENGTH);
}

/** How many random bytes `randomQueueRef` takes. */
export const QUEUE_REF_BYTES = 5;

/**
 * A queue reference that tells nothing, of QUEUE_REF_BYTES random bytes: refs that were counted told in every task id how many
 * queues had ever been made. One of 33 billion, so that none is given twice: the shards of a deleted queue stay dead.
 */
export function randomQueueRef(random: Uint8Array): number {
  const noise = random.subarray(0, QUEUE_REF_BYTES).reduce((value, byte) => value * 256 + byte, 0);
  const least = 32 ** (REF_LENGTH - 1);
  return least + (noise % (32 ** REF_LENGTH - least));
}

/** A whole number in base 32, at least `length` characters long. */
function encode(value: number, length: number): string {
  let text = "";
  for (let rest = value; rest > 0; rest = Math.floor(rest / 32)) text = ALPHABET.charAt(rest % 32) + text;
  return text.padStart(length, "0");
}

function decode(text: string): number {
  return [...text].reduce((value, character) => value * 32 + ALPHABET.indexOf(character), 0);
}
