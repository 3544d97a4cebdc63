import { describe, expect, test } from "vitest";
import {
  isSecretHeader,
  REDACTED,
  redactHeaders,
  SECRET_HEADERS,
  withoutSecretHeaders,
} from "../../../src/core/call/secret-headers.ts";

describe("isSecretHeader", () => {
  test.each([
    ...SECRET_HEADERS,
    "Authorization",
    "X-Shop-Access-Token",
    "client_secret",
    "X-ApiKey",
    "my-api_key",
    "x-password-hash",
    "webhook-signature",
    "x-amz-credential",
    "x-access-key",
    "x-functions-key",
    "Ocp-Apim-Subscription-Key",
    "X-Auth",
    "x-auth-user",
    "x-session-id",
  ])("is true for %s", (name) => {
    expect(isSecretHeader(name)).toBe(true);
  });

  test.each(["content-type", "idempotency-key", "x-request-id", "traceparent", "retry-after", "x-author"])(
    "is false for %s",
    (name) => {
      expect(isSecretHeader(name)).toBe(false);
    },
  );
});

describe("redactHeaders", () => {
  test("replaces secret values only, and keeps every name as it was", () => {
    expect(redactHeaders({ Authorization: "Bearer x", Accept: "*/*" })).toEqual({
      Authorization: REDACTED,
      Accept: "*/*",
    });
  });

  test("replaces sealed values too, whatever their names mean today", () => {
    expect(redactHeaders({ "x-plain": "sealed:v1:a:b" })).toEqual({ "x-plain": REDACTED });
  });
});

describe("withoutSecretHeaders", () => {
  test("leaves out secret headers only", () => {
    expect(withoutSecretHeaders({ "set-cookie": "a=b", etag: "1" })).toEqual({ etag: "1" });
  });
});
