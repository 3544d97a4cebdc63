import { describe, expect, test } from "vitest";
import { originOfScoped, scopedTarget, targetOfUrl } from "../../../src/core/address/scope.ts";

const API = "https://api.example.com";
const SCOPES = ["/hooks/*", "/v2/payments", "/v2/payments/*/refunds"];

describe("targetOfUrl", () => {
  test("is the origin where no scope covers the path, and without scopes", () => {
    expect(targetOfUrl(`${API}/hooks/alice`, [])).toBe(API);
    for (const path of [
      "",
      "/",
      "/hooks",
      "/hooks/",
      "/hook/alice",
      "/v2",
      "/v2/paymentsx",
      "/x/hooks/alice",
    ])
      expect(targetOfUrl(API + path, SCOPES), path).toBe(API);
  });

  test("is one target for each value of a segment that may be any", () => {
    expect(targetOfUrl(`${API}/hooks/alice`, SCOPES)).toBe(`${API}/hooks/alice`);
    expect(targetOfUrl(`${API}/hooks/bob/in?x=/hooks/carol#y`, SCOPES)).toBe(`${API}/hooks/bob`);
    expect(targetOfUrl("http://localhost:8080/hooks/bob/", SCOPES)).toBe("http://localhost:8080/hooks/bob");
  });

  test("is the most exact of the scopes that cover the path", () => {
    expect(targetOfUrl(`${API}/v2/payments/7`, SCOPES)).toBe(`${API}/v2/payments`);
    expect(targetOfUrl(`${API}/v2/payments/7/refunds/1`, SCOPES)).toBe(`${API}/v2/payments/7/refunds`);
  });

  test("goes by the path as it is sent: dots are resolved, case and escapes are not changed", () => {
    expect(targetOfUrl(`${API}/x/../hooks/alice`, SCOPES)).toBe(`${API}/hooks/alice`);
    expect(targetOfUrl(`${API}/hooks/%61lice`, SCOPES)).toBe(`${API}/hooks/%61lice`);
    expect(targetOfUrl(`${API}/hooks/Älice`, SCOPES)).toBe(`${API}/hooks/%C3%84lice`);
    expect(targetOfUrl(`${API}/Hooks/alice`, SCOPES)).toBe(API);
    expect(targetOfUrl(`${API}//hooks/alice`, SCOPES)).toBe(API);
  });

  test("is the origin where the part would be too long a name", () => {
    expect(targetOfUrl(`${API}/hooks/${"a".repeat(249)}`, SCOPES)).not.toBe(API);
    expect(targetOfUrl(`${API}/hooks/${"a".repeat(250)}`, SCOPES)).toBe(API);
  });

  test("is one for a host with and without a trailing dot", () => {
    expect(targetOfUrl("https://api.example.com./hooks/alice", SCOPES)).toBe(`${API}/hooks/alice`);
    expect(targetOfUrl("https://api.example.com.:8443/", [])).toBe(`${API}:8443`);
  });

  test("is the text itself where that is no URL", () => {
    expect(targetOfUrl("nowhere", SCOPES)).toBe("nowhere");
  });
});

test("scopedTarget takes the origin as targets are named", () => {
  expect(scopedTarget(API, "/hooks/alice", SCOPES)).toBe(`${API}/hooks/alice`);
});

describe("originOfScoped", () => {
  test("is that of a part of an origin, and null of an origin and of a name", () => {
    expect(originOfScoped(`${API}/hooks/alice`)).toBe(API);
    expect(originOfScoped("http://[::1]:80/a")).toBe("http://[::1]:80");
    for (const target of [API, "http://localhost:8080", "key:a/b", "key:a/https://b.example/c"])
      expect(originOfScoped(target), target).toBeNull();
  });
});
