/**
 * A target in a process of its own, so that it can be killed and started again: answers 200 after `ANSWER_MS`, on the
 * port that is its argument (0: a free one), and writes a line of JSON for each thing that happens.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** Long enough for calls to meet. */
const ANSWER_MS = 30;

const server = createServer((request, response) => {
  const task = String(request.headers["redrive-task-id"]);
  tell({ type: "begun", task, at: Date.now() });
  request.resume().once("end", () =>
    setTimeout(() => {
      tell({ type: "answered", task, at: Date.now() });
      response.writeHead(200).end();
    }, ANSWER_MS),
  );
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  tell({ type: "listening", port: (server.address() as AddressInfo).port });
});

function tell(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
