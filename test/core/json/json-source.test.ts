import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compactJson,
  eachField,
  eachItem,
  isExactJson,
  isExactNumber,
  pastValue,
} from "../../../src/core/json/json-source.ts";
import { sourceOf } from "../../../src/core/json/task-source.ts";

/** JSON, close or spread. */
const written = fc
  .tuple(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t", "  "))
  .map(([value, space]) => JSON.stringify(value, null, space));

describe("the scan of JSON", () => {
  test("finds the fields that JSON.parse finds, and their values' own texts", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), written), (fields) => {
        const pairs = Object.entries(fields).map(([name, text]) => `${JSON.stringify(name)} :\n${text}`);
        const text = `{ ${pairs.join(" , ")} }`;
        const found: [string, string][] = [];
        const end = eachField(text, 0, (name, at) => {
          const valueEnd = pastValue(text, at);
          found.push([name, text.slice(at, valueEnd)]);
          return valueEnd;
        });
        expect(end).toBe(text.length);
        expect(found).toEqual(Object.entries(fields));
      }),
    );
  });

  test("finds the items that JSON.parse finds", () => {
    fc.assert(
      fc.property(fc.array(written), (items) => {
        const text = `[${items.join(" ,\r\n")}]`;
        const found: string[] = [];
        const end = eachItem(text, 0, (at) => {
          const valueEnd = pastValue(text, at);
          found.push(text.slice(at, valueEnd));
          return valueEnd;
        });
        expect(end).toBe(text.length);
        expect(found).toEqual(items);
      }),
    );
  });

  test("goes by quotes that are escaped, and names that are", () => {
    const text = String.raw`{"a\\":"}\"]\\","\u0062ody":[1,{"x":"]"}]}`;
    const found: string[] = [];
    eachField(text, 0, (name, at) => {
      found.push(name, text.slice(at, pastValue(text, at)));
      return pastValue(text, at);
    });
    expect(found).toEqual(["a\\", String.raw`"}\"]\\"`, "body", '[1,{"x":"]"}]']);
  });

  test("takes out spaces between parts, and none of a text", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(compactJson(JSON.stringify(value, null, "\t"))).toBe(JSON.stringify(value));
      }),
    );
    expect(compactJson('{ "a b\\" " : 1.10 }')).toBe('{"a b\\" ":1.10}');
  });
});

describe("isExactNumber", () => {
  test.each([
    "0",
    "-0",
    "-0.00",
    "1",
    "1.10",
    "1e2",
    "100",
    "1E+2",
    "0.1",
    "9007199254740992",
    "1e22",
    "5e-324",
  ])("takes %s", (source) => expect(isExactNumber(source)).toBe(true));
  test.each([
    "9007199254740993",
    "12345678901234567890",
    "0.1234567890123456789",
    "1e400",
    "1e-400",
    "1x",
    "0x1f",
  ])("refuses %s", (source) => expect(isExactNumber(source)).toBe(false));

  test("holds for whatever JavaScript writes", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(isExactNumber(JSON.stringify(value))).toBe(true);
      }),
    );
  });
});

describe("isExactJson", () => {
  test("says of every number what isExactNumber says, however short it is", () => {
    const whole = fc.bigInt({ min: -(10n ** 18n), max: 10n ** 18n }).map(String);
    const digits = fc.stringMatching(/^[0-9]{1,18}$/);
    const exponent = fc.constantFrom("", "e1", "E-3", "e+300", "e-330", "E999");
    fc.assert(
      fc.property(whole, fc.option(digits), exponent, (integer, fraction, power) => {
        const number = `${integer}${fraction === null ? "" : `.${fraction}`}${power}`;
        expect(isExactJson(`[${number}]`)).toBe(isExactNumber(number));
      }),
    );
  });

  test("holds for what JSON.stringify writes, however it is spaced", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(isExactJson(JSON.stringify(value, null, 2))).toBe(true);
      }),
    );
  });
  test.each(['{"a":[9007199254740993]}', '{"a":1,"\\u0061":1}', "[-1e999]"])("does not for %s", (text) => {
    expect(isExactJson(text)).toBe(false);
  });
});

describe("sourceOf", () => {
  test("gives what was written for body and metadata of a task", () => {
    const text = ' {"url":"u", "body" : {"id":12345678901234567890 , "id":1.10},"metadata":{ "a": 1e400}}';
    expect(sourceOf(text, "task")).toEqual({
      tasks: [{ body: '{"id":12345678901234567890 , "id":1.10}', metadata: '{ "a": 1e400}' }],
      repeated: null,
    });
  });

  test("gives them for each task of a batch, whatever its items are", () => {
    const text = '{"x":{"tasks":[]},"tasks":[{"body":1.0},5,[{"body":2}],{}]}';
    expect(sourceOf(text, "batch").tasks).toEqual([
      { body: "1.0", metadata: null },
      { body: null, metadata: null },
      { body: null, metadata: null },
      { body: null, metadata: null },
    ]);
  });

  test.each([
    ["task", '{"url":1,"url":2}', ["url"]],
    ["task", '{"body":1,"body":2}', ["body"]],
    ["task", '{"headers":{"a":1,"\\u0061":2}}', ["headers", "a"]],
    ["task", '{"retry":{"rules":[{},{"do":1,"do":2}]}}', ["retry", "rules", 1, "do"]],
    ["task", '[{"a":1,"a":1}]', [0, "a"]],
    ["batch", '{"tasks":[{},{"url":1,"url":2}]}', ["tasks", 1, "url"]],
    ["batch", '{"tasks":[],"tasks":[]}', ["tasks"]],
    ["settings", '{"tasks":[{"body":{"a":1,"a":2}}]}', ["tasks", 0, "body", "a"]],
  ] as const)("of a %s names what is repeated: %s", (kind, text, path) => {
    expect(sourceOf(text, kind).repeated).toEqual(path);
  });

  test.each([
    ["task", '{"body":{"a":1,"a":2},"metadata":{"a":1,"a":2}}'],
    ["batch", '{"tasks":5}'],
    ["settings", '"x"'],
  ] as const)("of a %s finds nothing repeated in %s", (kind, text) => {
    expect(sourceOf(text, kind).repeated).toBeNull();
  });
});
