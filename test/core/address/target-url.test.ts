import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type AddressRules,
  checkTargetUrl,
  parseAddressRules,
} from "../../../src/core/address/target-url.ts";
import { MAX_URL_LENGTH } from "../../../src/schema/limits.ts";
import { ACCEPTED, REFUSED, spellings } from "./target-url.corpus.ts";

const STRICT = rules({});
const EVERY_RULE = [
  STRICT,
  rules({ loopback: true }),
  rules({ private: true }),
  rules({ loopback: true, private: true }),
];

function rules(overrides: Partial<AddressRules>): AddressRules {
  return { loopback: false, private: false, ownHosts: [], ...overrides };
}

function isAccepted(text: string, withRules: AddressRules): boolean {
  return checkTargetUrl(text, withRules).ok;
}

function messageFor(text: string, withRules = STRICT): string {
  const result = checkTargetUrl(text, withRules);
  return result.ok ? "accepted" : result.message;
}

describe("checkTargetUrl", () => {
  test("is tried on at least 300 different refused and 60 accepted spellings", () => {
    expect(new Set(Object.values(REFUSED).flat()).size).toBeGreaterThanOrEqual(300);
    expect(new Set(ACCEPTED.map(([text]) => text)).size).toBeGreaterThanOrEqual(60);
  });

  test.each(ACCEPTED)("accepts %j under every rule", (text, url, origin) => {
    for (const each of EVERY_RULE) expect(checkTargetUrl(text, each)).toEqual({ ok: true, url, origin });
  });

  test.each(ACCEPTED)("gives the same answer for the url it made of %j", (text) => {
    const first = checkTargetUrl(text, STRICT);
    expect(first.ok && checkTargetUrl(first.url, STRICT)).toEqual(first);
  });

  test.each(REFUSED.loopback)("takes %j for loopback", (text) => {
    for (const each of EVERY_RULE) expect(isAccepted(text, each)).toBe(each.loopback);
  });

  test.each(REFUSED.private)("takes %j for private", (text) => {
    for (const each of EVERY_RULE) expect(isAccepted(text, each)).toBe(each.private);
  });

  test.each(REFUSED.never)("refuses %j whatever is allowed", (text) => {
    for (const each of EVERY_RULE) expect(messageFor(text, each)).toMatch(/^expected a public host, got /);
  });

  test.each(REFUSED.malformed)("refuses %j as malformed whatever is allowed", (text) => {
    for (const each of EVERY_RULE) {
      expect(messageFor(text, each)).toMatch(/^expected (?!a public host).+, got /);
    }
  });
});

