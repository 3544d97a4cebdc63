import { describe, expect, test } from "vitest";
import { bodyErrorOf } from "../../../src/core/call/fault.ts";

describe("bodyErrorOf", () => {
  test.each([
    ["TimeoutError", "no complete answer within 5 ms", "timeout"],
    ["TypeError", "Gzip compressed stream ended prematurely.", "decode"],
    ["TypeError", "Gzip decompression failed.", "decode"],
    ["TypeError", "Brotli decompression failed.", "decode"],
    ["TypeError", "Decompression failed.", "decode"],
    ["Error", "incorrect header check", "decode"],
    ["Error", "Network connection lost.", "reset"],
    ["TypeError", "terminated", "reset"],
    ["", "", "reset"],
  ])("takes %s: %s for %s", (name, message, bodyError) => {
    expect(bodyErrorOf(name, message)).toBe(bodyError);
  });
});
