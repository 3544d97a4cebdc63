/**
 * Errors with which the platform ends an object: nothing can succeed in this invocation any more, so they must
 * escape, above all from `alarm()`, which the platform then runs again. Known only by message.
 * @see platform incidents agents#1617, agents#1659, agents#1740
 */
const ENDED =
  /reset because its code was updated|script has been upgraded|storage caused object to be reset|network connection lost|exceeded its memory limit/i;

/** True where the platform has ended this invocation, and false for an error of one row. */
export function isPlatformError(error: unknown): boolean {
  return error instanceof Error && ENDED.test(error.message);
}
