import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FAILS_ON_PURPOSE, openWorld, taskWhen, type World } from "../support/server/stories.ts";

/** Every way in which a parse and a print change a text. */
const BODY =
  '{ "id": 12345678901234567890, "neg":-9223372036854775808, "price":1.10, "huge":1e400,\n "2":1, "10":2, "a":3, "a":4, "__proto__":{"x":1}, "u":"\\u00e9\\/" }';
const METADATA = '{"id":9007199254740993,"price":1.10,"10":1,"2":2,"__proto__":{"x":1},"a":1,"a":2}';

let world: World;

beforeAll(async () => {
  world = await openWorld({ queue: FAILS_ON_PURPOSE });
});
afterAll(() => world.stop());

/** Sends a text as it is; answers with the text that came. */
async function tell(method: string, path: string, body?: string, type = "application/json") {
  const response = await fetch(`${world.server.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${world.server.apiKey}`, "content-type": type },
    ...(body !== undefined && { body }),
  });
  const text = await response.text();
  return { status: response.status, text, value: JSON.parse(text) };
}

describe.concurrent("what is given", () => {
  test("reaches the target byte for byte, at each attempt", async () => {
    const place = world.place(() => (place.calls().length < 2 ? { status: 503 } : null));
    const retry = '{"backoff":{"intervals":[1]}}';
    await tell("POST", "/v1/tasks", `{"url":"${place.url}","retry":${retry},"body": ${BODY} }`);
    const calls = await place.waitForCalls(2);
    expect(calls.map(({ body }) => body)).toEqual([BODY, BODY]);
    expect(calls[0]?.headers["content-type"]).toBe("application/json");
  });

  test("reaches the target byte for byte from a batch", async () => {
    const place = world.place();
    const tasks = [BODY, "[ 1.0 ]", "1.10", "true", `${" ".repeat(10)}null`].map(
      (body, i) => `{"url":"${place.url}?${i}","body":${body}, "metadata":{}}`,
    );
    const { status } = await tell("POST", "/v1/tasks/batch", `{"tasks":[${tasks.join(" , ")}]}`);
    const calls = await place.waitForCalls(5);
    expect(status).toBe(202);
    const byNumber = calls.toSorted((a, b) => a.path.localeCompare(b.path)).map(({ body }) => body);
    expect(byNumber).toEqual([BODY, "[ 1.0 ]", "1.10", "true", "null"]);
  });

  test("comes back as it was written, as metadata: in the task, in lists, in the callback, in what operations answer", async () => {
    const receiver = world.place();
    const queue = await world.makeQueue({});
    const callback = `{"url":"${receiver.url}"}`;
    const request = `{"url":"${world.place().url}","queue":"${queue}","metadata":${METADATA},"callback":${callback}}`;
    const { value } = await tell("POST", "/v1/tasks", request);
    const [call] = await receiver.waitForCalls(1);
    expect(call?.body).toContain(`"metadata":${METADATA}`);
    expect((await tell("GET", `/v1/tasks/${value.id}`)).text).toContain(`"metadata":${METADATA}`);
    const held = await tell(
      "POST",
      "/v1/tasks",
      `{"url":"${world.place().url}","queue":"${queue}","delay":"1h","metadata":${METADATA}}`,
    );
    const rekeyed = await tell("POST", `/v1/tasks/${held.value.id}/rekey`, '{"breaker_key":"other"}');
    expect(rekeyed.text).toContain(`"metadata":${METADATA}`);
    expect(rekeyed.value).not.toHaveProperty("metadataText");
    const list = await tell("GET", `/v1/tasks?queue=${queue}`);
    expect(list.text).toContain(`"metadata":${METADATA}`);
    expect(list.value.tasks[0]).not.toHaveProperty("metadataText");
  });

  test("is told apart by what no double holds: the same key with another number is a conflict", async () => {
    const { url } = world.place();
    const submit = (body: string) =>
      tell("POST", "/v1/tasks", `{"url":"${url}","idempotency_key":"exact","body":${body}}`);
    expect((await submit('{"id":9007199254740992}')).status).toBe(202);
    expect((await submit('{ "id": 9007199254740992 }')).value).toMatchObject({ duplicate: true });
    const other = await submit('{"id":9007199254740993}');
    expect(other.status).toBe(409);
    expect(other.value.code).toBe("idempotency_conflict");
  });

  test("is compared exactly by a rule over a whole number of the answer", async () => {
    const place = world.place(() => ({ status: 200, body: '{"id":9007199254740993}' }));
    const rules = (id: string) => `{"max_attempts":1,"rules":[{"when":"body.id == ${id}","do":"fail"}]}`;
    const submit = (id: string) => tell("POST", "/v1/tasks", `{"url":"${place.url}","retry":${rules(id)}}`);
    const [near, same] = [await submit("9007199254740992"), await submit("9007199254740993")];
    const isOver = ({ state }: { state: string }) => state === "succeeded" || state === "failed";
    expect((await taskWhen(world.client, near.value.id, isOver)).state).toBe("succeeded");
    expect((await taskWhen(world.client, same.value.id, isOver)).state).toBe("failed");
  });

  test.each([
    ["body:\n  list: [1.10, { id: 9007199254740993 }]", "body.list[1].id"],
    ["body:\n  hex: 0x20000000000001", "body.hex"],
    ["metadata: { rate: 0.12345678901234567891 }", "metadata.rate"],
  ])("is refused by path where YAML has a number that cannot be kept: %s", async (yaml, path) => {
    const { status, value } = await tell(
      "POST",
      "/v1/tasks",
      `url: ${world.place().url}\n${yaml}\n`,
      "application/yaml",
    );
    expect(status).toBe(400);
    expect(value.errors.map((issue: { path: string }) => issue.path)).toEqual([path]);
  });

  test.each([
    ["a field that stands twice", '{"url":"http://a.example","url":"http://b.example"}', "url"],
    ["one below", '{"url":"http://a.example","retry":{"max_age":"1h","max_age":"2h"}}', "retry.max_age"],
    [
      "a header named __proto__",
      '{"url":"http://a.example","headers":{"__proto__":"x"}}',
      "headers.__proto__",
    ],
    ["a field named __proto__", '{"url":"http://a.example","__proto__":{"priority":9}}', "__proto__"],
    ["a number that is none", '{"url":"http://a.example","priority":1e400}', "priority"],
  ])("is refused by path if it is %s", async (_, body, path) => {
    const { status, value } = await tell("POST", "/v1/tasks", body);
    expect(status).toBe(400);
    expect(value.errors[0].path).toBe(path);
  });
});
