import { describe, expect, test } from "vitest";
import { checkRedirect, checkTargetUrl } from "../../../src/core/address/target-url.ts";

const PUBLIC_ONLY = { loopback: false, private: false, ownHosts: [] };
const ALL = { loopback: true, private: true, ownHosts: [] };

describe("checkTargetUrl on ports", () => {
  test.each([0, 1, 9, 22, 25, 53, 110, 143, 389, 465, 587, 2049, 5060, 6000, 6667, 6697, 10080])(
    "refuses %d",
    (port) => {
      for (const host of ["example.com", "127.0.0.1", "[::1]", "db.internal"]) {
        for (const spelling of [String(port), `0${port}`, `000${port}`]) {
          expect(checkTargetUrl(`http://${host}:${spelling}/`, ALL)).toEqual({
            ok: false,
            message: `expected a port that HTTP may use, got ${port}`,
          });
        }
      }
    },
  );

  test("lets the ports of HTTP servers be", () => {
    for (const port of [80, 81, 443, 591, 3000, 5000, 8000, 8080, 8443, 9200, 50_000, 65_535]) {
      expect(checkTargetUrl(`https://example.com:${port}/`, PUBLIC_ONLY).ok).toBe(true);
    }
  });
});

describe("checkRedirect", () => {
  const hosts = {
    public: "http://example.com/",
    private: "http://10.0.0.1/",
    loopback: "http://127.0.0.1:8080/",
  };

  test.each([
    ["public", "public", true],
    ["public", "private", false],
    ["public", "loopback", false],
    ["private", "public", true],
    ["private", "private", true],
    ["private", "loopback", false],
    ["loopback", "public", true],
    ["loopback", "private", true],
    ["loopback", "loopback", true],
  ] as const)("from a %s host to a %s one, where all may be targets: %s", (from, to, ok) => {
    expect(checkRedirect(hosts[from], hosts[to], ALL).ok).toBe(ok);
  });

  test("allows nothing that is no target, wherever it comes from", () => {
    for (const from of Object.values(hosts)) {
      expect(checkRedirect(from, hosts.private, PUBLIC_ONLY).ok).toBe(false);
      expect(checkRedirect(from, hosts.loopback, PUBLIC_ONLY).ok).toBe(false);
      expect(checkRedirect(from, "http://example.com:22/", ALL).ok).toBe(false);
    }
    expect(checkRedirect("nonsense", hosts.loopback, ALL).ok).toBe(false);
  });
});
