import { exports } from "cloudflare:workers";
import { test, expect } from "vitest";
test("x", async () => {
  const call = (m: string, p: string, b?: unknown, h: Record<string,string> = {}) => exports.default.fetch(new Request("http://x" + p, { method: m, redirect: "manual", headers: { authorization: "Bearer root-key-for-tests", ...(b !== undefined && {"content-type": "application/json"}), ...h }, ...(b !== undefined && {body: JSON.stringify(b)}) }));
  for (const [m,p,b] of [["GET","/healthz"],["GET","/readyz"],["GET","/v1/queues"],["GET","/v1/queues/default"],["POST","/v1/tasks",{url:"http://127.0.0.1:1/x", retry:{max_attempts:1}}],["GET","/v1/tasks"],["POST","/v1/tasks",{url:"ftp://x", foo: 1}],["PUT","/v1/queues/pay",{shards:2}],["GET","/v1/queues/pay"],["DELETE","/v1/queues/pay"],["DELETE","/v1/tasks"],["GET","/v1/zz"],["GET","/"],["POST","/v1/keys",{name:"a",scopes:["read"]}],["GET","/v1/keys"],["POST","/v1/tasks",{url:"http://127.0.0.1:1/x", headers:{Host:"a","x y":"1"}, retry:{conditions:["status =="]}, callback:{}}], ["POST", "/v1/tasks/batch", {tasks:[{url:"http://127.0.0.1:1/y"}, 3]}]] as const) {
    const r = await call(m,p,b); console.log(m,p,r.status,[...r.headers].map(h=>h.join("=")).join(" "),(await r.text()).slice(0,900));
  }
});
