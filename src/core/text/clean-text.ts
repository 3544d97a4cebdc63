const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]+/gu;

/**
 * A text of a target's making as it may be kept and shown: control characters become one space, the ends are
 * trimmed, and what is past `maxLength` characters is cut. Only the first part of a long text is looked at.
 */
export function cleanText(text: string, maxLength: number): string {
  const start = text.slice(0, 2 * maxLength).replace(CONTROL, " ");
  return start.trim().slice(0, maxLength).toWellFormed();
}
