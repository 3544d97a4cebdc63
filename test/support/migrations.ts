import { readdirSync, readFileSync } from "node:fs";
import type { Migration } from "../../src/platform/migrate.ts";

const ROOT = new URL("../../migrations/", import.meta.url);

/** The objects that have migrations: the folders of `migrations/`. */
export const MIGRATED = ["breaker", "catalog", "sandbox", "shard"] as const;

/**
 * The migrations in a folder of `migrations/`, in the order of their names: for Node, which does not import SQL.
 * test/platform/migrations.test.ts holds the lists of production to them.
 */
export function migrationsIn(folder: (typeof MIGRATED)[number]): Migration[] {
  const files = new URL(`${folder}/`, ROOT);
  return readdirSync(files)
    .sort()
    .map((file) => ({ name: file.replace(".sql", ""), sql: readFileSync(new URL(file, files), "utf8") }));
}
