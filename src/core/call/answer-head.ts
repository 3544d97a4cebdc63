/** As much of what is no HTTP is quoted: the first word of a greeting. Of a header nothing is. */
const GREETING = /^\S{0,24}/;
const STATUS_LINE = /^HTTP\/1\.\d \d{3}(?: |$)/;
const STATUS_LINE_START = "HTTP/1.";
/** A field name and its colon, with no blank between (RFC 9110 5.1, RFC 9112 5.1). */
const FIELD = /^[!#$%&'*+.^_`|~\w-]+:/;
/** How a record of TLS begins: an alert or a handshake. */
const TLS_RECORDS: readonly string[] = ["\x15\x03", "\x16\x03"];
const LENGTH = /^content-length:(.*)$/i;

/**
 * Why the beginning of an answer, as one character for each byte, is no HTTP/1, in words for an operator; null: it is,
 * or it is too short to tell. Lines that have not ended are not judged.
 * @see RFC 9112 4 and 5
 */
export function headFault(text: string): string | null {
  if (TLS_RECORDS.some((start) => text.startsWith(start)))
    return "what came is TLS: the URL may have to begin with https";
  const lines = text.split(/\r?\n/);
  const status = lines.slice(0, 1).join("");
  if (lines.length === 1) return mayBecomeStatus(status) ? null : noHttp(status);
  if (!STATUS_LINE.test(status)) return noHttp(status);
  const end = lines.indexOf("");
  return fieldsFault(lines.slice(1, end === -1 ? -1 : end));
}

function fieldsFault(fields: readonly string[]): string | null {
  for (const [i, field] of fields.entries()) {
    const fault = fieldFault(field);
    if (fault !== null) return `${fault} (header line ${i + 1})`;
  }
  const lengths = new Set(fields.flatMap((field) => LENGTH.exec(field)?.[1]?.trim() ?? []));
  return lengths.size > 1 ? "the answer has two different content-length headers" : null;
}

function fieldFault(field: string): string | null {
  if (/^[ \t]/.test(field)) return "a header of the answer is folded over two lines";
  if (!FIELD.test(field)) return "a header of the answer has no valid name with a colon";
  return field.includes("\0") ? "a header of the answer has a NUL in it" : null;
}

/** Whether a line without its end may still become a status line. */
function mayBecomeStatus(line: string): boolean {
  return STATUS_LINE_START.startsWith(line.slice(0, STATUS_LINE_START.length));
}

function noHttp(line: string): string {
  return `what came is no HTTP: it begins with ${JSON.stringify(GREETING.exec(line)?.[0])}`;
}
