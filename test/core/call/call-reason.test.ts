import { describe, expect, test } from "vitest";
import { exceptionFor, isLost, lostConnection, referenceIn } from "../../../src/core/call/call-reason.ts";
import { faultOfException } from "../../../src/core/call/fault.ts";

describe("the reference of a hidden exception", () => {
  test("is what workerd's message ends with", () => {
    expect(referenceIn("internal error; reference = nr95vq")).toBe("nr95vq");
    expect(referenceIn("internal error")).toBeNull();
    expect(referenceIn("internal error; reference = ../x")).toBeNull();
  });
});

describe("a reason of workerd's log", () => {
  test.each([
    ["failed to lookup address information: Name or service not known", "dns"],
    ["TLS handshake failed: invalid peer certificate: UnknownIssuer", "tls"],
    ["TLS handshake failed: invalid peer certificate: certificate expired", "tls"],
    ["TLS handshake failed: invalid peer certificate: certificate not valid for name", "tls"],
    ["TLS handshake failed: received corrupt message of type InvalidContentType", "tls"],
    ["TLS handshake failed: Connection reset by peer (os error 104)", "tls"],
  ])("is the message: %s", (reason, fault) => {
    const { name, message } = exceptionFor(reason) ?? {};
    expect(message).toBe(reason);
    expect(faultOfException(name ?? "", message ?? "")).toBe(fault);
  });

  test("does not tell what a name resolves to", () => {
    const { name = "", message = "" } = exceptionFor("connecting to 10.1.2.3:80 is not allowed") ?? {};
    expect(message).not.toContain("10.1.2.3");
    expect(faultOfException(name, message)).toBe("invalid_request");
  });

  test("is left alone where it is not one of a connection", () => {
    expect(exceptionFor("SQLITE_CANTOPEN")).toBeNull();
  });
});

describe("a lost connection", () => {
  test("is what the runtime calls so and no more", () => {
    expect(isLost("Network connection lost.")).toBe(true);
    expect(isLost("Network connection lost while reading")).toBe(false);
  });

  test.each([
    ["yes", null, "reset"],
    ["no", null, "connect"],
    ["yes", "what came is TLS", "protocol"],
  ] as const)("where something listens: %s, and says %j, is %s", (listening, fault, errorType) => {
    const { name = "", message = "" } = lostConnection({ listening, fault }) ?? {};
    expect(faultOfException(name, message)).toBe(errorType);
    expect(message).toContain(fault ?? "connection");
  });

  test("stays what it was where nobody could look", () => {
    expect(lostConnection({ listening: "unknown", fault: null })).toBeNull();
  });
});
