import { hideOddWords } from "./odd-words.ts";

const MAX_LOGGED_LENGTH = 300;

/**
 * An error as a log line tells it: its name and its message, without what the message may repeat of a request. What stands in
 * quotes is dropped, of a URL the origin is left, and words that are no plain words are hidden; the platform's
 * `reference = ...`, by which its makers find an error, stays.
 */
export function loggedError(error: unknown): string {
  if (!(error instanceof Error)) return scrubbed(String(error));
  const name = scrubbed(error.name);
  return error.message === "" ? name : `${name}: ${scrubbed(error.message)}`;
}

/** Where an error was thrown: its stack without its message. Null: it has none. */
export function loggedStack(error: unknown): string | null {
  const stack = error instanceof Error ? (error.stack ?? "") : "";
  const frames = stack.split("\n").filter((line) => /^\s+at [^"'`]*$/.test(line));
  return frames.length === 0 ? null : frames.join("\n");
}

function scrubbed(text: string): string {
  const [, reference] = /\breference = ([a-z0-9]{1,40})\b/.exec(text) ?? [];
  const open = text
    .slice(0, 4 * MAX_LOGGED_LENGTH)
    .replace(/["`][^"`]*(?:["`]|$)|(?<!\w)'[^']*(?:'|$)/g, "...")
    .replace(/\b(https?:\/\/[^\s/?#]*)[^\s]*/gi, (url) => URL.parse(url)?.host ?? "...");
  const shown = hideOddWords(open).slice(0, MAX_LOGGED_LENGTH);
  return reference === undefined ? shown : shown.replace(/\breference = [^\s]*/, `reference = ${reference}`);
}
