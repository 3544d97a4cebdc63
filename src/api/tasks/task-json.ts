import { withMetadata } from "../../core/json/with-metadata.ts";
import type { ToldTask } from "../../core/view/view.ts";
import type { TaskList } from "../../schema/task.ts";

/** A task as the API writes it: its metadata as it was given. */
export function taskJson(told: ToldTask<{ metadata: object }>): string {
  const { metadataText, ...task } = told;
  return withMetadata(task, task, metadataText);
}

/** The answer that is one task. */
export function taskAnswer(told: ToldTask<{ metadata: object }>): Response {
  return new Response(taskJson(told), { headers: { "content-type": "application/json" } });
}

/** The answer that is a page of tasks. */
export function listAnswer({ tasks, next_cursor: cursor }: TaskList): Response {
  const text = `{"tasks":[${tasks.map(taskJson).join(",")}],"next_cursor":${JSON.stringify(cursor)}}`;
  return new Response(text, { headers: { "content-type": "application/json" } });
}
