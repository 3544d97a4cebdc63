/** A message as long as the one that Redrive sends for a task that succeeded at once; the floors send it as it is. */
export const EXAMPLE_CALLBACK = JSON.stringify({
  type: "task.succeeded",
  timestamp: "2026-11-23T10:00:00.000Z",
  data: {
    task: {
      id: "tsk_01K9000000000000000000000001",
      round: 1,
      queue: "default",
      state: "succeeded",
      attempts: 1,
      metadata: {},
      labels: [],
    },
    response: {
      status: 200,
      headers: {
        "content-type": "application/json",
        date: "Mon, 23 Nov 2026 10:00:00 GMT",
        connection: "keep-alive",
      },
      body: '{"ok":true}',
      body_encoding: "utf8",
      truncated: false,
    },
    error: null,
    history: [{ attempt: 1, status: 200, error_type: null, delay_ms: null }],
  },
});
