import { shownName } from "../../schema/shape.ts";

/** A message with each word replaced by `...` that is neither a name nor a short number: it may be a secret, or part of one. */
export function hideOddWords(message: string): string {
  return message.replace(/[^\s()[\]{}<>"'`,;:=!?&|/]+/g, (word) => {
    const bare = word.replace(/^[-.]+|[-.]+$/g, "");
    return bare === "" || /^\d{1,6}$/.test(bare) || shownName(bare) !== null ? word : "...";
  });
}