describe("checkTargetUrl on own hosts", () => {
  const own = rules({
    loopback: true,
    private: true,
    ownHosts: ["Redrive.example.com.", "127.0.0.1", "[2606:4700::1]"],
  });

  test.each([
    "https://redrive.example.com/v1/tasks",
    "https://REDRIVE.example.com.:8443/",
    "http://2130706433/",
    "http://[2606:4700:0::1]/",
  ])("refuses %j", (text) => {
    expect(messageFor(text, own)).toMatch(/^expected a host other than this deployment's own, got /);
  });

  test.each(["https://example.com/", "https://a.redrive.example.com/", "http://127.0.0.2/"])(
    "accepts %j",
    (text) => {
      expect(isAccepted(text, own)).toBe(true);
    },
  );
});

describe("checkTargetUrl on the server itself", () => {
  const self = { addresses: ["192.168.1.9", "[fd00::9]"], port: "8787", sandbox: true };
  const open = rules({ loopback: true, private: true, self });

  test.each([
    "http://127.0.0.1:8787/v1/tasks",
    "https://127.9.9.9:8787/",
    "http://LOCALHOST.:8787/healthz",
    "http://[::1]:8787/sandbox",
    "http://192.168.1.9:8787/",
    "http://[fd00:0::9]:8787/",
    "http://127.0.0.1:8787/sandbox/../v1/tasks",
    "http://127.0.0.1:8787/sandbox/%2e%2e/v1/tasks",
    "http://127.0.0.1:8787/x?/sandbox/",
  ])("refuses %s", (text) => {
    expect(messageFor(text, open)).toMatch(/^expected a target other than this server itself, got /);
  });

  test.each([
    "http://127.0.0.1:8788/",
    "http://127.0.0.1/",
    "http://192.168.1.8:8787/",
    "https://example.com:8787/",
    "http://localhost:8787/sandbox/target?script=200",
  ])("accepts %s", (text) => {
    expect(isAccepted(text, open)).toBe(true);
  });

  test("refuses the sandbox too where it is off", () => {
    const off = rules({ loopback: true, self: { ...self, sandbox: false } });
    expect(isAccepted("http://localhost:8787/sandbox/target", off)).toBe(false);
  });

  test.each([
    ["http", "80"],
    ["https", "443"],
  ])("knows the port that %s leaves out", (scheme, port) => {
    const there = rules({ loopback: true, self: { ...self, port } });
    expect(isAccepted(`${scheme}://127.0.0.1/`, there)).toBe(false);
  });
});

describe("checkTargetUrl messages", () => {
  const long = `https://example.com/${"a".repeat(MAX_URL_LENGTH - 20)}`;
  const encoded = `https://example.com/${"é".repeat(1_000)}`;

  test.each([
    ["/charge", "expected an absolute http or https URL, got a path"],
    ["ftp://u:secret@x.com/?k=secret", "expected an absolute http or https URL, got the scheme ftp"],
    ["https://u:secret@x.com/p?k=secret", "expected a URL without userinfo, got one with it"],
    ["http://a\tb.com", "expected a URL without whitespace or control characters, got U+0009 at position 8"],
    ["http://a.com:x/?k=secret", "expected a valid host and port, got a port that is no number"],
    ["http://a.com:99999/", "expected a valid host and port, got a port that is too large"],
    ["http://[::1/", "expected a valid host and port, got a host that is none"],
    ["http://a b/", "expected a URL without whitespace or control characters, got U+0020 at position 8"],
    ["http://a..com", "expected a valid host name, got a string of 6 characters"],
    ["http://0x7f.1/", 'expected a public host, got "127.0.0.1", a loopback address'],
    ["http://db.internal/", 'expected a public host, got "db.internal", a name of a private network'],
    ["http://db/", "expected a public host, got a name without a dot"],
    ["http://169.254.169.254/", 'expected a public host, got "169.254.169.254", a cloud metadata address'],
    [`${long}a`, `expected a URL of at most ${MAX_URL_LENGTH} characters, got ${MAX_URL_LENGTH + 1}`],
    [encoded, `expected a URL of at most ${MAX_URL_LENGTH} characters, got 6020 once encoded`],
    ["x".repeat(200), "expected an absolute http or https URL, got a string of 200 characters"],
  ])("say what was expected and what came for %j", (text, message) => {
    expect(messageFor(text)).toBe(message);
  });

  test("does not refuse a URL of exactly the longest length", () => {
    expect(long.length).toBe(MAX_URL_LENGTH);
    expect(isAccepted(long, STRICT)).toBe(true);
  });
});

describe("checkTargetUrl on every IPv4 address", () => {
  const address = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255));
  const octet = fc.nat(255);
  const within = (...parts: (number | [number, number])[]) =>
    fc
      .tuple(...parts.map((part) => (typeof part === "number" ? fc.constant(part) : octetIn(part))))
      .chain((head) =>
        fc
          .tuple(...Array.from({ length: 4 - head.length }, () => octet))
          .map((tail) => [...head, ...tail].join(".")),
      );
  const refused = fc.oneof(
    ...[within(0), within(10), within(127), within([224, 255]), within(100, [64, 127]), within(169, 254)],
    ...[within(172, [16, 31]), within(192, 0, 0), within(192, 0, 2), within(192, 88, 99), within(192, 168)],
    ...[within(198, [18, 19]), within(198, 51, 100), within(203, 0, 113)],
  );

  test("refuses a range's addresses in every spelling", () => {
    fc.assert(
      fc.property(refused, (dotted) => {
        expect(spellings(dotted).filter((text) => isAccepted(text, STRICT))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("accepts a public address in every spelling", () => {
    fc.assert(
      fc.property(address.filter(isPublic), (octets) => {
        const texts = spellings(octets.join("."));
        expect(texts.filter((text) => !isAccepted(text, STRICT))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("gives all dotted and numeric spellings of a public address one origin", () => {
    fc.assert(
      fc.property(address.filter(isPublic), (octets) => {
        const dotted = octets.join(".");
        const texts = spellings(dotted).filter((text) => !text.includes("["));
        const origins = texts.map((text) => checkTargetUrl(text, STRICT)).map((it) => it.ok && it.origin);
        expect(new Set(origins)).toEqual(new Set([`http://${dotted}`]));
      }),
    );
  });

  function octetIn([min, max]: [number, number]) {
    return fc.integer({ min, max });
  }

  /** Written apart from the code under test, octet by octet. */
  function isPublic([a, b, c, d]: [number, number, number, number]): boolean {
    if (a === 0 || a === 10 || a === 127 || a >= 224) return false;
    if (a === 100) return (b < 64 || b > 127) && `${b}.${c}.${d}` !== "100.100.200";
    if (a === 168) return `${b}.${c}.${d}` !== "63.129.16";
    if (a === 169) return b !== 254;
    if (a === 172) return b < 16 || b > 31;
    if (a === 192) return !(b === 168 || (b === 88 && c === 99) || (b === 0 && (c === 0 || c === 2)));
    if (a === 198) return !(b === 18 || b === 19 || (b === 51 && c === 100));
    return !(a === 203 && b === 0 && c === 113);
  }
});

describe("checkTargetUrl on any text", () => {
  test("answers with a URL that it accepts again, or with a message, and never throws", () => {
    const text = fc.oneof(
      fc.webUrl(),
      fc.string({ unit: "binary" }),
      fc.string({ unit: "grapheme" }).map((host) => `http://${host}/`),
    );
    fc.assert(
      fc.property(text, (each) => {
        const result = checkTargetUrl(each, STRICT);
        if (result.ok) expect(checkTargetUrl(result.url, STRICT)).toEqual(result);
        else expect(result.message).toMatch(/^expected .+, got .+/s);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("parseAddressRules", () => {
  test.each([
    [undefined, STRICT],
    ["", STRICT],
    [" , ", STRICT],
    ["loopback", rules({ loopback: true })],
    [" private ", rules({ private: true })],
    ["loopback, private", rules({ loopback: true, private: true })],
    ["private,loopback,private", rules({ loopback: true, private: true })],
  ])("reads %j", (setting, expected) => {
    expect(parseAddressRules(setting)).toEqual(expected);
  });

  test.each(["all", "Loopback", "loopback private", "10.0.0.0/8", "private,public"])(
    "refuses %j",
    (setting) => {
      const unknown = setting.split(",").at(-1);
      expect(() => parseAddressRules(setting)).toThrow(
        new RangeError(`expected a comma list of loopback and private, got "${unknown}"`),
      );
    },
  );
});
