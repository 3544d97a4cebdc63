/**
 * What calls carry is in memory from their claim on, up to three times over: as text, as a message to a runner, as
 * bytes on the way to the target. So what a shard may have in flight is bounded by bytes as well as by slots.
 */
const MIB = 1_048_576;

/** Bytes that a shard may have in flight, over all calls that are heavy. */
export const FULL_WEIGHT = 8 * MIB;
/** The same where nothing on disk says that more is under way: so much is harmless, whatever ends the object. */
export const PLAIN_WEIGHT = 2 * MIB;
/** A call with so few bytes weighs nothing: `concurrency` bounds those. */
const LIGHT_BYTES = 16 * 1_024;

/** What a call that carries so many bytes weighs. */
export function weightOf(bytes: number): number {
  return bytes > LIGHT_BYTES ? bytes : 0;
}

/** How much may be in flight after the object has ended so many times in a row while much was. */
export function weightAllowed(cutOff: number): number {
  return Math.max(PLAIN_WEIGHT, Math.floor(FULL_WEIGHT / 2 ** cutOff));
}

/** What bears on whether a call of some weight may go. */
export interface WeightLoad {
  allowed: number;
  inFlight: number;
  /** What the first that waits for others to end needs: heavy calls of others leave so much. */
  reserved: number;
}

/** True where a call of this weight may go. One that is heavier than all that is allowed goes alone. */
export function fits(weight: number, { allowed, inFlight, reserved }: WeightLoad): boolean {
  return weight === 0 || inFlight === 0 || inFlight + reserved + weight <= allowed;
}
