import { describe, expect, test } from "vitest";
import { isOwnOrigin, isServedHost } from "../../../src/core/address/served-host.ts";

const OWN = ["redrive.example.com", "Build.Lan."];

describe("isServedHost", () => {
  test.each([
    "127.0.0.1:8787",
    "127.0.0.1",
    "[::1]:8787",
    "[2001:db8::1]",
    "192.168.1.9:80",
    "localhost:8787",
    "LOCALHOST",
    "localhost.:8787",
    "redrive.example.com",
    "Redrive.Example.COM.:443",
    "build.lan:8787",
  ])("serves %s", (host) => {
    expect(isServedHost(host, OWN)).toBe(true);
  });

  test.each([
    "evil.example:8787",
    "127.0.0.1.evil.example",
    "localhost.evil.example:8787",
    "a.redrive.example.com",
    "redrive.example.com.evil.example",
    "user@127.0.0.1",
    "127.0.0.1:x",
    "0x7f.1",
    "[::1",
    "::1",
    "127.0.0.1, localhost",
    "/",
    "",
  ])("serves no %j", (host) => {
    expect(isServedHost(host, OWN)).toBe(false);
  });

  test("takes nothing that was told and is no host for a match", () => {
    expect(isServedHost("", [""])).toBe(false);
  });
});

describe("isOwnOrigin", () => {
  test.each([
    ["http://127.0.0.1:8787", "127.0.0.1:8787", null],
    ["http://localhost", "localhost:80", null],
    ["https://redrive.example.com", "redrive.example.com", null],
    ["https://redrive.example.com", "127.0.0.1:8787", "https://redrive.example.com"],
  ])("%s is ours where %s is asked, publicly %s", (origin, host, publicOrigin) => {
    expect(isOwnOrigin(origin, host, publicOrigin)).toBe(true);
  });

  test.each([
    ["http://evil.example", "127.0.0.1:8787", null],
    ["http://127.0.0.1:3000", "127.0.0.1:8787", null],
    ["http://redrive.example.com", "127.0.0.1:8787", "https://redrive.example.com"],
    ["null", "127.0.0.1:8787", null],
    ["file://", "127.0.0.1:8787", null],
    ["", "", null],
    ["http://evil.example", "", null],
  ])("%j is a stranger's where %j is asked, publicly %s", (origin, host, publicOrigin) => {
    expect(isOwnOrigin(origin, host, publicOrigin)).toBe(false);
  });
});
