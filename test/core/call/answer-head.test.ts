import { describe, expect, test } from "vitest";
import { headFault } from "../../../src/core/call/answer-head.ts";

const OK = "HTTP/1.1 200 OK\r\n";

describe("the head of an answer", () => {
  test.each([
    ["a whole head", `${OK}Content-Length: 2\r\nX-Empty:\r\n\r\n{}`],
    ["no reason phrase", "HTTP/1.0 204\r\n\r\n"],
    ["lines without CR", "HTTP/1.1 200 OK\nA: b\n\nbody"],
    ["a body that looks folded", `${OK}\r\n folded`],
    ["the same length twice", `${OK}Content-Length: 2\r\ncontent-length:2\r\n\r\n`],
    ["a header that has not ended", `${OK}Content-Le`],
    ["a fold that has not ended", `${OK}A: b\r\n c`],
    ["a start that has not ended", "HTTP/1.1 20"],
    ["less than a start", "HT"],
    ["nothing", ""],
  ])("that has %s has no fault that is known", (_, text) => {
    expect(headFault(text)).toBeNull();
  });

  test.each([
    ["SSH-2.0-OpenSSH_9.6 x\r\n", 'what came is no HTTP: it begins with "SSH-2.0-OpenSSH_9.6"'],
    ["220 mail.example ESMTP\r\n", 'what came is no HTTP: it begins with "220"'],
    ["-ERR", 'what came is no HTTP: it begins with "-ERR"'],
    ["\0\0\x12\x04", 'what came is no HTTP: it begins with "\\u0000\\u0000\\u0012\\u0004"'],
    ["HTTP/1.1 OK\r\n\r\n", 'what came is no HTTP: it begins with "HTTP/1.1"'],
    ["HTTP/1.1 2000\r\n\r\n", 'what came is no HTTP: it begins with "HTTP/1.1"'],
    [`${"x".repeat(90)}\n`, `what came is no HTTP: it begins with "${"x".repeat(24)}"`],
    ["\x15\x03\x01\0\x02\x02\x16", "what came is TLS: the URL may have to begin with https"],
    ["\x16\x03", "what came is TLS: the URL may have to begin with https"],
    [`${OK}A: b\r\n c\r\n\r\n`, "a header of the answer is folded over two lines (header line 2)"],
    [
      `${OK}A: b\r\nset-cookie secret\r\n\r\n`,
      "a header of the answer has no valid name with a colon (header line 2)",
    ],
    [`${OK}A : b\r\n\r\n`, "a header of the answer has no valid name with a colon (header line 1)"],
    [`${OK}A: \0\r\n\r\n`, "a header of the answer has a NUL in it (header line 1)"],
    [
      `${OK}Content-Length: 2\r\nContent-Length: 3\r\n\r\n`,
      "the answer has two different content-length headers",
    ],
  ])("%j is told", (text, fault) => {
    expect(headFault(text)).toBe(fault);
  });
});
